import type { AggregateDeclaration, ColumnDeclaration, WindowDeclaration } from "./declaration.ts";
import { quoted } from "./identifier.ts";

/** A column of a window's state table: how the trigger computes it from rows, how states merge. */
export interface StateColumn {
  readonly name: string;
  readonly type: string;
  /** The type without its aggregate function. */
  readonly value: string;
  readonly merge: "sum" | "min" | "max";
  readonly fromRows: string;
}

/** The number of rows in a window. Always kept: verification compares by it. */
export const ROWS_COLUMN = "_n";

/**
 * The columns that hold a window's state. Each is a SimpleAggregateFunction, whose state is its value: readable, and mergeable by plain functions.
 * `avg` is kept as sum and count, since an average of averages is none.
 */
export function stateColumns(window: WindowDeclaration, columns: readonly ColumnDeclaration[]): readonly StateColumn[] {
  const types = new Map(columns.map((column) => [column.name, column.type]));
  const states = new Map<string, StateColumn>();
  states.set(ROWS_COLUMN, state(ROWS_COLUMN, "sum", "UInt64", "count()"));
  for (const { kind, field } of window.aggregates) {
    if (kind === "count" || field === null) continue;
    const merge = kind === "avg" ? "sum" : kind;
    const name = stateName(kind, field);
    const type = types.get(field) ?? "Float64";
    states.set(name, state(name, merge, merge === "sum" ? sumType(type) : type, `${merge}(${quoted(field)})`));
  }
  return [...states.values()];
}

function state(name: string, merge: StateColumn["merge"], value: string, fromRows: string): StateColumn {
  return { name, merge, value, type: `SimpleAggregateFunction(${merge}, ${value})`, fromRows };
}

function stateName(kind: AggregateDeclaration["kind"], field: string): string {
  return `_${kind === "avg" ? "sum" : kind}_${field}`;
}

/** What ClickHouse's `sum` of a column of this type is. */
function sumType(type: string): string {
  const decimal = /^Decimal\((\d+),\s*(\d+)\)$/.exec(type);
  if (decimal !== null) return `Decimal(${Number(decimal[1]) <= 38 ? 38 : 76}, ${decimal[2]})`;
  if (/^Float/.test(type)) return "Float64";
  const integer = /^(U?Int)(\d+)$/.exec(type);
  if (integer === null) return type;
  return `${integer[1]}${Math.max(64, Number(integer[2]))}`;
}

/** The start of a row's window, in UTC, by arithmetic on epoch milliseconds: right before 1970 too. */
export function bucketExpression(window: WindowDeclaration): string {
  const time = quoted(window.time.name);
  const ms = window.time.type.startsWith("DateTime64") ? `toUnixTimestamp64Milli(${time})` : `toInt64(toUnixTimestamp(${time})) * 1000`;
  return `fromUnixTimestamp64Milli(${ms} - positiveModulo(${ms}, ${window.everyMs}), 'UTC')`;
}

/** How the plain view gives an aggregate from merged states. */
export function resultExpression({ kind, field }: AggregateDeclaration): string {
  if (kind === "count" || field === null) return `sum(${quoted(ROWS_COLUMN)})`;
  const column = quoted(stateName(kind, field));
  if (kind === "avg") return `toFloat64(sum(${column})) / sum(${quoted(ROWS_COLUMN)})`;
  return `${kind}(${column})`;
}
