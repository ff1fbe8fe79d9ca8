import { type AnyColumn, exact, type RecordSchema } from "@iot-topology/core";
import type { Field, MapField, Type } from "protobufjs";
import protobuf from "protobufjs";
import { exactNumber } from "../default-of.ts";
import { compileProtoCheck } from "./proto-check.ts";
import { fieldColumn, plainColumn } from "../plain-column.ts";
import { type PlainMembers, plainMembers } from "../plain-members.ts";

/** A decoded message or a part of it to a plain value, as `JSON.parse` gives them. */
type ProtoRead = (value: unknown) => unknown;

const DEPTH_MAX = 64;
const TWO_32 = 4_294_967_296;

interface LongLike {
  readonly low: number;
  readonly high: number;
  readonly unsigned: boolean;
}

/** A 64-bit integer: a number where it is safe, else a bigint. */
export function longOf(value: unknown): number | bigint {
  if (typeof value === "number") return value;
  const { low, high, unsigned } = value as LongLike;
  const number = (unsigned ? high >>> 0 : high) * TWO_32 + (low >>> 0);
  return Number.isSafeInteger(number) ? number : (BigInt(unsigned ? high >>> 0 : high) << 32n) + BigInt(low >>> 0);
}

const LONGS: ReadonlySet<string> = new Set(["int64", "uint64", "sint64", "fixed64", "sfixed64"]);
const WRAPPERS: ReadonlySet<string> = new Set(["DoubleValue", "FloatValue", "Int64Value", "UInt64Value", "Int32Value", "UInt32Value", "BoolValue", "StringValue", "BytesValue"].map((name) => `.google.protobuf.${name}`));

/** Whether a message type is Google's Timestamp. */
export function isTimestamp(type: unknown): boolean {
  return type instanceof protobuf.Type && type.fullName === ".google.protobuf.Timestamp";
}

/** A Timestamp as epoch milliseconds where that is whole, else as ISO-8601 text. */
function momentOf(value: unknown): unknown {
  const { seconds, nanos } = value as { readonly seconds: unknown; readonly nanos: number };
  const whole = longOf(seconds);
  if (typeof whole === "number" && nanos % 1_000_000 === 0) return whole * 1_000 + nanos / 1_000_000;
  return exact.momentText(BigInt(whole) * 1_000_000_000n + BigInt(nanos), 9);
}

function bytesOf(column: AnyColumn | undefined): ProtoRead {
  const isText = column?.kind === "string" || column?.kind === "fixedString";
  return (value) => {
    // What was absent is an empty array of the library's, not bytes.
    return Buffer.from(value as Uint8Array).toString(isText ? "utf8" : "base64");
  };
}

function jsonText(value: unknown): unknown {
  try {
    return exact.parseJson(value as string);
  } catch {
    return value; // the column's cast refuses it, by name
  }
}

/** The read of one value of a field. */
function valueRead(field: Field, column: AnyColumn | undefined, depth: number): ProtoRead {
  const { resolvedType } = field;
  if (resolvedType instanceof protobuf.Enum) return (value) => resolvedType.valuesById[value as number] ?? value;
  if (resolvedType instanceof protobuf.Type) {
    if (isTimestamp(resolvedType)) return momentOf;
    if (WRAPPERS.has(resolvedType.fullName)) {
      const inner = valueRead(resolvedType.fieldsArray[0] as Field, column, depth);
      return (value) => inner((value as { readonly value: unknown }).value);
    }
    return messageRead(resolvedType, depth + 1);
  }
  // In a JSON column a bigint is no value; its source text is.
  if (LONGS.has(field.type)) return column === undefined ? (value) => jsonLong(longOf(value)) : longOf;
  if (field.type === "bytes") return bytesOf(column);
  return field.type === "string" && column?.kind === "json" ? jsonText : (value) => value;
}

function jsonLong(value: number | bigint): unknown {
  return typeof value === "bigint" ? exactNumber(String(value)) : value;
}

function mapRead(field: MapField, column: AnyColumn | undefined, depth: number): ProtoRead {
  const read = valueRead(field as unknown as Field, column?.type.kind === "map" ? plainColumn(column.type.value) : undefined, depth);
  // Keys of 64 bits come as eight characters that hold their bytes.
  const keyOf = LONGS.has(field.keyType) ? (key: string) => String(longOf(protobuf.util.longFromHash(key, field.keyType.startsWith("u") || field.keyType === "fixed64"))) : (key: string) => key;
  return (value) => {
    const out = plainMembers();
    for (const [key, member] of Object.entries(value as object)) out[keyOf(key)] = read(member);
    return out;
  };
}

function fieldRead(field: Field, outer: AnyColumn | undefined, depth: number): ProtoRead {
  const column = plainColumn(outer);
  if (field instanceof protobuf.MapField) return mapRead(field, column, depth);
  if (!field.repeated) return valueRead(field, column, depth);
  const read = valueRead(field, column?.type.kind === "array" ? plainColumn(column.type.inner) : undefined, depth);
  return (value) => (value as readonly unknown[]).map(read);
}

/** Whether a field of a message is there: one that keeps no presence always is, with its default. The library says that of messages too, which have no default. */
export function isPresent(message: object, field: Field): boolean {
  const isMessage = field.resolvedType instanceof protobuf.Type && !field.repeated && !field.map;
  return (!field.hasPresence && !isMessage) || Object.hasOwn(message, field.name);
}

/** A message inside a message, its fields under their own names. Compiled at its first use, for a message may hold itself. */
function messageRead(type: Type, depth: number): ProtoRead {
  let fields: { readonly field: Field; readonly read: ProtoRead }[] | undefined;
  return (message) => {
    if (depth > DEPTH_MAX) throw new RangeError(`the value is nested deeper than ${DEPTH_MAX}`);
    fields ??= type.fieldsArray.map((field) => ({ field, read: fieldRead(field, undefined, depth) }));
    const out = plainMembers();
    for (const { field, read } of fields) if (isPresent(message as object, field)) out[field.name] = read((message as Record<string, unknown>)[field.name]);
    return out;
  };
}

/** A field's name in JSON, as Protobuf's JSON mapping has it: `device_id` is `deviceId`. */
export function jsonName(name: string): string {
  return name.replace(/_+([a-zA-Z0-9])/g, (_all, letter: string) => letter.toUpperCase());
}

/**
 * Compiles the reader of a message type for our schema: a column takes the field of its JSON name, either as it stands or in lower camel case. Absent fields take the column's default,
 * but those without presence are never absent (proto3). Other fields are left out, unless ours has a rest.
 */
export function compileProtoReader(type: Type, schema: RecordSchema<unknown, unknown>): (bytes: Uint8Array) => PlainMembers {
  const hasRest = schema.columns.some(({ column }) => column.kind === "rest");
  const fields = type.fieldsArray.flatMap((field) => {
    const column = fieldColumn(schema, field.name, [jsonName(field.name)]);
    if (column === undefined && !hasRest) return [];
    return [{ field, name: column?.from ?? field.name, read: fieldRead(field, column?.column, 1) }];
  });
  const check = compileProtoCheck(type);
  return (bytes) => {
    check(bytes);
    const message = type.decode(bytes) as unknown as Record<string, unknown>;
    const out = plainMembers();
    for (const { field, name, read } of fields) if (isPresent(message, field)) out[name] = read(message[field.name]);
    return out;
  };
}
