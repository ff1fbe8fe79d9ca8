import type { RangeCondition } from "./batch-range.ts";
import { type HistoryDeclaration, names, type WindowDeclaration } from "./declaration.ts";
import { windowKey, windowSelect } from "./history-objects.ts";
import { quoted, quotedList } from "./identifier.ts";
import { plainSettings } from "./insert-settings.ts";
import type { Qualify } from "./object.ts";
import { type Permit, permitted } from "./permit.ts";
import type { Server } from "./server.ts";
import { bucketExpression, ROWS_COLUMN, stateColumns } from "./window-columns.ts";

/** Joins must give 0 for what is not there, whatever the profile says. */
const JOIN_SETTINGS = { join_use_nulls: 0, transform_null_in: 0 } as const;
/** Sums of floats depend on their order in the last bits; this is far above that and far below a row. */
const SUM_TOLERANCE = 1e-9;

/**
 * What the partitions of a range gave to the windows that its rows fall into, where that differs from what the history gives, as the rows that make up the difference.
 * Other partitions' rows in the same windows are other rows of the state, which are left alone: their tasks may be adding to them at this moment.
 *
 * A view that counted a batch twice or not at all is off in counts and sums, and adding the difference (which may be negative; integers wrap) puts
 * both right. Least and greatest values are not changed by a repeat, and a missing one is added: so no window is ever deleted, and a crash at any
 * point leaves only differences that the next look finds.
 */
function differenceSelect(declaration: HistoryDeclaration, window: WindowDeclaration, q: Qualify, range: RangeCondition): string {
  const states = stateColumns(window, declaration.columns);
  const by = windowKey(declaration, window).map((column) => quoted(column.name));
  const key = ["`window_start`", ...by];
  const touched = `SELECT DISTINCT ${[bucketExpression(window), ...by].join(", ")} FROM ${q(declaration.table)} WHERE ${range.where}`;
  const touchedBy = `SELECT DISTINCT ${by.join(", ")} FROM ${q(declaration.table)} WHERE ${range.where}`;
  const time = quoted(window.time.name);
  const bound = (edge: "min" | "max"): string => `(SELECT ${edge}(${time}) FROM ${q(declaration.table)} WHERE ${range.where})`;
  const everyMs = `toIntervalMillisecond(${window.everyMs})`;
  const timeBounds = window.time.type.startsWith("DateTime64") ? ` AND ${time} >= ${bound("min")} - ${everyMs} AND ${time} <= ${bound("max")} + ${everyMs}` : "";
  const byBounds = ` AND (${by.join(", ")}) IN (${touchedBy})`;
  const rowsWhere = ` WHERE (${[bucketExpression(window), ...by].join(", ")}) IN (${touched})${byBounds}${timeBounds}`;
  const want = windowSelect(declaration, window, q, rowsWhere, " FINAL");
  const have = `SELECT ${key.join(", ")}, ${states.map((state) => `${state.merge}(${quoted(state.name)}) AS ${quoted(state.name)}`).join(", ")} FROM ${q(names.state(window.view))} WHERE (${key.join(", ")}) IN (${touched}) GROUP BY ${key.join(", ")}`;
  const pairs = states.map((state) => ({ state, w: `want.${quoted(state.name)}`, h: `have.${quoted(state.name)}` }));
  const differs = pairs.map(({ state, w, h }) => (state.merge === "sum" && state.value.startsWith("Float") ? `abs(${w} - ${h}) > ${SUM_TOLERANCE} * greatest(abs(${w}), abs(${h}))` : `${w} != ${h}`));
  const values = pairs.map(({ state, w, h }) => (state.merge === "sum" ? `CAST(${w} - ${h}, '${state.value}') AS ${quoted(`d${state.name}`)}` : `${w} AS ${quoted(`d${state.name}`)}`));
  // Where a TTL removes rows, a view may rightly hold more than the history: it is corrected upwards only.
  const keepsOld = declaration.ttl === null ? "" : ` AND want.${quoted(ROWS_COLUMN)} >= have.${quoted(ROWS_COLUMN)}`;
  const on = key.map((column) => `want.${column} = have.${column}`).join(" AND ");
  return `SELECT ${key.map((column) => `want.${column} AS ${column}`).join(", ")}, ${values.join(", ")} FROM (${want}) AS want LEFT JOIN (${have}) AS have ON ${on} WHERE (${differs.join(" OR ")})${keepsOld}`;
}

/** How many windows that rows of the range fall into differ from the history. */
export async function differenceCount(server: Server, declaration: HistoryDeclaration, window: WindowDeclaration, q: Qualify, range: RangeCondition): Promise<number> {
  const [row] = await server.rows<{ n: string }>(`SELECT count() AS n FROM (${differenceSelect(declaration, window, q, range)})`, range.parameters, JOIN_SETTINGS);
  return Number(row?.n ?? 0);
}

/** Adds the difference to those windows. */
export async function insertDifference(server: Server, declaration: HistoryDeclaration, window: WindowDeclaration, q: Qualify, range: RangeCondition, permit: Permit, replicated: boolean): Promise<void> {
  const columns = ["window_start", ...windowKey(declaration, window).map((column) => column.name), ...stateColumns(window, declaration.columns).map((state) => state.name)];
  const table = names.state(window.view);
  const query = `INSERT INTO ${q(table)} (${quotedList(columns)}) ${permitted(differenceSelect(declaration, window, q, range), permit)}`;
  await server.command(query, table, { ...range.parameters, ...permit.parameters }, { ...plainSettings(replicated), ...JOIN_SETTINGS }, permit.queryIdPrefix);
}

