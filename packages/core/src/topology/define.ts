import type { DurationMs, WarningRule } from "../model/index.ts";
import type { DeadLetter, DeadLetterStream } from "./dead-letter.ts";
import { TopologyDraft } from "./draft.ts";
import { addGlobalTable, type GlobalTable, type GlobalTableOptions } from "./global-table.ts";
import type { Topology } from "./node.ts";
import { type RawStream, rawStream } from "./raw-stream.ts";
import { Stream } from "./stream.ts";
import { Table, type TableOptions } from "./table.ts";
import { WindowedTable } from "./windowed-table.ts";

/** Options of {@link defineTopology}. */
export interface TopologyOptions {
  /** 1 by default. Part of every delivery token: raise it when a change makes other rows of the same input. */
  readonly version?: number;
  /** Warnings that are known and meant, by the name of their step: `{ "hourly": ["STATE_UNBOUNDED"] }`. `describe` leaves them out. */
  readonly accepts?: { readonly [step: string]: readonly WarningRule[] };
}

/** Options of a source. */
export interface SourceOptions {
  /** The topics joined by `+` unless given. */
  readonly name?: string;
  /**
   * How long after the first time a producer may send a record again; 0 where it never does. Two minutes unless given, the default `delivery.timeout.ms` of Kafka's producers.
   * Nothing is done with it but to warn of a dedup that forgets too soon, and of views that count repeats.
   */
  readonly redelivery?: DurationMs;
}

/** What the building function gets. */
export interface TopologyBuilder {
  /** Reads one topic or several as one stream of raw records. */
  source(topics: string | readonly [string, ...string[]], options?: SourceOptions): RawStream;
  /**
   * Reads a topic as a table: each record is the value of its key from now on, a null value deletes it.
   *
   * @example t.table("users", { store: "users", value: serde.json<User>() })
   */
  table<T>(topic: string, options: TableOptions<T>): Table<T>;
  /**
   * Reads a topic as a table of which every task has all rows, for joins of streams by any key. Its partitions say nothing about those of the streams.
   *
   * @example
   * const countries = t.globalTable("countries", { store: "countries", value: serde.json<Country>() });
   * clicks.join(countries, (click, country) => ({ ...click, country: country.name }), { key: (click) => click.countryCode });
   */
  globalTable<T>(topic: string, options: GlobalTableOptions<T>): GlobalTable<T>;
  /** A named stream of refused records, for the `onError` of steps. */
  deadLetter(name: string): DeadLetterStream;
}

function builderOf(draft: TopologyDraft): TopologyBuilder {
  const source: TopologyBuilder["source"] = (topics, options) => {
    const list = typeof topics === "string" ? [topics] : topics;
    return rawStream(draft, draft.add({ kind: "source", name: options?.name ?? list.join("+"), upstream: [], topics: Object.freeze([...list]), redeliveryMs: options?.redelivery, repartition: undefined }));
  };
  return {
    source,
    table: <T>(topic: string, { store, value, history, ttl, ...options }: TableOptions<T>) =>
      draft.table<T>(draft.add({ kind: "table", name: store, upstream: [source(topic).decode(value, options).nodeId], serde: value, historyMs: history, ttlMs: ttl })),
    globalTable: (topic, options) => addGlobalTable(draft, topic, options),
    deadLetter: (deadLetterName) => Object.assign(new Stream<DeadLetter>(draft, draft.add({ kind: "dead-letter", name: deadLetterName, upstream: [] })), { deadLetterName }),
  };
}

/**
 * Builds a topology: frozen data that can be validated, described and run.
 *
 * @example
 * export default defineTopology("iot", (t) => {
 *   const dead = t.deadLetter("dead-letters");
 *   dead.sink(topic("dead", serde.json()));
 *   t.source("readings").cast(Reading, { timestamp: "ts", onError: dead }).sink(clickhouse.history("readings", Reading, { orderBy: ["deviceId", "metric", "ts", "seq"] }));
 * });
 */
export function defineTopology(name: string, build: (t: TopologyBuilder) => void): Topology;
export function defineTopology(name: string, options: TopologyOptions, build: (t: TopologyBuilder) => void): Topology;
export function defineTopology(
  name: string,
  optionsOrBuild: TopologyOptions | ((t: TopologyBuilder) => void),
  maybeBuild?: (t: TopologyBuilder) => void,
): Topology {
  const options = typeof optionsOrBuild === "function" ? {} : optionsOrBuild;
  const build = typeof optionsOrBuild === "function" ? optionsOrBuild : maybeBuild;
  const draft = new TopologyDraft(name, {
    stream: (owner, id, schema) => new Stream(owner, id, schema),
    table: (owner, id) => new Table(owner, id),
    windowedTable: (owner, id) => new WindowedTable(owner, id),
  });
  build?.(builderOf(draft));
  return Object.freeze({ kind: "topology", name, version: options.version ?? 1, nodes: draft.close(), accepts: Object.freeze({ ...options.accepts }) });
}

/** Whether a value is a topology, for loaders of users' files. */
export function isTopology(value: unknown): value is Topology {
  return typeof value === "object" && value !== null && (value as { kind?: unknown }).kind === "topology" && Array.isArray((value as { nodes?: unknown }).nodes);
}
