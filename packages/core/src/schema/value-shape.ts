import type { AnyColumn } from "./column.ts";
import type { RecordSchema } from "./record-schema.ts";
import type { Serde } from "./serde.ts";

/** A column as a lock file keeps it. */
export interface ColumnShape {
  readonly name: string;
  readonly type: string;
  /** The field that feeds it, where that has another name. */
  readonly from?: string;
  /** Whether a record may lack it: it is nullable, has a default, or takes the rest. */
  readonly optional?: true;
}

/** How values are kept: the name of the serde, and the columns where a schema gives them. */
export interface ValueShape {
  readonly serde: string;
  readonly columns?: readonly ColumnShape[];
}

function isOptional(column: AnyColumn): boolean {
  return column.settings.hasDefault || column.kind === "rest" || column.clickhouse.startsWith("Nullable(") || column.clickhouse.startsWith("LowCardinality(Nullable(");
}

/** The columns of a schema, in order. */
export function columnShapes(schema: RecordSchema<unknown, unknown>): readonly ColumnShape[] {
  return schema.columns.map(({ name, from, column }) => ({
    name,
    type: column.clickhouse,
    ...(from === name || column.kind === "rest" ? {} : { from }),
    ...(isOptional(column) ? { optional: true as const } : {}),
  }));
}

/** The shape of a serde's values. */
export function valueShape(serde: Pick<Serde<never>, "name" | "schema">): ValueShape {
  return { serde: serde.name, ...(serde.schema === undefined ? {} : { columns: columnShapes(serde.schema) }) };
}

/** Whether a value is a serde. */
export function isSerde(value: unknown): value is Serde<never> {
  if (typeof value !== "object" || value === null) return false;
  const { name, encode, decode } = value as Partial<Serde<never>>;
  return typeof name === "string" && typeof encode === "function" && typeof decode === "function";
}

/** Rows of bytes are read by the place of their columns, JSON by their names. */
export function isRowShape({ serde }: ValueShape): boolean {
  return serde.startsWith("binary ");
}

/** Whether values of two shapes are the same bytes with the same meaning. */
export function isSameShape(before: ValueShape, after: ValueShape): boolean {
  if (before.serde !== after.serde) return false;
  if (before.columns === undefined || after.columns === undefined) return before.columns === after.columns;
  if (!isRowShape(after)) return JSON.stringify(before.columns) === JSON.stringify(after.columns);
  return before.columns.length === after.columns.length && before.columns.every(({ name, type }, index) => name === after.columns?.[index]?.name && type === after.columns[index].type);
}
