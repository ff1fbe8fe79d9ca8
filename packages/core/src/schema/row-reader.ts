import type { ByteReader } from "../model/index.ts";
import type { AnyColumn, IntegerBits } from "./column.ts";
import { formatUnscaled } from "./decimal.ts";
import { formatDay } from "./instant.ts";
import { parseStored } from "./json-text.ts";
import { Members, NO_MEMBERS } from "./members.ts";
import { decimalBits } from "./row-writer.ts";

/** Reads one value of a column from RowBinary, as a cast gives it. */
export type ReadValue = (reader: ByteReader) => unknown;

function limbs(reader: ByteReader, bits: number, signed: boolean): bigint {
  let value = 0n;
  for (let shift = 0n; shift < bits; shift += 64n) value |= reader.u64() << shift;
  return signed ? BigInt.asIntN(bits, value) : value;
}

function integer(bits: IntegerBits, signed: boolean): ReadValue {
  if (bits === 8) return signed ? (reader) => (reader.u8() << 24) >> 24 : (reader) => reader.u8();
  if (bits === 16) return signed ? (reader) => (reader.u16() << 16) >> 16 : (reader) => reader.u16();
  if (bits === 32) return signed ? (reader) => reader.i32() : (reader) => reader.u32();
  if (bits === 64) return signed ? (reader) => reader.i64() : (reader) => reader.u64();
  return (reader) => limbs(reader, bits, signed);
}

function decimal(precision: number, scale: number): ReadValue {
  const bits = decimalBits(precision);
  if (bits === 32) return (reader) => formatUnscaled(BigInt(reader.i32()), scale);
  return (reader) => formatUnscaled(limbs(reader, bits, true), scale);
}

function uuid(reader: ByteReader): string {
  const high = reader.u64().toString(16).padStart(16, "0");
  const low = reader.u64().toString(16).padStart(16, "0");
  return `${high.slice(0, 8)}-${high.slice(8, 12)}-${high.slice(12)}-${low.slice(0, 4)}-${low.slice(4)}`;
}

function moment(bits: 32 | 64, precision: number): ReadValue {
  if (bits === 32) return (reader) => reader.u32() * 1000;
  if (precision > 3) return (reader) => reader.i64();
  const msPerTick = 10 ** (3 - precision);
  return (reader) => reader.i64Number() * msPerTick;
}

function enumeration(bits: 8 | 16, values: ReadonlyMap<string, number>): ReadValue {
  const names = new Map([...values].map(([name, value]) => [value, name] as const));
  const read = integer(bits, true);
  return (reader) => {
    const value = read(reader) as number;
    const name = names.get(value);
    if (name === undefined) throw new RangeError(`${value} is no value of the enum`);
    return name;
  };
}

function array(inner: AnyColumn): ReadValue {
  const read = compileReadValue(inner);
  return (reader) => {
    const length = reader.varint();
    const out: unknown[] = [];
    for (let index = 0; index < length; index++) out.push(read(reader));
    return out;
  };
}

function map(key: AnyColumn, inner: AnyColumn): ReadValue {
  const readKey = compileReadValue(key);
  const read = compileReadValue(inner);
  return (reader) => {
    const size = reader.varint();
    const out = new Members();
    for (let index = 0; index < size; index++) {
      const name = String(readKey(reader));
      out[name] = read(reader);
    }
    return out;
  };
}

/** JSON text as a cast gives it: the object itself without a prototype. */
function json(reader: ByteReader): unknown {
  const text = reader.text();
  if (text === "{}") return NO_MEMBERS;
  // Entry by entry: `__proto__` is a name like any other.
  const out = new Members();
  for (const [name, member] of Object.entries(parseStored(text) as object)) out[name] = member;
  return out;
}

/** The reader of one column. */
export function compileReadValue({ type }: AnyColumn): ReadValue {
  switch (type.kind) {
    case "integer":
      return integer(type.bits, type.signed);
    case "float":
      return type.bits === 32 ? (reader) => reader.f32() : (reader) => reader.f64();
    case "decimal":
      return decimal(type.precision, type.scale);
    case "string":
      return (reader) => reader.text();
    case "fixedString":
      return (reader) => reader.bytes(type.bytes).utf8Slice(0, type.bytes);
    case "enum":
      return enumeration(type.bits, type.values);
    case "bool":
      return (reader) => reader.u8() !== 0;
    case "uuid":
      return uuid;
    case "date":
      return type.bits === 16 ? (reader) => formatDay(reader.u16()) : (reader) => formatDay(reader.i32());
    case "dateTime":
      return moment(type.bits, type.precision);
    case "nullable": {
      const read = compileReadValue(type.inner);
      return (reader) => (reader.u8() === 0 ? read(reader) : null);
    }
    case "lowCardinality":
      return compileReadValue(type.inner);
    case "array":
      return array(type.inner);
    case "map":
      return map(type.key, type.value);
    case "json":
    case "rest":
      return json;
  }
}
