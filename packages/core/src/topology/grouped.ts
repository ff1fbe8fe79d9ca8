import type { RecordSchema, SerdeMigration } from "../schema/index.ts";
import { type AggregateResult, type Aggregator, count } from "./aggregate.ts";
import type { AggregateNode, AnySchema, NodeId } from "./node.ts";
import { errorPolicy, type OnError } from "./policy.ts";
import type { LateStream } from "./late-stream.ts";
import type { Stream } from "./stream.ts";
import type { TumblingWindow } from "./window.ts";

/** What a window adds to each row: its bounds in epoch milliseconds, the end excluded. */
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

/** A stream grouped by fields; W is what windows add to the rows. Updated rows leave at each commit, one a group. */
export class Grouped<V, F extends keyof V & string, W = unknown> {
  readonly #stream: Stream<V>;
  readonly #fields: readonly F[];
  readonly #window: TumblingWindow | undefined;
  readonly #open: (id: NodeId) => LateStream<never, V>;

  /** Made by `groupBy`; `open` makes the handle of a node, and is given so that the two files do not need each other. */
  constructor(stream: Stream<V>, fields: readonly F[], open: (id: NodeId) => LateStream<never, V>, window?: TumblingWindow) {
    this.#stream = stream;
    this.#fields = fields;
    this.#open = open;
    this.#window = window;
  }

  /** Splits each group by windows of event time. */
  windowed(window: TumblingWindow): Grouped<V, F, WindowBounds> {
    return new Grouped<V, F, WindowBounds>(this.#stream, this.#fields, this.#open, window);
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
    const id = this.#stream.draft.add({
      kind: "aggregate",
      name,
      upstream: [this.#stream.nodeId],
      groupBy: Object.freeze([...this.#fields]),
      schema: this.#stream.schema,
      window: this.#window,
      aggregation: Object.freeze(aggregation),
      onError: errorPolicy(options.onError),
    });
    return this.#open(id) as unknown as LateStream<Row, V>;
  }
}
