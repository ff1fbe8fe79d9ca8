import { ByteWriter, type TopologyError } from "../model/index.ts";
import { describeValue } from "./cast-failure.ts";
import type { AnyColumn, ColumnType, IntegerBits } from "./column.ts";
import { UUID_SHAPE } from "./column-cast.ts";
import { formatUnscaled } from "./decimal.ts";
import { formatTicks, parseDay, writeMs } from "./instant.ts";
import { generate, literal, memoise } from "./generate.ts";
import { stringifyObject } from "./json-text.ts";
import { integerRange } from "./number-cast.ts";
import type { RecordSchema } from "./record-schema.ts";
import { encodeError } from "./row-encoder.ts";
import { bigTicks, exactDecimal, mapKeyOf, smallTicks, wellFormed } from "./row-writer.ts";
import { dayRange } from "./time-cast.ts";

/** JSON text of one value of a column. Throws a RangeError on what the column cannot hold. */
type JsonOf = (value: unknown) => string;
/** The same, written as UTF-8. */
type WriteJson = (writer: ByteWriter, value: unknown) => void;
type OtherType = Extract<ColumnType, { readonly kind: "decimal" | "fixedString" | "enum" | "bool" | "uuid" | "date" | "json" | "rest" }>;

function unfit(type: string, value: unknown): never {
  throw new RangeError(`expected ${type}, got ${describeValue(value)}`);
}

function integer(low: bigint, high: bigint): JsonOf {
  return (value) => {
    const exact = typeof value === "bigint" || (typeof value === "number" && Number.isSafeInteger(value));
    return exact && value >= low && value <= high ? String(value) : unfit(`an exact integer from ${low} to ${high}`, value);
  };
}

function float(value: unknown): string {
  if (typeof value !== "number" || !Number.isFinite(value)) unfit("a finite number", value);
  return Object.is(value, -0) ? "-0" : String(value);
}

function text(check: (value: string) => boolean, type: string): JsonOf {
  return (value) => (typeof value === "string" && check(value) ? JSON.stringify(value) : unfit(type, value));
}

/** The text of a column's values, of the kinds that {@link compileWriteJson} does not write by itself. */
function compileJsonOf(type: OtherType): JsonOf {
  switch (type.kind) {
    case "decimal":
      return (value) => formatUnscaled(exactDecimal(value, type.precision, type.scale), type.scale);
    case "fixedString":
      return text((value) => value.isWellFormed() && Buffer.byteLength(value) === type.bytes, `text of ${type.bytes} bytes`);
    case "enum":
      return text((value) => type.values.has(value), "a name of the enum");
    case "bool":
      return (value) => (typeof value === "boolean" ? String(value) : unfit("a boolean", value));
    case "uuid":
      return text((value) => UUID_SHAPE.test(value), "a UUID");
    case "date": {
      const [first, last] = dayRange(type.bits);
      return text((value) => parseDay(value) >= first && parseDay(value) <= last, "a day as YYYY-MM-DD in the column's range");
    }
    case "json":
    case "rest":
      return stringifyObject;
  }
}

/** The rest's members as they follow the other fields. A member that would repeat a field is refused: which of the two stood would be chance. */
function restMembers(known: ReadonlySet<string>): JsonOf {
  return (value) => {
    const json = stringifyObject(value);
    if (json === "{}") return "";
    for (const name of Object.keys(value as object)) if (known.has(name)) throw new RangeError(`the rest repeats the field ${JSON.stringify(name)}`);
    return `,${json.slice(1, -1)}`;
  };
}

const PLAIN_TEXT_MAX = 64;
const QUOTE = 34;
const COMMA = 44;
const COLON = 58;
const BRACKET = 91;
const BACKSLASH = 92;
const BRACKET_END = 93;
const BRACE = 123;
const BRACE_END = 125;

/** Text in quotes. Short text without anything to escape, nearly all that there is, is copied without a text in between. */
function writeText(writer: ByteWriter, value: unknown): void {
  if (typeof value === "string" && value.length <= PLAIN_TEXT_MAX) {
    const { length } = value;
    writer.ensure(length + 2);
    const { buffer, position } = writer;
    buffer[position] = QUOTE;
    let at = 0;
    for (; at < length; at++) {
      const code = value.charCodeAt(at);
      if (code < 32 || code >= 0x80 || code === QUOTE || code === BACKSLASH) break;
      buffer[position + 1 + at] = code;
    }
    if (at === length) {
      buffer[position + 1 + length] = QUOTE;
      writer.position = position + length + 2;
      return;
    }
  }
  writer.utf8(JSON.stringify(wellFormed(value)));
}

function writeFloat(writer: ByteWriter, value: unknown): void {
  if (Number.isSafeInteger(value) && (value as number) > 0) writer.digits(value as number);
  else writer.utf8(float(value));
}

function writeInteger(bits: IntegerBits, signed: boolean): WriteJson {
  const json = integer(...integerRange(bits, signed));
  const numberMax = bits > 32 ? Number.MAX_SAFE_INTEGER : 2 ** (signed ? bits - 1 : bits) - 1;
  return (writer, value) => {
    if (typeof value === "number" && value >= 0 && value <= numberMax && Number.isInteger(value)) writer.digits(value);
    else writer.utf8(json(value));
  };
}

function writeMoment(bits: 32 | 64, precision: number): WriteJson {
  if (precision > 3) {
    const ticks = bigTicks(precision);
    return (writer, value) => writer.utf8(`"${formatTicks(ticks(value), precision)}"`);
  }
  const ticks = smallTicks(bits, precision);
  const msPerTick = 10 ** (3 - precision);
  return (writer, value) => {
    const ms = ticks(value) * msPerTick;
    writer.u8(QUOTE);
    writeMs(writer, ms);
    writer.u8(QUOTE);
  };
}

function writeArray(inner: AnyColumn): WriteJson {
  const write = compileWriteJson(inner);
  return (writer, value) => {
    if (!Array.isArray(value)) unfit("an array", value);
    writer.u8(BRACKET);
    for (let index = 0; index < value.length; index++) {
      if (index > 0) writer.u8(COMMA);
      write(writer, value[index]);
    }
    writer.u8(BRACKET_END);
  };
}

function writeMap(key: AnyColumn, inner: AnyColumn): WriteJson {
  const writeKey = compileWriteJson(key);
  const keyOf = mapKeyOf(key.type);
  const write = compileWriteJson(inner);
  return (writer, value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) unfit("an object", value);
    writer.u8(BRACE);
    for (const [index, [name, member]] of Object.entries(value).entries()) {
      if (index > 0) writer.u8(COMMA);
      // For its check alone: names of members are text whatever the key's column.
      const { position } = writer;
      writeKey(writer, keyOf(name));
      writer.position = position;
      writer.utf8(JSON.stringify(name));
      writer.u8(COLON);
      write(writer, member);
    }
    writer.u8(BRACE_END);
  };
}

/** The usual columns written by hand, all others as their text. */
function compileWriteJson({ type }: AnyColumn): WriteJson {
  switch (type.kind) {
    case "integer":
      return writeInteger(type.bits, type.signed);
    case "float":
      return writeFloat;
    case "string":
      return writeText;
    case "dateTime":
      return writeMoment(type.bits, type.precision);
    case "nullable": {
      const write = compileWriteJson(type.inner);
      return (writer, value) => (value === null || value === undefined ? writer.utf8("null") : write(writer, value));
    }
    case "lowCardinality":
      return compileWriteJson(type.inner);
    case "array":
      return writeArray(type.inner);
    case "map":
      return writeMap(type.key, type.value);
    default: {
      const json = compileJsonOf(type);
      return (writer, value) => writer.utf8(json(value));
    }
  }
}

const writerOf = memoise((schema: RecordSchema<unknown, unknown>): WriteJson => {
  const bindings: Record<string, unknown> = { refuse: (at: number, error: unknown): TopologyError => encodeError(schema, at, error) };
  const fields = schema.columns.map((column, index) => ({ ...column, index }));
  const named = fields.filter(({ column }) => column.kind !== "rest");
  const lines = named.map(({ name, from, column, index }, place) => {
    bindings[`j${index}`] = compileWriteJson(column);
    return `at = ${index}; w.utf8(${literal(`${place === 0 ? "{" : ","}${JSON.stringify(from)}:`)}); j${index}(w, value[${literal(name)}]);`;
  });
  for (const { name, index } of fields.filter(({ column }) => column.kind === "rest")) {
    bindings[`j${index}`] = restMembers(new Set(named.map(({ from }) => from)));
    const members = `j${index}(value[${literal(name)}])`;
    lines.push(`at = ${index}; w.utf8(${named.length === 0 ? `"{" + ${members}.slice(1)` : members});`);
  }
  if (fields.length === 0) lines.push('w.u8(123);');
  const body = `let at = 0;\ntry {\n${lines.join("\n")}\n} catch (error) {\nthrow refuse(at, error);\n}\nw.u8(125);`;
  return generate<WriteJson>(bindings, `return function writeJson(w, value) {\n${body}\n};`);
});

/** Compiles {@link compileJsonEncoder}'s text as UTF-8 appended to a writer. A throw leaves part of it there. */
export function compileJsonWriter<Out, In>(schema: RecordSchema<Out, In>): (writer: ByteWriter, value: In) => void {
  return writerOf(schema);
}

const encoderOf = memoise((schema: RecordSchema<unknown, unknown>): JsonOf => {
  const write = writerOf(schema);
  const scratch = new ByteWriter(1 << 10);
  return (value) => {
    scratch.reset();
    write(scratch, value);
    return scratch.buffer.utf8Slice(0, scratch.position);
  };
});

/**
 * Compiles the encoder of a record as JSON text that its own cast reads back exactly: 64-bit integers and decimals as JSON numbers, moments as
 * ISO-8601 in UTC, fields under their JSON names, the rest's members beside them.
 *
 * Throws a `TopologyError` `CAST_FAILED` naming the field when a value does not fit its column.
 */
export function compileJsonEncoder<Out, In>(schema: RecordSchema<Out, In>): (value: In) => string {
  return encoderOf(schema);
}
