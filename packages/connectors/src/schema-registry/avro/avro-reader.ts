/**
 * Reads Avro binary with the writer's schema into plain values, as `JSON.parse` gives them, which our schema then casts: integers are numbers or bigints, decimals text,
 * moments epoch milliseconds or ISO-8601 text, days `YYYY-MM-DD`. So an evolved schema needs no rules of its own: absent fields take defaults, unknown ones are left out or
 * go to the rest, exactly as with JSON.
 */
import { type AnyColumn, exact, type RecordSchema } from "@iot-topology/core";
import { exactNumber } from "../default-of.ts";
import { fieldColumn, plainColumn } from "../plain-column.ts";
import { type PlainMembers, plainMembers } from "../plain-members.ts";
import type { AvroField, AvroPrimitive, AvroRecord, AvroType } from "./avro-type.ts";
import type { ByteCursor } from "../byte-cursor.ts";

/** Reads one value. Throws a RangeError on bytes that are not of the type. */
export type AvroRead = (cursor: ByteCursor) => unknown;

/** Elements of one array or map at most: an element may take no byte at all, so the payload's size alone is no bound. */
const ELEMENTS_MAX = 1_000_000;
const DEPTH_MAX = 64;

/** What one compilation knows. Records are compiled once, so that one may hold itself; `depth` is how deep the value being read stands. */
interface Compile {
  readonly records: Map<AvroRecord, AvroRead>;
  depth: number;
}

/** The number of bytes in a block of an array or a map; 0 at its end. A negative count is followed by the block's size in bytes. */
function blockCount(cursor: ByteCursor): number {
  const count = cursor.long();
  if (typeof count === "bigint" || Math.abs(count) > ELEMENTS_MAX) throw new RangeError(`a block has ${count} elements`);
  if (count < 0) cursor.size();
  return Math.abs(count);
}

function eachElement(cursor: ByteCursor, take: (index: number) => void): void {
  let index = 0;
  for (let count = blockCount(cursor); count > 0; count = blockCount(cursor)) {
    if (index + count > ELEMENTS_MAX) throw new RangeError(`more than ${ELEMENTS_MAX} elements`);
    for (const end = index + count; index < end; index++) take(index);
  }
}

/** Big-endian two's complement: how Avro holds a decimal's integer. */
function twosComplement(bytes: Buffer): bigint {
  if (bytes.length === 0) return 0n;
  if (bytes.length > 64) throw new RangeError(`a decimal has ${bytes.length} bytes`);
  return BigInt.asIntN(bytes.length * 8, BigInt(`0x${bytes.toString("hex")}`));
}

const TICK_DIGITS: Readonly<Record<string, number>> = { "timestamp-millis": 3, "timestamp-micros": 6, "timestamp-nanos": 9, "local-timestamp-millis": 3, "local-timestamp-micros": 6, "local-timestamp-nanos": 9 };

/** Ticks as epoch milliseconds where that is whole, else as ISO-8601 text, whose digits beyond a column's precision a cast cuts off. */
function momentOf(ticks: number | bigint, digits: number): unknown {
  if (digits === 3) return ticks;
  const perMs = 10 ** (digits - 3);
  if (typeof ticks === "number" && ticks % perMs === 0) return ticks / perMs;
  return exact.momentText(BigInt(ticks), digits);
}

const isNumber = (column: AnyColumn | undefined): boolean => column?.kind === "integer" || column?.kind === "float";

/** An integer on its way into a JSON column, where a bigint is no value. */
function jsonInteger(value: number | bigint): unknown {
  return typeof value === "bigint" ? exactNumber(String(value)) : value;
}

function integerRead(type: AvroPrimitive, column: AnyColumn | undefined): AvroRead {
  // A column of integers takes a moment's or a day's number as it stands.
  const logical = isNumber(column) ? "" : type.logical;
  if (logical === "date") {
    return (cursor) => {
      const days = cursor.long();
      return typeof days === "number" && Math.abs(days) < 3_000_000 ? exact.dayText(days) : days;
    };
  }
  const digits = TICK_DIGITS[logical];
  if (digits !== undefined) return (cursor) => momentOf(cursor.long(), digits);
  return column === undefined ? (cursor) => jsonInteger(cursor.long()) : (cursor) => cursor.long();
}

function jsonOrText(text: string): unknown {
  try {
    return exact.parseJson(text);
  } catch {
    return text; // the column's cast refuses it, by name
  }
}

function decimalText(bytes: Buffer, scale: number): string {
  return exact.decimalText(twosComplement(bytes), scale);
}

function primitiveRead(type: AvroPrimitive, column: AnyColumn | undefined): AvroRead {
  switch (type.kind) {
    case "null":
      return () => null;
    case "boolean":
      return (cursor) => {
        const byte = cursor.u8();
        if (byte > 1) throw new RangeError(`a boolean is ${byte}`);
        return byte === 1;
      };
    case "int":
    case "long":
      return integerRead(type, column);
    case "float":
      return (cursor) => cursor.f32();
    case "double":
      return (cursor) => cursor.f64();
    case "bytes":
      if (type.logical === "decimal") return (cursor) => decimalText(cursor.bytes(cursor.size()), type.scale);
      return column?.kind === "string" || column?.kind === "fixedString" || column?.kind === "lowCardinality" ? (cursor) => cursor.text(cursor.size()) : (cursor) => cursor.bytes(cursor.size()).toString("base64");
    case "string":
      return column?.kind === "json" ? (cursor) => jsonOrText(cursor.text(cursor.size())) : (cursor) => cursor.text(cursor.size());
  }
}

function unionRead(compile: Compile, branches: readonly AvroType[], column: AnyColumn | undefined): AvroRead {
  const reads = branches.map((branch) => typeRead(compile, branch, column));
  return (cursor) => {
    const index = cursor.size();
    const read = reads[index];
    if (read === undefined) throw new RangeError(`a union of ${reads.length} has no branch ${index}`);
    return read(cursor);
  };
}

/** A record inside the record: its fields under their own names. */
function recordRead(compile: Compile, type: AvroRecord): AvroRead {
  const known = compile.records.get(type);
  if (known !== undefined) return known;
  const reads: { readonly name: string; readonly read: AvroRead }[] = [];
  const read: AvroRead = (cursor) => {
    if (++compile.depth > DEPTH_MAX) throw new RangeError(`the value is nested deeper than ${DEPTH_MAX}`);
    const out = plainMembers();
    for (const field of reads) out[field.name] = field.read(cursor);
    compile.depth--;
    return out;
  };
  compile.records.set(type, read);
  for (const field of type.fields) reads.push({ name: field.name, read: typeRead(compile, field.type, undefined) });
  return read;
}

function typeRead(compile: Compile, type: AvroType, outer: AnyColumn | undefined): AvroRead {
  const column = plainColumn(outer);
  switch (type.kind) {
    case "record":
      return recordRead(compile, type);
    case "union":
      return unionRead(compile, type.branches, column);
    case "array": {
      const read = typeRead(compile, type.items, column?.type.kind === "array" ? column.type.inner : undefined);
      return (cursor) => {
        const out: unknown[] = [];
        eachElement(cursor, () => out.push(read(cursor)));
        return out;
      };
    }
    case "map": {
      const read = typeRead(compile, type.values, column?.type.kind === "map" ? column.type.value : undefined);
      return (cursor) => {
        const out = plainMembers();
        eachElement(cursor, () => {
          const key = cursor.text(cursor.size());
          out[key] = read(cursor);
        });
        return out;
      };
    }
    case "enum":
      return (cursor) => {
        const index = cursor.size();
        const symbol = type.symbols[index];
        if (symbol === undefined) throw new RangeError(`the enum ${type.name} has no symbol ${index}`);
        return symbol;
      };
    case "fixed":
      return type.logical === "decimal" ? (cursor) => decimalText(cursor.bytes(type.size), type.scale) : (cursor) => cursor.bytes(type.size).toString("base64");
    default:
      return primitiveRead(type, column);
  }
}

/** The members of the rest, as {@link compileAvroWriter} wrote them: beside the other fields, which stand where both have a name. */
function spreadRest(out: PlainMembers, text: string): void {
  const rest = jsonOrText(text);
  if (typeof rest !== "object" || rest === null || Array.isArray(rest)) throw new RangeError("the rest's text is no JSON object");
  for (const [name, value] of Object.entries(rest)) if (!(name in out)) out[name] = value;
}

function isRestOf(schema: RecordSchema<unknown, unknown>, field: AvroField): boolean {
  const { type } = field;
  return type.kind === "string" && type.logical === "json" && schema.columns.some(({ name, column }) => column.kind === "rest" && name === field.name);
}

/**
 * Compiles the reader of a writer's schema for our schema. Fields that ours does not have are skipped, unless ours has a rest.
 * Throws a SyntaxError where the writer's schema is no record.
 */
export function compileAvroReader(type: AvroType, schema: RecordSchema<unknown, unknown>): (cursor: ByteCursor) => PlainMembers {
  if (type.kind !== "record") throw new SyntaxError(`the Avro schema is a ${type.kind}, not a record`);
  const compile: Compile = { records: new Map(), depth: 1 };
  const hasRest = schema.columns.some(({ column }) => column.kind === "rest");
  const fields = type.fields.map((field) => {
    const column = fieldColumn(schema, field.name, field.aliases);
    const isRest = isRestOf(schema, field);
    const keep = column !== undefined || isRest || hasRest;
    return { name: column?.from ?? field.name, isRest, keep, read: typeRead(compile, field.type, column?.column) };
  });
  return (cursor) => {
    const out = plainMembers();
    let rest: string | undefined;
    compile.depth = 1;
    for (const field of fields) {
      const value = field.read(cursor);
      if (field.isRest) rest = value as string;
      else if (field.keep) out[field.name] = value;
    }
    if (rest !== undefined) spreadRest(out, rest);
    return out;
  };
}
