import type { RecordSchema, SerdeMigration } from "../schema/index.ts";
import { type AggregateResult, type Aggregator, count } from "./aggregate.ts";
import type { DurationMs } from "../model/index.ts";
import type { AggregateNode, AnySchema, NodeId } from "./node.ts";
import { errorPolicy, type OnError } from "./policy.ts";
import type { LateStream } from "./late-stream.ts";
import type { Stream } from "./stream.ts";
import type { HoppingWindow, SessionWindow, SlidingWindow, TumblingWindow, Window } from "./window.ts";
import type { WindowEmit } from "./window-nodes.ts";

/** What a window adds to each row: its bounds in epoch milliseconds; the end is excluded for tumbling and hopping windows, included for sliding windows and sessions. */
export interface WindowBounds {
  readonly window_start: number;
  readonly window_end: number;
}

/** The row of an aggregate: the group's fields, the aggregates, and how often this row was updated (a version that only grows). */
export type AggregateRow<V, F extends keyof V, A, W> = { readonly [K in F]: V[K] } & { readonly [K in keyof A]: AggregateResult<A[K]> } & W & {
    readonly updates: number;
  };

/** The row of a reduce. */
export type ReduceRow<V, F extends keyof V, R, W> = { readonly [K in F]: V[K] } & { readonly value: R } & W & { readonly updates: number };

/** Options of a step that aggregates. */
export interface AggregateOptions {
  readonly onError?: OnError;
}

/** Options of windows over groups of fields. */
export interface GroupWindowOptions<E extends WindowEmit = WindowEmit> {
  /**
   * When rows leave: those that changed at each commit (the default, and the fastest), each with every record that changes it, or each once, when its window is closed and nothing can
   * change it any more (the default and only way for sessions, whose bounds change until then).
   */
  readonly emit?: E;
  /** Keeps state for queries, in stream time from a window's start (a session's end); never less than as long as records can still come for it. */
  readonly retention?: DurationMs;
}

interface GroupWindow {
  readonly window: Window;
  readonly emit: WindowEmit;
  readonly retentionMs: number | undefined;
}

/** A stream grouped by fields; W is what windows add to the rows. Updated rows leave at each commit, one a group, unless windows say otherwise. */
export class Grouped<V, F extends keyof V & string, W = unknown> {
  readonly #stream: Stream<V>;
  readonly #fields: readonly F[];
  readonly #by: GroupWindow | undefined;
  readonly #open: (id: NodeId) => LateStream<never, V>;

  /** Made by `groupBy`; `open` makes the handle of a node, and is given so that the two files do not need each other. */
  constructor(stream: Stream<V>, fields: readonly F[], open: (id: NodeId) => LateStream<never, V>, by?: GroupWindow) {
    this.#stream = stream;
    this.#fields = fields;
    this.#open = open;
    this.#by = by;
  }

  /**
   * Splits each group by windows of event time.
   *
   * @example
   * readings.groupBy("deviceId").windowed(session(minutes(5), { grace: minutes(1) })).aggregate("runs", { n: count(), most: max("value") }).sink(collect("runs"))
   */
  windowed(window: TumblingWindow | HoppingWindow | SlidingWindow, options?: GroupWindowOptions): Grouped<V, F, WindowBounds>;
  windowed(window: SessionWindow, options?: GroupWindowOptions<"close">): Grouped<V, F, WindowBounds>;
  windowed(window: Window, options: GroupWindowOptions = {}): Grouped<V, F, WindowBounds> {
    const { emit = window.kind === "session" ? "close" : "commit", retention } = options;
    return new Grouped<V, F, WindowBounds>(this.#stream, this.#fields, this.#open, { window, emit, retentionMs: retention });
  }

  /**
   * Keeps columns of aggregates a group; the name is that of the store.
   *
   * @example readings.groupBy("deviceId").windowed(tumbling(hours(1), { grace: days(2) })).aggregate("hourly", { n: count(), max: max("value") })
   */
  aggregate<const A extends { readonly [column: string]: Aggregator<V, unknown> }>(
    name: string,
    columns: A,
    options: AggregateOptions = {},
  ): LateStream<AggregateRow<V, F, A, W>, V> {
    return this.#add(name, { kind: "columns", columns: Object.freeze({ ...columns }) }, options);
  }

  /** Counts records a group, in a column `n`. */
  count(name: string, options: AggregateOptions = {}): LateStream<AggregateRow<V, F, { readonly n: Aggregator<unknown> }, W>, V> {
    return this.#add(name, { kind: "columns", columns: Object.freeze({ n: count() }) }, options);
  }

  /**
   * Combines the records of a group into one value of the schema's type, in a column `value`; the first record's value starts it. Totals of an earlier schema are made over by
   * `migrations`, as `serde.from(serde.binary(Earlier), (old) => ...)`.
   */
  reduce<R extends V, I>(
    name: string,
    schema: RecordSchema<R, I>,
    reduce: (total: R, value: V) => R,
    options: AggregateOptions & { readonly migrations?: readonly SerdeMigration<R>[] } = {},
  ): LateStream<ReduceRow<V, F, R, W>, V> {
    return this.#add(name, { kind: "reduce", schema: schema as AnySchema, reduce, migrations: Object.freeze([...(options.migrations ?? [])]) }, options);
  }

  #add<Row>(name: string, aggregation: AggregateNode["aggregation"], options: AggregateOptions): LateStream<Row, V> {
    const { draft, nodeId, schema } = this.#stream;
    const common = { name, upstream: [nodeId], groupBy: Object.freeze([...this.#fields]), schema, aggregation: Object.freeze(aggregation), onError: errorPolicy(options.onError) };
    const by = this.#by;
    const isPlain = by === undefined || (by.window.kind === "tumbling" && by.emit === "commit" && by.retentionMs === undefined);
    const id = isPlain ? draft.add({ kind: "aggregate", ...common, window: by?.window as TumblingWindow | undefined }) : draft.add({ kind: "windowed-group", ...common, ...by });
    return this.#open(id) as unknown as LateStream<Row, V>;
  }
}
