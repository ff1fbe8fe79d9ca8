import { type AnyColumn, exact, type RecordSchema, TopologyError } from "@iot-topology/core";
import { defaultOf, exactNumber } from "../default-of.ts";
import { FIELD_NAME, isNullable, namedColumns, plainColumn } from "../plain-column.ts";
import { avroShape, scaledTicks } from "./avro-shape.ts";
import { twosComplementBytes } from "./avro-writer.ts";

/** An Avro schema as JSON. Numbers beyond 2^53 in defaults stand as source text, so make its text with `JSON.stringify`. */
export type AvroSchema = { readonly [key: string]: unknown };

/** Options of {@link toAvroSchema}. */
export interface AvroSchemaOptions {
  /** The namespace of the record and of its enums. */
  readonly namespace?: string;
}

/** A type, and its names under the path of its field. */
function avroType(column: AnyColumn, path: string): unknown {
  const shape = avroShape(column);
  switch (shape.kind) {
    case "uuid":
    case "json":
      return { type: "string", logicalType: shape.kind };
    case "isoText":
      return "string";
    case "date":
      return { type: "int", logicalType: "date" };
    case "bigInteger":
      return { type: "bytes", logicalType: "decimal", precision: shape.precision, scale: 0 };
    case "decimal":
      return { type: "bytes", logicalType: "decimal", precision: shape.precision, scale: shape.scale };
    case "timestamp":
      return { type: "long", logicalType: `timestamp-${shape.unit}` };
    case "enum":
      return { type: "enum", name: path, symbols: shape.symbols };
    case "union":
      return shape.nullFirst ? ["null", avroType(shape.inner, path)] : [avroType(shape.inner, path), "null"];
    case "array":
      return { type: "array", items: avroType(shape.inner, path) };
    case "map":
      return { type: "map", values: avroType(shape.inner, path) };
    default:
      return shape.kind;
  }
}

const latin1 = (value: bigint): string => twosComplementBytes(value).toString("latin1");

function longDefault(value: bigint): unknown {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : exactNumber(String(value));
}

/** A value as the JSON of an Avro default: bytes are text of code points 0 to 255. */
function avroDefault(outer: AnyColumn, value: unknown): unknown {
  const column = plainColumn(outer) as AnyColumn;
  const { type } = column;
  const shape = avroShape(column);
  switch (shape.kind) {
    case "int":
    case "long":
      return type.kind === "integer" ? longDefault(exact.integer(value, type.bits, type.signed)) : value;
    case "bigInteger":
      return type.kind === "integer" ? latin1(exact.integer(value, type.bits, type.signed)) : value;
    case "decimal":
      return latin1(exact.decimal(value, shape.precision, shape.scale));
    case "date":
      return type.kind === "date" ? exact.day(value, type.bits) : value;
    case "timestamp":
      return type.kind === "dateTime" ? longDefault(scaledTicks(exact.ticks(value, type.bits, type.precision), type, shape.digits)) : value;
    case "isoText":
      return type.kind === "dateTime" ? exact.momentText(exact.ticks(value, type.bits, type.precision), type.precision) : value;
    case "json":
      return exact.jsonText(value);
    case "array":
      return (value as readonly unknown[]).map((element) => elementDefault(shape.inner, element));
    case "map":
      return Object.fromEntries(Object.entries(value as object).map(([key, member]) => [key, elementDefault(shape.inner, member)]));
    default:
      return value;
  }
}

/** Inside arrays and maps a default may name any branch of a union since Avro 1.12; earlier readers take null only, the first. */
function elementDefault(column: AnyColumn, value: unknown): unknown {
  return value === null ? null : avroDefault(column, value);
}

/** The default of a field: of its union's first branch, which is null unless the default is a value (see avro-shape.ts). */
function fieldDefault(column: AnyColumn): { readonly default?: unknown } {
  if (column.kind === "rest") return { default: "{}" };
  if (column.settings.hasDefault) return { default: elementDefault(column, defaultOf(column)) };
  return isNullable(column) ? { default: null } : {};
}

/**
 * The Avro schema of a record: each column exact (see avro-shape.ts for the table). Absent fields take their defaults, as in a cast, and a nullable column's is null.
 *
 * Throws SCHEMA_INVALID where the record's name is no Avro name or two columns would share one.
 *
 * @example
 * JSON.stringify(toAvroSchema(Reading, { namespace: "com.example" }));
 */
export function toAvroSchema(schema: RecordSchema<unknown, unknown>, options: AvroSchemaOptions = {}): AvroSchema {
  const { namespace } = options;
  if (!FIELD_NAME.test(schema.name) || (namespace !== undefined && !namespace.split(".").every((part) => FIELD_NAME.test(part)))) {
    throw new TopologyError("SCHEMA_INVALID", `${JSON.stringify(schema.name)}${namespace === undefined ? "" : ` in ${JSON.stringify(namespace)}`} is no Avro name`, {
      place: `schema ${schema.name}`,
      cure: "name the record with letters, digits and _, not starting with a digit",
    });
  }
  const fields = namedColumns(schema).map(({ field, column }) => ({
    name: field,
    type: avroType(column, `${schema.name}_${field}`),
    ...(column.settings.description === undefined ? {} : { doc: column.settings.description }),
    ...fieldDefault(column),
  }));
  return { type: "record", name: schema.name, ...(namespace === undefined ? {} : { namespace }), fields };
}
