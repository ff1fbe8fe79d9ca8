/**
 * What a column is in Avro, exact for every type:
 *
 *   Int8..Int32, UInt8, UInt16   int                          Float32, Float64     float, double
 *   UInt32, Int64                long                         Decimal(p, s)        bytes, logical type decimal
 *   UInt64                       bytes, decimal(20, 0)        String, FixedString  string
 *   (U)Int128, (U)Int256         bytes, decimal(39/77/78, 0)  Bool, UUID           boolean; string, logical type uuid
 *   DateTime, DateTime64(0..3)   long, timestamp-millis       Enum                 enum, or string where a name is no Avro name
 *   DateTime64(4..6)             long, timestamp-micros       Date, Date32         int, logical type date
 *   DateTime64(9)                long, timestamp-nanos        Array, Map           array; map with its keys as text
 *   DateTime64(7), (8)           string, ISO-8601             JSON, rest           string, logical type json: the object's JSON text
 *   Nullable(T)                  union of null and T          LowCardinality(T)    T
 *
 * A union's default is of its first branch (specification, "Unions"), so null comes first unless the default is a value. *
 * An unsigned 64-bit integer is a decimal because Avro's long ends at 2^63. Nanoseconds in a long end in 2262, as DateTime64(9) does, but DateTime64(7) and (8) go on to 2299.
 */
import type { AnyColumn, ColumnType } from "@iot-topology/core";
import { FIELD_NAME } from "../plain-column.ts";

/** The kinds of Avro values that columns become. */
export type AvroShape =
  | { readonly kind: "int" | "long" | "float" | "double" | "boolean" | "string" | "uuid" | "date" | "isoText" | "json" }
  | { readonly kind: "bigInteger"; readonly precision: number }
  | { readonly kind: "decimal"; readonly precision: number; readonly scale: number }
  | { readonly kind: "timestamp"; readonly digits: 3 | 6 | 9; readonly unit: "millis" | "micros" | "nanos" }
  | { readonly kind: "enum"; readonly symbols: readonly string[] }
  | { readonly kind: "union"; readonly inner: AnyColumn; readonly nullFirst: boolean }
  | { readonly kind: "array"; readonly inner: AnyColumn }
  | { readonly kind: "map"; readonly inner: AnyColumn };

function integerShape(bits: number, signed: boolean): AvroShape {
  if (bits < 32 || (bits === 32 && signed)) return { kind: "int" };
  if (bits === 32 || (bits === 64 && signed)) return { kind: "long" };
  // Decimal digits of the greatest magnitude of the width.
  return { kind: "bigInteger", precision: String(1n << BigInt(signed ? bits - 1 : bits)).length };
}

function momentShape(precision: number): AvroShape {
  if (precision <= 3) return { kind: "timestamp", digits: 3, unit: "millis" };
  if (precision <= 6) return { kind: "timestamp", digits: 6, unit: "micros" };
  return precision === 9 ? { kind: "timestamp", digits: 9, unit: "nanos" } : { kind: "isoText" };
}

function enumShape(values: ReadonlyMap<string, number>): AvroShape {
  const symbols = [...values.keys()];
  return symbols.every((symbol) => FIELD_NAME.test(symbol)) ? { kind: "enum", symbols } : { kind: "string" };
}

/** A column's shape in Avro. */
export function avroShape({ type, settings }: AnyColumn): AvroShape {
  switch (type.kind) {
    case "integer":
      return integerShape(type.bits, type.signed);
    case "float":
      return { kind: type.bits === 32 ? "float" : "double" };
    case "decimal":
      return { kind: "decimal", precision: type.precision, scale: type.scale };
    case "string":
    case "fixedString":
      return { kind: "string" };
    case "enum":
      return enumShape(type.values);
    case "bool":
      return { kind: "boolean" };
    case "uuid":
    case "date":
      return { kind: type.kind };
    case "dateTime":
      return momentShape(type.precision);
    case "nullable":
      return { kind: "union", inner: type.inner, nullFirst: !settings.hasDefault || settings.default === null };
    case "lowCardinality": {
      const shape = avroShape(type.inner);
      return shape.kind === "union" ? { ...shape, nullFirst: !settings.hasDefault || settings.default === null } : shape;
    }
    case "array":
      return { kind: "array", inner: type.inner };
    case "map":
      return { kind: "map", inner: type.value };
    case "json":
    case "rest":
      return { kind: "json" };
  }
}

/** Ticks of an Avro timestamp of so many digits, from ticks of the column. */
export function scaledTicks(ticks: bigint, type: Extract<ColumnType, { kind: "dateTime" }>, digits: number): bigint {
  return ticks * 10n ** BigInt(digits - type.precision);
}
