import { type AnyColumn, type ByteWriter, type ColumnType, exact, type RecordSchema, TopologyError } from "@iot-topology/core";
import { namedColumns, plainColumn } from "../plain-column.ts";
import { avroShape, type AvroShape, scaledTicks } from "./avro-shape.ts";

/** Writes one value as Avro binary. Throws a RangeError on what the column cannot hold. */
type AvroWrite = (writer: ByteWriter, value: unknown) => void;

// Twice a number below this, and its zigzag form, are exact in a double.
const ZIGZAG_NUMBER_MAX = 2 ** 51;

/** A zigzag varint. */
export function writeLong(writer: ByteWriter, value: number | bigint): void {
  const number = Number(value);
  if (Math.abs(number) < ZIGZAG_NUMBER_MAX) return writer.varint(number >= 0 ? number * 2 : -number * 2 - 1);
  const long = BigInt(value);
  let rest = BigInt.asUintN(64, (long << 1n) ^ (long >> 63n));
  for (; rest >= 0x80n; rest >>= 7n) writer.u8(Number(rest & 0x7fn) | 0x80);
  writer.u8(Number(rest));
}

/** Text behind its size in bytes. */
function writeText(writer: ByteWriter, text: string): void {
  const size = Buffer.byteLength(text);
  writer.varint(size * 2);
  writer.ensure(size);
  writer.position += writer.buffer.utf8Write(text, writer.position);
}

/** The least bytes of a big-endian two's complement. */
export function twosComplementBytes(value: bigint): Buffer {
  let bits = 8n;
  while (value < -(1n << (bits - 1n)) || value >= 1n << (bits - 1n)) bits += 8n;
  return Buffer.from(BigInt.asUintN(Number(bits), value).toString(16).padStart(Number(bits) / 4, "0"), "hex");
}

function writeDecimal(writer: ByteWriter, value: bigint): void {
  const bytes = twosComplementBytes(value);
  writer.varint(bytes.length * 2);
  writer.bytes(bytes);
}

function unfit(type: string, value: unknown): never {
  throw new RangeError(`expected ${type}, got a value of type ${value === null ? "null" : typeof value}`);
}

function enumWrite(symbols: readonly string[]): AvroWrite {
  const indexes = new Map(symbols.map((symbol, index) => [symbol, index] as const));
  return (writer, value) => writeLong(writer, indexes.get(value as string) ?? unfit("a name of the enum", value));
}

/** Text of whatever column is text in Avro. */
function checkedText(column: AnyColumn): (value: unknown) => string {
  const { type } = column;
  if (type.kind === "enum") return (value) => (typeof value === "string" && type.values.has(value) ? value : unfit("a name of the enum", value));
  if (type.kind !== "fixedString") return exact.text;
  return (value) => {
    const text = exact.text(value);
    return Buffer.byteLength(text) === type.bytes ? text : unfit(`text of ${type.bytes} bytes`, value);
  };
}

const UUID_SHAPE = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function scalarWrite(shape: AvroShape, column: AnyColumn): AvroWrite {
  const { type } = column;
  switch (shape.kind) {
    case "float":
      return (writer, value) => writer.f32(typeof value === "number" ? value : unfit("a number", value));
    case "double":
      return (writer, value) => writer.f64(typeof value === "number" ? value : unfit("a number", value));
    case "boolean":
      return (writer, value) => writer.u8(typeof value === "boolean" ? Number(value) : unfit("a boolean", value));
    case "uuid":
      return (writer, value) => writeText(writer, typeof value === "string" && UUID_SHAPE.test(value) ? value : unfit("a UUID", value));
    case "json":
      return (writer, value) => writeText(writer, exact.jsonText(value));
    case "enum":
      return enumWrite(shape.symbols);
    case "decimal":
      return (writer, value) => writeDecimal(writer, exact.decimal(value, shape.precision, shape.scale));
    case "string": {
      const text = checkedText(column);
      return (writer, value) => writeText(writer, text(value));
    }
    default:
      return type.kind === "integer" ? integerWrite(shape, type) : timeWrite(shape, type);
  }
}

function integerWrite(shape: AvroShape, { bits, signed }: Extract<ColumnType, { kind: "integer" }>): AvroWrite {
  if (shape.kind === "bigInteger") return (writer, value) => writeDecimal(writer, exact.integer(value, bits, signed));
  // Numbers, which nearly all are, need no bigint: three times faster.
  const low = signed ? -(2 ** (bits - 1)) : 0;
  const high = 2 ** (signed ? bits - 1 : bits) - 1;
  return (writer, value) => writeLong(writer, typeof value === "number" && Number.isSafeInteger(value) && value >= low && value <= high ? value : exact.integer(value, bits, signed));
}

function timeWrite(shape: AvroShape, type: ColumnType): AvroWrite {
  if (type.kind === "date") return (writer, value) => writeLong(writer, exact.day(value, type.bits));
  if (type.kind !== "dateTime") throw new RangeError(`${type.kind} has no Avro form`);
  const { bits, precision } = type;
  if (shape.kind !== "timestamp") return (writer, value) => writeText(writer, exact.momentText(exact.ticks(value, bits, precision), precision));
  return (writer, value) => writeLong(writer, scaledTicks(exact.ticks(value, bits, precision), type, shape.digits));
}

/** A block of all elements and the end mark; no block where there are none. */
function blockWrite<T>(writer: ByteWriter, elements: readonly T[], write: (element: T) => void): void {
  if (elements.length > 0) {
    writeLong(writer, elements.length);
    for (const element of elements) write(element);
  }
  writer.u8(0);
}

function columnWrite(column: AnyColumn): AvroWrite {
  const shape = avroShape(column);
  switch (shape.kind) {
    case "union": {
      const write = columnWrite(shape.inner);
      return (writer, value) => {
        const isNull = value === null || value === undefined;
        writeLong(writer, isNull === shape.nullFirst ? 0 : 1);
        if (!isNull) write(writer, value);
      };
    }
    case "array": {
      const write = columnWrite(shape.inner);
      return (writer, value) => (Array.isArray(value) ? blockWrite(writer, value, (element) => write(writer, element)) : unfit("an array", value));
    }
    case "map": {
      const write = columnWrite(shape.inner);
      return (writer, value) => {
        if (typeof value !== "object" || value === null || Array.isArray(value)) unfit("an object", value);
        blockWrite(writer, Object.entries(value), ([key, member]) => {
          writeText(writer, exact.text(key));
          write(writer, member);
        });
      };
    }
    default:
      return scalarWrite(shape, plainColumn(column) ?? column);
  }
}

/** The rest's text. A member that would repeat a field is refused, as in JSON: which of the two stood would be chance. */
function restWrite(schema: RecordSchema<unknown, unknown>): AvroWrite {
  const known = new Set(schema.columns.filter(({ column }) => column.kind !== "rest").map(({ from }) => from));
  return (writer, value) => {
    const text = exact.jsonText(value);
    for (const name of Object.keys(value as object)) if (known.has(name)) throw new RangeError(`the rest repeats the field ${JSON.stringify(name)}`);
    writeText(writer, text);
  };
}

/** Compiles the Avro encoder of a schema, for the bytes that {@link toAvroSchema} describes. Throws a TopologyError CAST_FAILED naming the field when a value does not fit. */
export function compileAvroWriter(schema: RecordSchema<unknown, unknown>): (writer: ByteWriter, value: unknown) => void {
  const fields = namedColumns(schema).map(({ name, column }) => ({ name, write: column.kind === "rest" ? restWrite(schema) : columnWrite(column) }));
  return (writer, value) => {
    const members = value as Readonly<Record<string, unknown>>;
    for (const { name, write } of fields) {
      try {
        write(writer, members[name]);
      } catch (cause) {
        throw new TopologyError("CAST_FAILED", `${name}: ${cause instanceof Error ? cause.message : String(cause)}`, {
          place: `schema ${schema.name}, field ${name}`,
          cure: "give the column a value of its type",
          cause,
        });
      }
    }
  };
}
