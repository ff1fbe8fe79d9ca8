/**
 * A column as frozen data: one declaration from which the TypeScript type, the caster, the encoders and the DDL type come.
 */

/** A number that a JavaScript number cannot hold exactly, kept as its JSON source text (what `JSON.rawJSON` makes). */
export interface RawJson {
  readonly rawJSON: string;
}

/** A JSON value. Numbers that a double would round are {@link RawJson}, so that `JSON.stringify` gives back what was sent. */
export type JsonValue = null | boolean | number | string | RawJson | readonly JsonValue[] | JsonObject;

/** A JSON object; it inherits nothing where this library makes it, so any name is safe in it. */
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

/** The number of bits of an integer column. */
export type IntegerBits = 8 | 16 | 32 | 64 | 128 | 256;

/** What a column holds. `bits`, `bytes`, `precision` and `scale` are ClickHouse's. */
export type ColumnType =
  | { readonly kind: "integer"; readonly bits: IntegerBits; readonly signed: boolean }
  | { readonly kind: "float"; readonly bits: 32 | 64 }
  | { readonly kind: "decimal"; readonly precision: number; readonly scale: number }
  | { readonly kind: "string" }
  | { readonly kind: "fixedString"; readonly bytes: number }
  | { readonly kind: "enum"; readonly bits: 8 | 16; readonly values: ReadonlyMap<string, number> }
  | { readonly kind: "bool" }
  | { readonly kind: "uuid" }
  | { readonly kind: "date"; readonly bits: 16 | 32 }
  | { readonly kind: "dateTime"; readonly bits: 32 | 64; readonly precision: number; readonly zone: string }
  | { readonly kind: "nullable"; readonly inner: AnyColumn }
  | { readonly kind: "lowCardinality"; readonly inner: AnyColumn }
  | { readonly kind: "array"; readonly inner: AnyColumn }
  | { readonly kind: "map"; readonly key: AnyColumn; readonly value: AnyColumn }
  | { readonly kind: "json" }
  | { readonly kind: "rest" };

/** The kinds of columns. */
export type ColumnKind = ColumnType["kind"];

/** What every column takes. */
export interface ColumnOptions<Default> {
  /** The JSON field's name, where it differs from the column's. */
  readonly from?: string;
  /** Taken when the field is absent. Without it an absent field is an error (or null, when the column is Nullable). */
  readonly default?: Default;
  /** A sentence for people. */
  readonly description?: string;
}

/** Options of columns of text. */
export interface StringOptions extends ColumnOptions<string> {
  /** Refuses the empty string. */
  readonly nonEmpty?: boolean;
}

/** Options of columns of numbers. */
export interface NumberOptions<N> extends ColumnOptions<N> {
  /** The least value accepted. */
  readonly minimum?: N;
  /** The greatest value accepted. */
  readonly maximum?: N;
}

/** The options of a column as it keeps them. */
export interface ColumnSettings {
  readonly from: string | undefined;
  readonly hasDefault: boolean;
  readonly default: unknown;
  readonly description: string | undefined;
  readonly nonEmpty: boolean;
  readonly minimum: number | bigint | undefined;
  readonly maximum: number | bigint | undefined;
}

/**
 * A column: frozen data. `Out` is what a cast gives, `In` what the encoders take.
 * Made by the functions of {@link c}, never by hand.
 */
export interface Column<out Out, out In = Out> {
  readonly kind: ColumnKind;
  /** The ClickHouse type, as `CREATE TABLE` takes it: `LowCardinality(String)`. */
  readonly clickhouse: string;
  readonly type: ColumnType;
  readonly settings: ColumnSettings;
  /** What is wrong with the declaration; `record` throws them all, each with the field's name. */
  readonly problems: readonly string[];
  /** Holds the types only; never set. */
  readonly "~types"?: { readonly out: Out; readonly in: In };
}

/** Any column. */
export type AnyColumn = Column<unknown, unknown>;

/** Makes a column. The types are the caller's to get right. */
export function makeColumn<Out, In>(
  type: ColumnType,
  clickhouse: string,
  options: ColumnOptions<unknown> & { readonly nonEmpty?: boolean; readonly minimum?: unknown; readonly maximum?: unknown },
  problems: readonly string[] = [],
): Column<Out, In> {
  const settings: ColumnSettings = {
    from: options.from,
    hasDefault: Object.hasOwn(options, "default") && options.default !== undefined,
    default: options.default,
    description: options.description,
    nonEmpty: options.nonEmpty === true,
    minimum: options.minimum as number | bigint | undefined,
    maximum: options.maximum as number | bigint | undefined,
  };
  const column: Column<Out, In> = {
    kind: type.kind,
    clickhouse,
    type: Object.freeze(type),
    settings: Object.freeze(settings),
    problems: Object.freeze([...problems]),
  };
  return Object.freeze(column);
}
