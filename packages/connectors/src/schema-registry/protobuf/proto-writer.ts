import { type AnyColumn, exact, type RecordSchema, type SchemaColumn, TopologyError } from "@iot-topology/core";
import type { Field, Type } from "protobufjs";
import protobuf from "protobufjs";
import { plainColumn } from "../plain-column.ts";
import { isTimestamp, jsonName } from "./proto-reader.ts";

/** A column's value to what the encoder takes for a field. Throws a RangeError on what the field cannot hold. */
type ProtoWrite = (value: unknown) => unknown;

const INTEGERS: Readonly<Record<string, readonly [32 | 64, boolean]>> = {
  int32: [32, true], sint32: [32, true], sfixed32: [32, true], uint32: [32, false], fixed32: [32, false],
  int64: [64, true], sint64: [64, true], sfixed64: [64, true], uint64: [64, false], fixed64: [64, false],
};

/** The encoder takes 64-bit integers as these. */
const Long = protobuf.util.Long as unknown as { fromString(text: string, unsigned?: boolean): unknown };

function integerWrite(bits: 32 | 64, signed: boolean, column: AnyColumn): ProtoWrite {
  const { type } = column;
  if (type.kind === "dateTime" && type.precision > 3) throw new RangeError("an integer holds milliseconds, which are too coarse; a Timestamp or text holds all digits");
  const integerOf = (value: unknown): bigint => {
    if (type.kind === "dateTime") return exact.ticks(value, type.bits, type.precision) * 10n ** BigInt(3 - type.precision);
    return type.kind === "decimal" ? exact.decimal(value, type.precision, 0) : exact.integer(value, 256, true);
  };
  return (value) => {
    const integer = exact.integer(integerOf(value), bits, signed);
    return bits === 32 ? Number(integer) : Long.fromString(String(integer), !signed);
  };
}

/** A column's value as text, for fields of text. */
function textWrite({ type }: AnyColumn): ProtoWrite {
  switch (type.kind) {
    case "decimal":
      return (value) => exact.decimalText(exact.decimal(value, type.precision, type.scale), type.scale);
    case "integer":
      return (value) => String(exact.integer(value, type.bits, type.signed));
    case "dateTime":
      return (value) => exact.momentText(exact.ticks(value, type.bits, type.precision), type.precision);
    case "date":
      return (value) => exact.dayText(exact.day(value, type.bits));
    case "json":
    case "rest":
      return exact.jsonText;
    default:
      return exact.text;
  }
}

function timestampWrite({ type }: AnyColumn): ProtoWrite {
  if (type.kind !== "dateTime") throw new RangeError("a Timestamp takes a dateTime or dateTime64");
  const unit = 10n ** BigInt(type.precision);
  return (value) => {
    const ticks = exact.ticks(value, type.bits, type.precision);
    const fraction = ((ticks % unit) + unit) % unit;
    return { seconds: Long.fromString(String((ticks - fraction) / unit)), nanos: Number(fraction * (1_000_000_000n / unit)) };
  };
}

function enumWrite(values: Readonly<Record<string, number>>): ProtoWrite {
  return (value) => {
    const number = typeof value === "string" && Object.hasOwn(values, value) ? values[value] : undefined;
    if (number === undefined) throw new RangeError(`the enum has no name ${JSON.stringify(value)}`);
    return number;
  };
}

function valueWrite(field: Field, column: AnyColumn): ProtoWrite {
  const { resolvedType } = field;
  if (resolvedType instanceof protobuf.Enum) return enumWrite(resolvedType.values);
  if (resolvedType instanceof protobuf.Type) return isTimestamp(resolvedType) ? timestampWrite(column) : (value) => resolvedType.fromObject(JSON.parse(exact.jsonText(value)) as Record<string, unknown>);
  const integer = INTEGERS[field.type];
  if (integer !== undefined) return integerWrite(integer[0], integer[1], column);
  if (field.type === "string") return textWrite(column);
  if (field.type === "bytes") {
    const text = textWrite(column);
    return (value) => Buffer.from(text(value) as string);
  }
  const wanted = field.type === "bool" ? "boolean" : "number";
  return (value) => {
    if (typeof value !== wanted) throw new RangeError(`expected a ${wanted}, got a ${typeof value}`);
    return value;
  };
}

function fieldWrite(field: Field, outer: AnyColumn): ProtoWrite {
  const column = plainColumn(outer) as AnyColumn;
  const { type } = column;
  if (field instanceof protobuf.MapField) {
    if (type.kind !== "map") throw new RangeError(`a map takes a map, not ${column.clickhouse}`);
    const write = valueWrite(field, plainColumn(type.value) as AnyColumn);
    return (value) => Object.fromEntries(Object.entries(value as object).map(([key, member]) => [key, write(member)]));
  }
  if (!field.repeated) return valueWrite(field, column);
  if (type.kind !== "array") throw new RangeError(`a repeated field takes an array, not ${column.clickhouse}`);
  const write = valueWrite(field, plainColumn(type.inner) as AnyColumn);
  return (value) => {
    if (!Array.isArray(value)) throw new RangeError(`expected an array, got a ${typeof value}`);
    return value.map(write);
  };
}

function compileField(type: Type, schema: RecordSchema<unknown, unknown>, { name, from, column }: SchemaColumn): { readonly name: string; readonly field: string; readonly write: ProtoWrite } {
  const field = type.fieldsArray.find((candidate) => [from, name].includes(candidate.name) || [from, name].includes(jsonName(candidate.name)));
  const place = `schema ${schema.name}, field ${name}`;
  if (field === undefined) {
    throw new TopologyError("SCHEMA_INVALID", `the message ${type.fullName.slice(1)} has no field for ${name}`, { place, cure: "add the field to the .proto, or leave out the column" });
  }
  try {
    return { name, field: field.name, write: fieldWrite(field, column) };
  } catch (cause) {
    throw new TopologyError("SCHEMA_INVALID", `${name} does not fit the field ${field.name} of ${type.fullName.slice(1)}: ${cause instanceof Error ? cause.message : String(cause)}`, { place, cure: "give the field a type that holds the column" });
  }
}

/**
 * Compiles the encoder of a schema as a message type. 64-bit integers, decimals and JSON may be fields of text; moments are Timestamps, text, or epoch milliseconds.
 * Throws SCHEMA_INVALID where a column has no field; the encoder throws CAST_FAILED naming the field when a value does not fit.
 */
export function compileProtoWriter(type: Type, schema: RecordSchema<unknown, unknown>): (value: unknown) => Uint8Array {
  const fields = schema.columns.map((column) => compileField(type, schema, column));
  return (value) => {
    const members = value as Readonly<Record<string, unknown>>;
    const message: Record<string, unknown> = {};
    for (const { name, field, write } of fields) {
      const member = members[name];
      if (member === null || member === undefined) continue;
      try {
        message[field] = write(member);
      } catch (cause) {
        throw new TopologyError("CAST_FAILED", `${name}: ${cause instanceof Error ? cause.message : String(cause)}`, { place: `schema ${schema.name}, field ${name}`, cure: "give the column a value of its type", cause });
      }
    }
    return type.encode(message).finish();
  };
}
