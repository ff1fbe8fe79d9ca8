import { type AnyColumn, compileJsonEncoder, exact, record, type RecordSchema } from "@iot-topology/core";
import { defaultOf, exactNumber } from "../default-of.ts";
import { isNullable } from "../plain-column.ts";

/** A JSON Schema. Numbers beyond 2^53 stand as source text, so make its text with `JSON.stringify`. */
export type JsonSchema = { readonly [key: string]: unknown };

/** Options of {@link toJsonSchema}. */
export interface JsonSchemaOptions {
  /** The `$id`; absent unless given. */
  readonly id?: string;
}

const UUID_PATTERN = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";

/** An integer as a JSON number, exact whatever its size. */
function integer(value: bigint): unknown {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : exactNumber(String(value));
}

function bound(value: number | bigint | undefined, fallback: bigint): unknown {
  if (value === undefined || value === Infinity || value === -Infinity) return integer(fallback);
  return typeof value === "bigint" ? integer(value) : value;
}

function scalarSchema({ type, settings }: AnyColumn): Readonly<Record<string, unknown>> {
  switch (type.kind) {
    case "integer": {
      const width = BigInt(type.bits);
      const [low, high] = type.signed ? [-(1n << (width - 1n)), (1n << (width - 1n)) - 1n] : [0n, (1n << width) - 1n];
      return { type: "integer", minimum: bound(settings.minimum, low), maximum: bound(settings.maximum, high) };
    }
    case "float":
      return { type: "number", ...(settings.minimum === undefined ? {} : { minimum: settings.minimum }), ...(settings.maximum === undefined ? {} : { maximum: settings.maximum }) };
    case "decimal": {
      // No `multipleOf`: validators that calculate in doubles refuse 0.07 as a multiple of 0.01. Nor do they tell 999...9 from the limit beyond 15 digits.
      const limit = integer(10n ** BigInt(type.precision - type.scale));
      const negative = integer(-(10n ** BigInt(type.precision - type.scale)));
      return { type: "number", ...(type.precision <= 15 ? { exclusiveMinimum: negative, exclusiveMaximum: limit } : { minimum: negative, maximum: limit }) };
    }
    case "string":
      return { type: "string", ...(settings.nonEmpty ? { minLength: 1 } : {}) };
    case "fixedString":
      // Lengths count code points, each of 1 to 4 bytes.
      return { type: "string", minLength: Math.ceil(type.bytes / 4), maxLength: type.bytes };
    case "enum":
      return { type: "string", enum: [...type.values.keys()] };
    case "bool":
      return { type: "boolean" };
    case "uuid":
      return { type: "string", pattern: UUID_PATTERN };
    case "date":
      return { type: "string", format: "date" };
    case "dateTime":
      return { type: "string", format: "date-time" };
    default:
      return { type: "object" };
  }
}

function columnSchema(column: AnyColumn): Readonly<Record<string, unknown>> {
  const { type } = column;
  switch (type.kind) {
    case "nullable":
      return { oneOf: [{ type: "null" }, columnSchema(type.inner)] };
    case "lowCardinality":
      return columnSchema(type.inner);
    case "array":
      return { type: "array", items: columnSchema(type.inner) };
    case "map":
      return { type: "object", additionalProperties: columnSchema(type.value) };
    default:
      return { ...scalarSchema(column), $comment: column.clickhouse };
  }
}

/** A default as the JSON that the encoder writes for it, numbers exact. */
function jsonDefault(column: AnyColumn): unknown {
  const json = compileJsonEncoder(record("Default", { value: column }))({ value: defaultOf(column) });
  return Object.values(exact.parseJson(json) as object)[0];
}

/**
 * The JSON Schema (draft-07) of a record, as its encoder writes it: 64-bit integers and decimals are JSON numbers, moments ISO-8601, fields have their JSON names. A field that may be
 * absent (with a default, or nullable) is not required. Without a rest other fields are refused, so that a field can be added later without breaking compatibility.
 *
 * @example
 * JSON.stringify(toJsonSchema(Reading));
 */
export function toJsonSchema(schema: RecordSchema<unknown, unknown>, options: JsonSchemaOptions = {}): JsonSchema {
  const columns = schema.columns.filter(({ column }) => column.kind !== "rest");
  const properties = Object.fromEntries(
    columns.map(({ from, column }) => {
      const { description, hasDefault } = column.settings;
      return [from, { ...columnSchema(column), ...(description === undefined ? {} : { description }), ...(hasDefault ? { default: jsonDefault(column) } : {}) }];
    }),
  );
  const required = columns.filter(({ column }) => !column.settings.hasDefault && !isNullable(column)).map(({ from }) => from);
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    ...(options.id === undefined ? {} : { $id: options.id }),
    title: schema.name,
    type: "object",
    properties,
    ...(required.length === 0 ? {} : { required }),
    additionalProperties: columns.length < schema.columns.length,
  };
}
