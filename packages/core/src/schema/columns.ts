import type { AnyColumn, Column, ColumnOptions, IntegerBits, JsonObject, NumberOptions, StringOptions } from "./column.ts";
import { makeColumn } from "./column.ts";

/** A number of up to 53 bits. */
export type SmallInteger = Column<number>;
/** A number of 64 bits or more: a bigint, encoded from a bigint or a safe integer. */
export type BigInteger = Column<bigint, bigint | number>;
/** What a moment of this precision is: epoch milliseconds up to 3 digits, else a bigint of ticks of 10^-precision seconds. */
export type Moment<P extends number> = P extends 0 | 1 | 2 | 3 ? Column<number, number | Date> : P extends 4 | 5 | 6 | 7 | 8 | 9 ? Column<bigint, bigint | Date> : never;
/** What columns a map's keys may be. */
export type MapKey = Column<string, unknown> | Column<number, unknown> | Column<bigint, unknown>;

/** Makes columns. Each says what it accepts from JSON and what it gives; the encoders take that, and what the column's `In` type adds. */
export interface Columns {
  /** Integers accept a JSON integer, a numeric string or a bigint, exactly, and refuse what is out of range or fractional. Gives a number. */
  int8(options?: NumberOptions<number>): SmallInteger;
  int16(options?: NumberOptions<number>): SmallInteger;
  int32(options?: NumberOptions<number>): SmallInteger;
  uint8(options?: NumberOptions<number>): SmallInteger;
  uint16(options?: NumberOptions<number>): SmallInteger;
  uint32(options?: NumberOptions<number>): SmallInteger;
  /** 64 bits and more give a bigint, exact whatever the JSON number's size. */
  int64(options?: NumberOptions<number | bigint>): BigInteger;
  uint64(options?: NumberOptions<number | bigint>): BigInteger;
  int128(options?: NumberOptions<number | bigint>): BigInteger;
  uint128(options?: NumberOptions<number | bigint>): BigInteger;
  int256(options?: NumberOptions<number | bigint>): BigInteger;
  uint256(options?: NumberOptions<number | bigint>): BigInteger;
  /** Floats accept a JSON number or a numeric string, finite only. A float32 is rounded to the nearest float32. */
  float32(options?: NumberOptions<number>): Column<number>;
  float64(options?: NumberOptions<number>): Column<number>;
  /**
   * `Decimal(precision, scale)`, exact: accepts a JSON number or a numeric string and refuses one with more digits before or after the
   * point than fit, rather than round. Gives text with `scale` digits after the point: `"12.30"`.
   */
  decimal(precision: number, scale: number, options?: ColumnOptions<string | number | bigint>): Column<string, string | number | bigint>;
  /** Text that is well-formed Unicode (no lone surrogates). Nothing but a JSON string is accepted. */
  string(options?: StringOptions): Column<string>;
  /** Text of exactly `bytes` bytes in UTF-8. */
  fixedString(bytes: number, options?: StringOptions): Column<string>;
  /** Accepts a name, or its integer. Gives the name. */
  enum8<const V extends Readonly<Record<string, number>>>(values: V, options?: ColumnOptions<keyof V & string>): Column<keyof V & string>;
  enum16<const V extends Readonly<Record<string, number>>>(values: V, options?: ColumnOptions<keyof V & string>): Column<keyof V & string>;
  /** Accepts true, false, `"true"`, `"false"`, 0 and 1. */
  bool(options?: ColumnOptions<boolean>): Column<boolean>;
  /** Accepts 8-4-4-4-12 hexadecimal digits; gives them in lower case. */
  uuid(options?: ColumnOptions<string>): Column<string>;
  /** `Date`: a day from 1970-01-01 to 2149-06-06 as `"YYYY-MM-DD"`. */
  date(options?: ColumnOptions<string>): Column<string>;
  /** `Date32`: a day from 1900-01-01 to 2299-12-31 as `"YYYY-MM-DD"`. */
  date32(options?: ColumnOptions<string>): Column<string>;
  /** `DateTime(zone)`: as {@link Columns.dateTime64}, whole seconds from 1970 to 2106, as epoch milliseconds. */
  dateTime(zone?: string, options?: ColumnOptions<number | string>): Column<number, number | Date>;
  /**
   * `DateTime64(precision, zone)`, a moment from 1900 to 2299 (to 2262-04-11 with precision 9).
   *
   * Accepts ISO-8601 with an offset, `2014-02-14T14:27:00.123+01:00` (`T` or a space; seconds required, up to 9 digits of them; `Z` or
   * `±hh:mm`), or epoch milliseconds as a number or an integer string. Digits of ISO text beyond the precision are cut off, as ClickHouse
   * does; epoch milliseconds with a fraction that the precision cannot hold are refused. Days and hours that do not exist are refused.
   *
   * Gives epoch milliseconds (a number) up to precision 3, else a bigint of ticks of 10^-precision seconds.
   */
  dateTime64<const P extends number>(precision: P, zone?: string, options?: ColumnOptions<number | string | bigint>): Moment<P>;
  /** `LowCardinality(...)` of a string, a fixedString, or a nullable of these. */
  lowCardinality<Out, In>(inner: Column<Out, In>, options?: ColumnOptions<Out>): Column<Out, In>;
  /** Null or absent gives null. */
  nullable<Out, In>(inner: Column<Out, In>, options?: ColumnOptions<Out | null>): Column<Out | null, In | null>;
  array<Out, In>(inner: Column<Out, In>, options?: ColumnOptions<readonly Out[]>): Column<readonly Out[], readonly In[]>;
  /** A JSON object as `Map(key, value)`; gives an object that inherits nothing, whose keys are text whatever the key's column. */
  map<Out, In>(key: MapKey, value: Column<Out, In>, options?: ColumnOptions<Readonly<Record<string, Out>>>): Column<Readonly<Record<string, Out>>, Readonly<Record<string, In>>>;
  /** A JSON object of any shape. Numbers that a double cannot hold stay exact (see {@link JsonValue}). */
  json(options?: ColumnOptions<JsonObject>): Column<JsonObject>;
  /** All fields of the record that no other column takes, as a JSON column. At most one a record. */
  rest(options?: { readonly description?: string }): Column<JsonObject>;
}

const KEY_KINDS: ReadonlySet<string> = new Set(["integer", "string", "fixedString", "lowCardinality", "enum", "uuid", "date"]);

function rangeProblems(options: NumberOptions<number | bigint>): string[] {
  const { minimum, maximum } = options;
  if (minimum !== undefined && maximum !== undefined && minimum > maximum) return [`minimum ${minimum} is greater than maximum ${maximum}`];
  return [minimum, maximum].some((bound) => Number.isNaN(bound)) ? ["minimum and maximum are numbers"] : [];
}

function integer<Out, In>(bits: IntegerBits, signed: boolean) {
  return (options: NumberOptions<number | bigint> = {}): Column<Out, In> =>
    makeColumn({ kind: "integer", bits, signed }, `${signed ? "Int" : "UInt"}${bits}`, options, rangeProblems(options));
}

function float(bits: 32 | 64) {
  return (options: NumberOptions<number> = {}): Column<number> => makeColumn({ kind: "float", bits }, `Float${bits}`, options, rangeProblems(options));
}

function quote(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}

function enumeration(bits: 8 | 16) {
  return <const V extends Readonly<Record<string, number>>>(values: V, options: ColumnOptions<keyof V & string> = {}): Column<keyof V & string> => {
    const entries = Object.entries(values);
    const limit = 2 ** (bits - 1);
    const problems: string[] = [];
    if (entries.length === 0) problems.push("an enum has at least one name");
    for (const [name, value] of entries) {
      if (!Number.isInteger(value) || value < -limit || value >= limit) problems.push(`the enum's ${name} = ${value} is not an integer of ${bits} bits`);
      if (!name.isWellFormed() || /[\u0000-\u001f\u007f]/.test(name)) problems.push(`the enum's name ${JSON.stringify(name)} is not printable text`);
    }
    if (new Set(entries.map(([, value]) => value)).size < entries.length) problems.push("two names of the enum have the same integer");
    // Sorted by integer, as ClickHouse shows them, so that a declared type and a table's compare as text.
    const sorted = [...entries].sort((a, b) => a[1] - b[1]);
    const ddl = `Enum${bits}(${sorted.map(([name, value]) => `${quote(name)} = ${value}`).join(", ")})`;
    return makeColumn({ kind: "enum", bits, values: new Map(entries) }, ddl, options, problems);
  };
}

function zoneProblems(zone: string): string[] {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return /^[A-Za-z0-9_+/-]+$/.test(zone) ? [] : [`${JSON.stringify(zone)} is not the name of a time zone`];
  } catch {
    return [`${JSON.stringify(zone)} is not the name of a time zone`];
  }
}

/** A column inside another: its own problems count, and a field name or default there would never be used. */
function innerProblems(place: string, inner: AnyColumn, mayInherit: boolean): string[] {
  const problems = inner.problems.map((problem) => `${place}: ${problem}`);
  if (inner.kind === "rest") problems.push(`${place}: rest() stands for fields of the record itself`);
  if (mayInherit) return problems;
  if (inner.settings.from !== undefined) problems.push(`${place}: \`from\` belongs to the outer column`);
  if (inner.settings.hasDefault) problems.push(`${place}: \`default\` belongs to the outer column`);
  return problems;
}

/** A wrapper takes over the field name, default and description of the column inside, unless it has its own. */
function inherit(inner: AnyColumn, options: ColumnOptions<unknown>): ColumnOptions<unknown> {
  const { from, hasDefault, default: value, description } = inner.settings;
  return { ...(from === undefined ? {} : { from }), ...(hasDefault ? { default: value } : {}), ...(description === undefined ? {} : { description }), ...options };
}

function lowCardinality<Out, In>(inner: Column<Out, In>, options: ColumnOptions<Out> = {}): Column<Out, In> {
  const core = inner.type.kind === "nullable" ? inner.type.inner : inner;
  const problems = innerProblems("lowCardinality", inner, true);
  if (core.kind !== "string" && core.kind !== "fixedString") problems.push("lowCardinality takes a string, a fixedString, or a nullable of these");
  return makeColumn({ kind: "lowCardinality", inner }, `LowCardinality(${inner.clickhouse})`, inherit(inner, options), problems);
}

const NEVER_NULLABLE: ReadonlySet<string> = new Set(["nullable", "array", "map", "json"]);

function nullable<Out, In>(inner: Column<Out, In>, options: ColumnOptions<Out | null> = {}): Column<Out | null, In | null> {
  // ClickHouse knows LowCardinality(Nullable(T)) only, whichever way round it was said.
  if (inner.type.kind === "lowCardinality" && inner.type.inner.kind !== "nullable") {
    return lowCardinality(nullable(inner.type.inner) as Column<Out | null, In | null>, inherit(inner, options) as ColumnOptions<Out | null>);
  }
  const problems = innerProblems("nullable", inner, true);
  if (NEVER_NULLABLE.has(inner.kind) || inner.kind === "lowCardinality") problems.push(`${inner.clickhouse} cannot be Nullable`);
  return makeColumn({ kind: "nullable", inner }, `Nullable(${inner.clickhouse})`, inherit(inner, options), problems);
}

function map<Out, In>(key: MapKey, value: Column<Out, In>, options: ColumnOptions<Readonly<Record<string, Out>>> = {}): Column<Readonly<Record<string, Out>>, Readonly<Record<string, In>>> {
  const problems = [...innerProblems("the map's key", key, false), ...innerProblems("the map's value", value, false)];
  const nullKey = key.type.kind === "lowCardinality" && key.type.inner.kind === "nullable";
  if (!KEY_KINDS.has(key.kind) || nullKey) problems.push(`${key.clickhouse} cannot be the key of a map`);
  return makeColumn({ kind: "map", key, value }, `Map(${key.clickhouse}, ${value.clickhouse})`, options, problems);
}

function decimal(precision: number, scale: number, options: ColumnOptions<string | number | bigint> = {}): Column<string, string | number | bigint> {
  const problems: string[] = [];
  if (!Number.isInteger(precision) || precision < 1 || precision > 76) problems.push(`a decimal's precision is an integer from 1 to 76, not ${precision}`);
  else if (!Number.isInteger(scale) || scale < 0 || scale > precision) problems.push(`a decimal's scale is an integer from 0 to its precision ${precision}, not ${scale}`);
  return makeColumn({ kind: "decimal", precision, scale }, `Decimal(${precision}, ${scale})`, options, problems);
}

function dateTime64<const P extends number>(precision: P, zone = "UTC", options: ColumnOptions<number | string | bigint> = {}): Moment<P> {
  const problems = zoneProblems(zone);
  if (!Number.isInteger(precision) || precision < 0 || precision > 9) problems.push(`a DateTime64's precision is an integer from 0 to 9, not ${precision}`);
  return makeColumn({ kind: "dateTime", bits: 64, precision, zone }, `DateTime64(${precision}, ${quote(zone)})`, options, problems) as Moment<P>;
}

function fixedString(bytes: number, options: StringOptions = {}): Column<string> {
  const problems = Number.isInteger(bytes) && bytes >= 1 && bytes <= 65_535 ? [] : [`a fixedString has 1 to 65535 bytes, not ${bytes}`];
  return makeColumn({ kind: "fixedString", bytes }, `FixedString(${bytes})`, options, problems);
}

/** The columns of a record's schema. */
export const c: Columns = Object.freeze({
  int8: integer<number, number>(8, true),
  int16: integer<number, number>(16, true),
  int32: integer<number, number>(32, true),
  uint8: integer<number, number>(8, false),
  uint16: integer<number, number>(16, false),
  uint32: integer<number, number>(32, false),
  int64: integer<bigint, bigint | number>(64, true),
  uint64: integer<bigint, bigint | number>(64, false),
  int128: integer<bigint, bigint | number>(128, true),
  uint128: integer<bigint, bigint | number>(128, false),
  int256: integer<bigint, bigint | number>(256, true),
  uint256: integer<bigint, bigint | number>(256, false),
  float32: float(32),
  float64: float(64),
  decimal,
  string: (options: StringOptions = {}): Column<string> => makeColumn({ kind: "string" }, "String", options),
  fixedString,
  enum8: enumeration(8),
  enum16: enumeration(16),
  bool: (options: ColumnOptions<boolean> = {}): Column<boolean> => makeColumn({ kind: "bool" }, "Bool", options),
  uuid: (options: ColumnOptions<string> = {}): Column<string> => makeColumn({ kind: "uuid" }, "UUID", options),
  date: (options: ColumnOptions<string> = {}): Column<string> => makeColumn({ kind: "date", bits: 16 }, "Date", options),
  date32: (options: ColumnOptions<string> = {}): Column<string> => makeColumn({ kind: "date", bits: 32 }, "Date32", options),
  dateTime: (zone = "UTC", options: ColumnOptions<number | string> = {}): Column<number, number | Date> =>
    makeColumn({ kind: "dateTime", bits: 32, precision: 0, zone }, `DateTime(${quote(zone)})`, options, zoneProblems(zone)),
  dateTime64,
  lowCardinality,
  nullable,
  array: <Out, In>(inner: Column<Out, In>, options: ColumnOptions<readonly Out[]> = {}): Column<readonly Out[], readonly In[]> =>
    makeColumn({ kind: "array", inner }, `Array(${inner.clickhouse})`, options, innerProblems("the array's elements", inner, false)),
  map,
  json: (options: ColumnOptions<JsonObject> = {}): Column<JsonObject> => makeColumn({ kind: "json" }, "JSON", options),
  rest: (options: { readonly description?: string } = {}): Column<JsonObject> => makeColumn({ kind: "rest" }, "JSON", options),
});
