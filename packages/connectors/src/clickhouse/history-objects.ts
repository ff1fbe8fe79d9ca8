import { type ColumnDeclaration, type HistoryDeclaration, names, type NewestDeclaration, type UpsertDeclaration, type WindowDeclaration } from "./declaration.ts";
import { quoted, quotedList } from "./identifier.ts";
import type { DerivedObject, ObjectSet, Qualify, TableObject, ViewObject } from "./object.ts";
import { NOTE_COLUMNS } from "./as-of-notes.ts";
import { bucketExpression, resultExpression, stateColumns } from "./window-columns.ts";

/** Tokens remembered a table. A batch is one block, so this is batches; measured at about 100 bytes each in the server. */
const WINDOW = 10_000;
/** The window counts blocks per partition of a batch, and a batch may reach into very many. */
const WINDOW_PARTITIONED = 100_000;

/** The tables and views of a history. */
export function historyObjects(declaration: HistoryDeclaration, q: Qualify): ObjectSet {
  const window = declaration.partitionBy === null ? WINDOW : WINDOW_PARTITIONED;
  const base: TableObject = {
    name: declaration.table,
    columns: declaration.columns,
    // New rows stand in parts whose offsets and load times lie close together, so these skip nearly all of the rest.
    indexes: [
      `INDEX ${quoted("_by_offset")} ${quoted(declaration.identity.offset)} TYPE minmax GRANULARITY 1`,
      ...(declaration.loadTime === null ? [] : [`INDEX ${quoted("_by_load_time")} ${quoted(declaration.loadTime)} TYPE minmax GRANULARITY 1`]),
    ],
    engine: "ReplacingMergeTree",
    version: null,
    orderBy: declaration.orderBy,
    partitionBy: declaration.partitionBy,
    ttl: declaration.ttl,
    deduplicationWindow: window,
  };
  return {
    base,
    derived: [
      ...declaration.latest.map((latest) => latestDerived(declaration, latest, window, q)),
      ...declaration.windows.map((each) => windowDerived(declaration, each, window, q)),
      ...declaration.asOfDaily.map((daily) => dailyDerived(declaration, daily)),
    ],
    views: [
      ...declaration.latest.map((latest) => latestView(declaration, latest, q)),
      ...declaration.windows.map((each) => windowView(each, q)),
      ...declaration.asOfDaily.map((daily) => dailyView(declaration, daily, q)),
      ...declaration.asOf.map((asOf) => asOfView(declaration, asOf, q)),
      ...declaration.views.map(({ view, select }) => ({ name: view, select: select.replaceAll(/\{([A-Za-z_]\w*)\}/g, (_, name: string) => q(name)).trim() })),
    ],
  };
}

/** The table and view of an upsert. */
export function upsertObjects(declaration: UpsertDeclaration, q: Qualify): ObjectSet {
  const base: TableObject = {
    name: names.data(declaration.view),
    columns: declaration.columns,
    indexes: [],
    engine: "ReplacingMergeTree",
    version: declaration.version,
    orderBy: declaration.key,
    partitionBy: null,
    ttl: null,
    deduplicationWindow: WINDOW,
  };
  // The version only decides which row stands; it is no part of the answer.
  const columns = quotedList(declaration.columns.map((column) => column.name).filter((name) => name !== declaration.version));
  return { base, derived: [], views: [{ name: declaration.view, select: `SELECT ${columns} FROM ${q(base.name)} FINAL` }] };
}

/** The shown columns that are not part of `by`, in order. */
export function restColumns(declaration: HistoryDeclaration, newest: NewestDeclaration): readonly string[] {
  return declaration.shown.map((column) => column.name).filter((name) => !newest.by.includes(name));
}

/** What orders rows in time: the declared fields, then the place in the log, so that the order is total and repeats change nothing. */
export function orderTuple(declaration: HistoryDeclaration, newest: NewestDeclaration): string {
  const { partition, offset, index } = declaration.identity;
  return `tuple(${quotedList([...newest.newest, partition, offset, index])})`;
}

function typeOf(declaration: HistoryDeclaration, name: string): string {
  return declaration.columns.find((column) => column.name === name)?.type ?? "String";
}

/**
 * A row's columns taken out of a tuple `_row`, in the order of the schema.
 * Both levels name the columns differently, since an alias that hides a column changes what the column means in the rest of the query.
 */
function unpacked(declaration: HistoryDeclaration, newest: NewestDeclaration): string {
  const rest = restColumns(declaration, newest);
  return declaration.shown
    .map(({ name }) => (newest.by.includes(name) ? quoted(name) : `tupleElement(${quoted("_row")}, ${rest.indexOf(name) + 1}) AS ${quoted(name)}`))
    .join(", ");
}

/** Selects the state of the newest row a key from rows of the history. */
export function latestSelect(declaration: HistoryDeclaration, latest: NewestDeclaration, q: Qualify, where = ""): string {
  const by = quotedList(latest.by);
  const row = `tuple(${quotedList(restColumns(declaration, latest))})`;
  return `SELECT ${by}, argMaxState(${row}, ${orderTuple(declaration, latest)}) AS ${quoted("_row")} FROM ${q(declaration.table)}${where} GROUP BY ${by}`;
}

/**
 * Selects window states from rows of the history. A window has a row for each partition whose rows it holds: a partition's rows are written by one task at a time, so
 * what a partition gave to a window can be compared with the history, and put right, while other tasks go on adding to the same window.
 */
export function windowSelect(declaration: HistoryDeclaration, window: WindowDeclaration, q: Qualify, where = "", final = ""): string {
  const by = windowKey(declaration, window).map((column) => quoted(column.name));
  const states = stateColumns(window, declaration.columns).map((column) => `${column.fromRows} AS ${quoted(column.name)}`);
  const select = [`${bucketExpression(window)} AS ${quoted("window_start")}`, ...by, ...states].join(", ");
  return `SELECT ${select} FROM ${q(declaration.table)}${final}${where} GROUP BY ${[quoted("window_start"), ...by].join(", ")}`;
}

function latestDerived(declaration: HistoryDeclaration, latest: NewestDeclaration, window: number, q: Qualify): DerivedObject {
  const { partition, offset, index } = declaration.identity;
  const row = `Tuple(${restColumns(declaration, latest).map((name) => typeOf(declaration, name)).join(", ")})`;
  const order = `Tuple(${[...latest.newest, partition, offset, index].map((name) => typeOf(declaration, name)).join(", ")})`;
  const table: TableObject = {
    name: names.state(latest.name),
    columns: [...latest.by.map((name) => ({ name, type: typeOf(declaration, name) })), { name: "_row", type: `AggregateFunction(argMax, ${row}, ${order})` }],
    indexes: [],
    engine: "AggregatingMergeTree",
    version: null,
    orderBy: latest.by,
    partitionBy: null,
    ttl: null,
    deduplicationWindow: window,
  };
  return { table, trigger: { name: names.trigger(latest.name), select: latestSelect(declaration, latest, q) }, notes: null, source: declaration.table, isRebuildable: declaration.ttl === null };
}

function latestView(declaration: HistoryDeclaration, latest: NewestDeclaration, q: Qualify): ViewObject {
  const by = quotedList(latest.by);
  const inner = `SELECT ${by}, argMaxMerge(${quoted("_row")}) AS ${quoted("_row")} FROM ${q(names.state(latest.name))} GROUP BY ${by}`;
  return { name: latest.name, select: `SELECT ${unpacked(declaration, latest)} FROM (${inner})` };
}

/** What rows of a window's state are told apart by, besides the window's start. */
export function windowKey(declaration: HistoryDeclaration, window: WindowDeclaration): readonly ColumnDeclaration[] {
  const { topic, partition } = declaration.identity;
  return [...window.by, ...[topic, partition].map((name) => ({ name, type: typeOf(declaration, name) }))];
}

function windowDerived(declaration: HistoryDeclaration, each: WindowDeclaration, window: number, q: Qualify): DerivedObject {
  const table: TableObject = {
    name: names.state(each.view),
    columns: [{ name: "window_start", type: "DateTime64(3, 'UTC')" }, ...windowKey(declaration, each), ...stateColumns(each, declaration.columns).map(({ name, type }) => ({ name, type }))],
    indexes: [],
    engine: "AggregatingMergeTree",
    version: null,
    orderBy: [...each.by.map((column) => column.name), "window_start", declaration.identity.topic, declaration.identity.partition],
    partitionBy: null,
    ttl: null,
    deduplicationWindow: window,
  };
  return { table, trigger: { name: names.trigger(each.view), select: windowSelect(declaration, each, q) }, notes: null, source: declaration.table, isRebuildable: declaration.ttl === null };
}

function windowView(window: WindowDeclaration, q: Qualify): ViewObject {
  const key = quotedList(["window_start", ...window.by.map((column) => column.name)]);
  const results = window.aggregates.map((aggregate) => `${resultExpression(aggregate)} AS ${quoted(aggregate.name)}`).join(", ");
  return { name: window.view, select: `SELECT ${key}, ${results} FROM ${q(names.state(window.view))} GROUP BY ${key}` };
}

/** The snapshots, and the notes on them: see as-of-notes.ts. */
function dailyDerived(declaration: HistoryDeclaration, daily: NewestDeclaration): DerivedObject {
  const asOf = { name: "as_of", type: "DateTime64(3, 'UTC')" };
  const plain = { indexes: [], version: null, partitionBy: null, ttl: null, deduplicationWindow: 0 } as const;
  const table: TableObject = { ...plain, engine: "ReplacingMergeTree", name: names.data(daily.name), columns: [asOf, ...declaration.columns], orderBy: ["as_of", ...daily.by] };
  const notes: TableObject = { ...plain, engine: "AggregatingMergeTree", name: names.notes(daily.name), columns: NOTE_COLUMNS, orderBy: ["id"] };
  return { table, trigger: null, notes, source: declaration.table, isRebuildable: declaration.ttl === null };
}

function dailyView(declaration: HistoryDeclaration, daily: NewestDeclaration, q: Qualify): ViewObject {
  const columns = quotedList(["as_of", ...declaration.shown.map((column) => column.name)]);
  return { name: daily.name, select: `SELECT ${columns} FROM ${q(names.data(daily.name))} FINAL` };
}

function asOfView(declaration: HistoryDeclaration, asOf: NewestDeclaration, q: Qualify): ViewObject {
  const by = quotedList(asOf.by);
  const row = `tuple(${quotedList(restColumns(declaration, asOf))})`;
  const where = `WHERE ${quoted(declaration.loadTime ?? "load_time")} < {as_of:DateTime64(3, 'UTC')}`;
  const inner = `SELECT ${by}, argMax(${row}, ${orderTuple(declaration, asOf)}) AS ${quoted("_row")} FROM ${q(declaration.table)} ${where} GROUP BY ${by}`;
  return { name: asOf.name, select: `SELECT ${unpacked(declaration, asOf)} FROM (${inner})` };
}
