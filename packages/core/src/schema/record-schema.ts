import { TopologyError } from "../model/index.ts";
import type { AnyColumn, Column } from "./column.ts";
import { castDefault } from "./default-value.ts";

/** A field of a record schema: the column, its name in the table, and the JSON field it comes from. */
export interface SchemaColumn {
  readonly name: string;
  readonly from: string;
  readonly column: AnyColumn;
}

/** A record's schema: frozen data. The `compile...` functions make its caster and encoders, once. */
export interface RecordSchema<out Out = unknown, out In = Out> {
  readonly kind: "record";
  readonly name: string;
  readonly columns: readonly SchemaColumn[];
  /** Holds the types only; never set. */
  readonly "~types"?: { readonly out: Out; readonly in: In };
}

/** The fields of {@link record}. */
export type Fields = Readonly<Record<string, AnyColumn>>;

type OutOf<C> = C extends Column<infer Out, unknown> ? Out : never;
type InOf<C> = C extends Column<unknown, infer In> ? In : never;
/** The record that a cast of the fields gives. */
export type FieldsOut<F extends Fields> = { readonly [K in keyof F]: OutOf<F[K]> };
/** The record that an encoder of the fields takes. */
export type FieldsIn<F extends Fields> = { readonly [K in keyof F]: InOf<F[K]> };

/** The type that a cast gives: `type Reading = Infer<typeof Reading>`. Of a schema or of a column. */
export type Infer<S> = S extends RecordSchema<infer Out, unknown> ? Out : OutOf<S>;
/** The type that the encoders take, a little wider than {@link Infer}: a `Date` for a moment, a number for an int64. */
export type InferInput<S> = S extends RecordSchema<unknown, infer In> ? In : InOf<S>;

const COLUMN_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

function fieldProblems(name: string, column: AnyColumn): string[] {
  const problems = column.problems.map((problem) => `${name}: ${problem}`);
  if (!COLUMN_NAME.test(name) || name === "__proto__") {
    problems.push(`${name === "" ? '""' : name}: a column's name is made of letters, digits and _, does not start with a digit, and is not __proto__`);
  }
  if (problems.length > 0 || !column.settings.hasDefault) return problems;
  const result = castDefault(column);
  return result.problem === undefined ? problems : [`${name}: the default does not fit the column: ${result.problem}`];
}

function duplicateSources(columns: readonly SchemaColumn[]): string[] {
  const seen = new Map<string, string>();
  const problems: string[] = [];
  for (const { name, from, column } of columns) {
    if (column.kind === "rest") continue;
    const other = seen.get(from);
    if (other !== undefined) problems.push(`${name}: the field ${JSON.stringify(from)} already feeds the column ${other}`);
    else seen.set(from, name);
  }
  return problems;
}

/**
 * Declares a record. The order of the fields is the order of the columns.
 *
 * Throws a `TopologyError` `SCHEMA_INVALID` that names every wrong field.
 *
 * @example
 * const Reading = record("Reading", { device_id: c.string({ from: "deviceId", nonEmpty: true }), value: c.float64() });
 * type Reading = Infer<typeof Reading>; // { readonly device_id: string; readonly value: number }
 */
export function record<const F extends Fields>(name: string, fields: F): RecordSchema<FieldsOut<F>, FieldsIn<F>> {
  const columns = Object.entries(fields).map(([field, column]) => Object.freeze({ name: field, from: column.settings.from ?? field, column }));
  const problems = columns.flatMap((column) => fieldProblems(column.name, column.column));
  if (name === "") problems.push("a schema has a name");
  if (columns.length === 0) problems.push("a schema has at least one field");
  problems.push(...duplicateSources(columns));
  const rests = columns.filter((column) => column.column.kind === "rest");
  if (rests.length > 1) problems.push(`${rests.map((rest) => rest.name).join(", ")}: only one column may take the rest`);
  if (problems.length > 0) {
    throw new TopologyError("SCHEMA_INVALID", `the schema ${name} is wrong: ${problems.join("; ")}`, {
      place: `schema ${name}`,
      cure: "correct the declaration of the fields named",
    });
  }
  return Object.freeze({ kind: "record" as const, name, columns: Object.freeze(columns) });
}

/** The columns as `CREATE TABLE` wants them, in order. */
export function ddlColumns(schema: RecordSchema<unknown, unknown>): readonly { readonly name: string; readonly type: string }[] {
  return schema.columns.map(({ name, column }) => ({ name, type: column.clickhouse }));
}
