import {
  type ByteWriter,
  compileRowEncoder,
  ddlColumns,
  type DeadLetter,
  type RecordMeta,
  type RecordSchema,
  type RowEncoder,
  type SinkShape,
  type SinkSpec,
} from "@iot-topology/core";
import { declarationChanges } from "./change.ts";
import type { ColumnDeclaration, HistoryDeclaration, HistoryOptions, UpsertDeclaration, UpsertOptions, WindowDeclaration } from "./declaration.ts";
import { dependents, historyProblems, upsertProblems } from "./problem.ts";
import { historyWarnings, upsertWarnings } from "./warning.ts";

/** The name under which topologies find this connector. */
export const CONNECTOR_NAME = "clickhouse";

const IDENTITY = Object.freeze({ topic: "_topic", partition: "_partition", offset: "_offset", index: "_index" });
const PLACE_COLUMNS: readonly ColumnDeclaration[] = [
  { name: IDENTITY.topic, type: "LowCardinality(String)" },
  { name: IDENTITY.partition, type: "UInt32" },
  { name: IDENTITY.offset, type: "UInt64" },
  { name: IDENTITY.index, type: "UInt32" },
];

/**
 * A history: every row once, for good, with its load time and its place in the log; on it latest values, windows and as-of values.
 *
 * The rows go to a `ReplacingMergeTree` ordered by `orderBy`, which must identify a row. Views take part in the guarantee.
 *
 * @example
 * clickhouse.history("readings", Reading, {
 *   orderBy: ["device_id", "event_time"],
 *   latest: [{ view: "readings_latest", by: ["device_id"], newest: ["event_time"] }],
 *   windows: [{ view: "readings_1h", every: hours(1), time: "event_time", by: ["device_id"], aggregates: { n: count(), max: max("value") } }],
 * });
 */
export function history<Out, In>(table: string, schema: RecordSchema<Out, In>, options: HistoryOptions<Out>): SinkSpec<In> {
  const columns = ddlColumns(schema);
  const loadTime = options.loadTimeColumn ?? "load_time";
  const shown = [...columns, { name: loadTime, type: "DateTime64(3, 'UTC')" }];
  const columnOf = (name: string): ColumnDeclaration => columns.find((column) => column.name === name) ?? { name, type: "" };
  const windows = (options.windows ?? []).map(
    (window): WindowDeclaration => ({
      view: window.view,
      everyMs: window.every,
      time: columnOf(window.time),
      by: window.by.map(columnOf),
      aggregates: Object.entries(window.aggregates).map(([name, aggregate]) => ({ name, kind: aggregate.kind, field: aggregate.field ?? null })),
    }),
  );
  const declaration: HistoryDeclaration = deepFreeze({
    kind: "history",
    table,
    columns: [...shown, ...PLACE_COLUMNS],
    shown,
    identity: IDENTITY,
    loadTime,
    orderBy: [...options.orderBy],
    partitionBy: options.partitionBy ?? null,
    ttl: options.ttl ?? null,
    latest: (options.latest ?? []).map(({ view, by, newest }) => ({ name: view, by: [...by], newest: [...newest] })),
    windows,
    asOfDaily: (options.asOfDaily ?? []).map(({ table: name, by, newest }) => ({ name, by: [...by], newest: [...newest] })),
    asOf: (options.asOf ?? []).map(({ view, by, newest }) => ({ name: view, by: [...by], newest: [...newest] })),
    views: (options.views ?? []).map(({ view, select }) => ({ view, select })),
  });
  return historySpec<In>(declaration, () => {
    const encode = compileRowEncoder(schema);
    return (writer, value, meta) => {
      encode(writer, value);
      writer.i64Number(meta.loadTime);
      writePlace(writer, meta);
    };
  });
}

/** Dead letters: a row a refused record, with its reason, its place in the log and its original bytes. */
export function deadLetters(table: string): SinkSpec<DeadLetter> {
  const columns: readonly ColumnDeclaration[] = [
    { name: "code", type: "LowCardinality(String)" },
    { name: "message", type: "String" },
    { name: "field", type: "String" },
    { name: "step", type: "LowCardinality(String)" },
    { name: "topic", type: "LowCardinality(String)" },
    { name: "partition", type: "UInt32" },
    { name: "offset", type: "UInt64" },
    { name: "timestamp", type: "DateTime64(3, 'UTC')" },
    { name: "key", type: "Nullable(String)" },
    { name: "value", type: "Nullable(String)" },
    { name: "_index", type: "UInt32" },
  ];
  const declaration: HistoryDeclaration = deepFreeze({
    kind: "history",
    table,
    columns: [...columns],
    shown: columns.slice(0, -1),
    identity: { topic: "topic", partition: "partition", offset: "offset", index: "_index" },
    loadTime: null,
    orderBy: ["topic", "partition", "offset", "step", "_index"],
    partitionBy: null,
    ttl: null,
    latest: [],
    windows: [],
    asOfDaily: [],
    asOf: [],
    views: [],
  });
  return historySpec<DeadLetter>(declaration, () => (writer, letter, meta) => {
    writer.text(letter.code);
    writer.text(letter.message.toWellFormed());
    writer.text(letter.field.toWellFormed());
    writer.text(letter.step);
    writer.text(meta.topic);
    writer.u32(meta.partition);
    writer.i64Number(meta.offset);
    writer.i64Number(letter.timestamp);
    nullableBytes(writer, letter.key);
    nullableBytes(writer, letter.value);
    writer.u32(meta.index);
  });
}

/**
 * A table of which only the newest version of each key shows: a `ReplacingMergeTree(version)` named `<name>_data` behind a plain view `<name>`.
 * A repeated row changes nothing, since the greatest version wins.
 */
export function upsert<Out, In>(name: string, schema: RecordSchema<Out, In>, options: UpsertOptions<keyof Out & string>): SinkSpec<In> {
  const declaration: UpsertDeclaration = deepFreeze({
    kind: "upsert",
    view: name,
    columns: ddlColumns(schema).map((column) => ({ ...column })),
    key: [...options.key],
    version: options.version,
  });
  return Object.freeze({
    kind: "sink",
    connector: CONNECTOR_NAME,
    target: name,
    guarantee: Object.freeze({ level: "exactly-once", by: "a repeated row is the same version of its key, of which one shows" }),
    summary: `ReplacingMergeTree(${options.version}) ${name} ORDER BY (${options.key.join(", ")})`,
    dependents: Object.freeze([]),
    encoder: (): RowEncoder<In> => {
      const encode = compileRowEncoder(schema);
      return (writer, value) => encode(writer, value);
    },
    problems: Object.freeze(upsertProblems(declaration)),
    warnings: (rows) => upsertWarnings(declaration, rows),
    rebuildable: "by-key",
    shape: declaration as unknown as SinkShape,
    changesSince: (earlier) => declarationChanges(earlier, declaration),
    declaration,
  } satisfies SinkSpec<In>);
}

function historySpec<In>(declaration: HistoryDeclaration, encoder: () => RowEncoder<In>): SinkSpec<In> {
  return Object.freeze({
    kind: "sink",
    connector: CONNECTOR_NAME,
    target: declaration.table,
    guarantee: Object.freeze({ level: "exactly-once", by: "insert_deduplication_token, and uncertain batches compared with the table and its views" }),
    summary: `ReplacingMergeTree ${declaration.table} ORDER BY (${declaration.orderBy.join(", ")})`,
    dependents: Object.freeze(dependents(declaration)),
    encoder,
    problems: Object.freeze(historyProblems(declaration)),
    warnings: (rows) => historyWarnings(declaration, rows),
    rebuildable: "by-position",
    shape: declaration as unknown as SinkShape,
    changesSince: (earlier) => declarationChanges(earlier, declaration),
    declaration,
  } satisfies SinkSpec<In>);
}

function writePlace(writer: ByteWriter, meta: RecordMeta): void {
  writer.text(meta.topic);
  writer.u32(meta.partition);
  writer.i64Number(meta.offset);
  writer.u32(meta.index);
}

function nullableBytes(writer: ByteWriter, bytes: Uint8Array | null): void {
  writer.u8(bytes === null ? 1 : 0);
  if (bytes !== null) writer.sized(bytes);
}

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
