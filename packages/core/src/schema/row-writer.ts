import type { ByteWriter } from "../model/index.ts";
import type { AnyColumn, ColumnType, IntegerBits } from "./column.ts";
import { describeValue } from "./cast-failure.ts";
import { UUID_SHAPE } from "./column-cast.ts";
import { unscaled } from "./decimal.ts";
import { parseDay } from "./instant.ts";
import { explainDecimal, integerRange } from "./number-cast.ts";
import { dayRange, tickRange } from "./time-cast.ts";

/** How JSON columns are written: as ClickHouse takes them, or without loss. */
export type JsonTextOf = (value: unknown) => string;

/** Writes one value of a column as RowBinary. Throws a RangeError on what the column cannot hold, rather than write something else. */
export type WriteValue = (writer: ByteWriter, value: unknown) => void;

function unfit(type: string, value: unknown): never {
  throw new RangeError(`expected ${type}, got ${describeValue(value)}`);
}

function smallInteger(bits: 8 | 16 | 32, signed: boolean): WriteValue {
  const [low, high] = integerRange(bits, signed).map(Number) as [number, number];
  const check = (value: unknown): number =>
    typeof value === "number" && Number.isInteger(value) && value >= low && value <= high ? value : unfit(`an integer from ${low} to ${high}`, value);
  if (bits === 8) return (writer, value) => writer.u8(check(value) & 0xff);
  if (bits === 16) return (writer, value) => writer.u16(check(value) & 0xffff);
  return signed ? (writer, value) => writer.i32(check(value)) : (writer, value) => writer.u32(check(value));
}

function integer64(signed: boolean): WriteValue {
  const [low, high] = integerRange(64, signed);
  return (writer, value) => {
    if (typeof value === "bigint" && value >= low && value <= high) writer.u64(BigInt.asUintN(64, value));
    else if (typeof value === "number" && Number.isSafeInteger(value) && (signed || value >= 0)) writer.i64Number(value);
    else unfit(`an exact integer from ${low} to ${high}`, value);
  };
}

/** A two's complement of 128 or 256 bits, the least significant 64 first. */
function limbs(writer: ByteWriter, value: bigint, bits: number): void {
  for (let shift = 0n; shift < bits; shift += 64n) writer.u64(BigInt.asUintN(64, value >> shift));
}

function bigInteger(bits: 128 | 256, signed: boolean): WriteValue {
  const [low, high] = integerRange(bits, signed);
  return (writer, value) => {
    const exact = typeof value === "number" && Number.isSafeInteger(value) ? BigInt(value) : value;
    if (typeof exact !== "bigint" || exact < low || exact > high) unfit(`an exact integer from ${low} to ${high}`, value);
    limbs(writer, exact, bits);
  };
}

function integer(bits: IntegerBits, signed: boolean): WriteValue {
  if (bits === 64) return integer64(signed);
  return bits > 64 ? bigInteger(bits as 128 | 256, signed) : smallInteger(bits as 8 | 16 | 32, signed);
}

/** The bits of the integer that a Decimal of this precision is stored as. */
export function decimalBits(precision: number): 32 | 64 | 128 | 256 {
  return precision <= 9 ? 32 : precision <= 18 ? 64 : precision <= 38 ? 128 : 256;
}

/** The integer that stands for a decimal given as text, number or bigint. Throws a RangeError when it does not fit exactly. */
export function exactDecimal(value: unknown, precision: number, scale: number): bigint {
  const type = `a Decimal(${precision}, ${scale})`;
  if (typeof value !== "string" && typeof value !== "number" && typeof value !== "bigint") unfit(type, value);
  const exact = unscaled(String(value), scale);
  const limit = 10n ** BigInt(precision);
  if (typeof exact === "bigint" && exact < limit && exact > -limit) return exact;
  throw new RangeError(`expected ${type}, got ${describeValue(value)}, which ${explainDecimal(exact, precision, scale)}`);
}

function decimal(precision: number, scale: number): WriteValue {
  const bits = decimalBits(precision);
  if (bits === 32) return (writer, value) => writer.i32(Number(exactDecimal(value, precision, scale)));
  return (writer, value) => limbs(writer, exactDecimal(value, precision, scale), bits);
}

/** Text as given, or a RangeError: writing would turn a lone surrogate into something else. */
export function wellFormed(value: unknown): string {
  return typeof value === "string" && value.isWellFormed() ? value : unfit("well-formed text", value);
}

/** ASCII, nearly all that there is, is well-formed and needs no measuring. */
function text(writer: ByteWriter, value: unknown): void {
  if (typeof value !== "string" || !writer.asciiText(value)) writer.text(wellFormed(value));
}

function fixedString(bytes: number): WriteValue {
  return (writer, value) => {
    const text = wellFormed(value);
    if (Buffer.byteLength(text) !== bytes) unfit(`text of ${bytes} bytes`, value);
    writer.ensure(bytes);
    writer.position += writer.buffer.utf8Write(text, writer.position);
  };
}

function uuid(writer: ByteWriter, value: unknown): void {
  if (typeof value !== "string" || !UUID_SHAPE.test(value)) unfit("a UUID", value);
  const digits = value.replaceAll("-", "");
  writer.u64(BigInt(`0x${digits.slice(0, 16)}`));
  writer.u64(BigInt(`0x${digits.slice(16)}`));
}

/** Days since 1970 of a day given as text, checked. */
function date(bits: 16 | 32): WriteValue {
  const [first, last] = dayRange(bits);
  return (writer, value) => {
    const days = typeof value === "string" ? parseDay(value) : NaN;
    if (!(days >= first && days <= last)) unfit(`a day as YYYY-MM-DD that a Date${bits === 32 ? "32" : ""} can hold`, value);
    if (bits === 16) writer.u16(days);
    else writer.i32(days);
  };
}

function epochMs(value: unknown): number {
  const ms = value instanceof Date ? value.getTime() : value;
  return typeof ms === "number" && Number.isSafeInteger(ms) ? ms : unfit("epoch milliseconds or a Date", value);
}

/** Ticks of a moment as a number, of a column of precision 0 to 3; finer milliseconds are cut off, downwards. */
export function smallTicks(bits: 32 | 64, precision: number): (value: unknown) => number {
  const [first, last] = tickRange(bits, precision).map(Number) as [number, number];
  const msPerTick = 10 ** (3 - precision);
  return (value) => {
    const ticks = msPerTick === 1 ? epochMs(value) : Math.floor(epochMs(value) / msPerTick);
    return ticks >= first && ticks <= last ? ticks : unfit("a moment in the column's range", value);
  };
}

/** Ticks of a moment as a bigint, of a column of precision 4 to 9. */
export function bigTicks(precision: number): (value: unknown) => bigint {
  const [first, last] = tickRange(64, precision);
  return (value) => {
    const ticks = value instanceof Date ? BigInt(epochMs(value)) * 10n ** BigInt(precision - 3) : value;
    return typeof ticks === "bigint" && ticks >= first && ticks <= last ? ticks : unfit(`a bigint of ticks of 10^-${precision} s, or a Date, in the column's range`, value);
  };
}

function moment(bits: 32 | 64, precision: number): WriteValue {
  if (precision > 3) {
    const ticks = bigTicks(precision);
    return (writer, value) => writer.i64(ticks(value));
  }
  const ticks = smallTicks(bits, precision);
  return bits === 32 ? (writer, value) => writer.u32(ticks(value)) : (writer, value) => writer.i64Number(ticks(value));
}

function enumeration(bits: 8 | 16, values: ReadonlyMap<string, number>): WriteValue {
  return (writer, value) => {
    const number = values.get(value as string) ?? unfit("a name of the enum", value);
    if (bits === 8) writer.u8(number & 0xff);
    else writer.u16(number & 0xffff);
  };
}

function array(inner: AnyColumn, jsonText: JsonTextOf): WriteValue {
  const write = compileWriteValue(inner, jsonText);
  return (writer, value) => {
    if (!Array.isArray(value)) unfit("an array", value);
    writer.varint(value.length);
    for (let index = 0; index < value.length; index++) write(writer, value[index]);
  };
}

/** A map's key from the text it is in a record to what the key's column takes. */
export function mapKeyOf(type: ColumnType): (key: string) => unknown {
  if (type.kind !== "integer") return (key) => key;
  return type.bits <= 32 ? Number : BigInt;
}

function map(key: AnyColumn, inner: AnyColumn, jsonText: JsonTextOf): WriteValue {
  const writeKey = compileWriteValue(key, jsonText);
  const write = compileWriteValue(inner, jsonText);
  const keyOf = mapKeyOf(key.type);
  return (writer, value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) unfit("an object", value);
    const keys = Object.keys(value);
    writer.varint(keys.length);
    for (const name of keys) {
      writeKey(writer, keyOf(name));
      write(writer, (value as Readonly<Record<string, unknown>>)[name]);
    }
  };
}

function nullable(inner: AnyColumn, jsonText: JsonTextOf): WriteValue {
  const write = compileWriteValue(inner, jsonText);
  return (writer, value) => {
    if (value === null || value === undefined) return writer.u8(1);
    writer.u8(0);
    write(writer, value);
  };
}

/** The writer of one column. LowCardinality is written as what it holds; JSON as text, which ClickHouse reads under `input_format_binary_read_json_as_string=1`. */
export function compileWriteValue({ type }: AnyColumn, jsonText: JsonTextOf): WriteValue {
  switch (type.kind) {
    case "integer":
      return integer(type.bits, type.signed);
    case "float": {
      // Infinities and NaN are written as they are: a sum may overflow, and RowBinary holds them exactly.
      const check = (value: unknown): number => (typeof value === "number" ? value : unfit("a number", value));
      return type.bits === 32 ? (writer, value) => writer.f32(check(value)) : (writer, value) => writer.f64(check(value));
    }
    case "decimal":
      return decimal(type.precision, type.scale);
    case "string":
      return text;
    case "fixedString":
      return fixedString(type.bytes);
    case "enum":
      return enumeration(type.bits, type.values);
    case "bool":
      return (writer, value) => writer.u8(typeof value === "boolean" ? Number(value) : unfit("a boolean", value));
    case "uuid":
      return uuid;
    case "date":
      return date(type.bits);
    case "dateTime":
      return moment(type.bits, type.precision);
    case "nullable":
      return nullable(type.inner, jsonText);
    case "lowCardinality":
      return compileWriteValue(type.inner, jsonText);
    case "array":
      return array(type.inner, jsonText);
    case "map":
      return map(type.key, type.value, jsonText);
    case "json":
    case "rest":
      return (writer, value) => writer.text(jsonText(value));
  }
}
