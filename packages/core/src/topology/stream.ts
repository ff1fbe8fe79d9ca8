import type { DurationMs, RecordKey, StreamRecord } from "../model/index.ts";
import type { SinkSpec } from "../port/index.ts";
import type { Serde } from "../schema/index.ts";
import type { TopologyDraft } from "./draft.ts";
import { Grouped } from "./grouped.ts";
import { GlobalTable } from "./global-table.ts";
import { addGlobalTableJoin, addStreamJoin, addTableJoin, type GlobalTableJoinOptions, type StreamJoinOptions, type TableJoinOptions } from "./join.ts";
import type { Joiner } from "./join-nodes.ts";
import { KeyedGroup } from "./keyed-group.ts";
import { type LateStream, withLate } from "./late-stream.ts";
import type { AnySchema, ErrorPolicy, NodeId } from "./node.ts";
import { errorPolicy, type OnError } from "./policy.ts";
import { asyncForm, type AsyncMap, type MapAsyncOptions } from "./map-async.ts";
import { addProcess, type ProcessOptions, type ProcessStream, type ProcessValuesOptions } from "./process.ts";
import { addRepartition, type AnyRepartitionOptions, type RepartitionOptions, type SerdeRepartitionOptions } from "./repartition.ts";
import type { StoreDeclaration } from "./store-declaration.ts";
import type { RowOptions, Table } from "./table.ts";
import type { KeyValue } from "./table-nodes.ts";

/** Options of a step without state. A step that may send records to the dead letters needs a name. */
export interface StepOptions {
  readonly name?: string;
  readonly onError?: OnError;
}

/** Names of the fields of V whose values have type T. */
export type FieldsOf<V, T> = { [K in keyof V & string]: V[K] extends T ? K : never }[keyof V & string];

/** Options of {@link Stream.dedup}. */
export type DedupOptions<V> = {
  /** What makes two records the same: fields, or a function that gives a text. */
  readonly by: readonly (keyof V & string)[] | ((value: V, record: StreamRecord<V>) => string);
  readonly onError?: OnError;
} & (
  | { readonly within?: never; readonly sequence?: never }
  | {
      /** Only records at most this far apart in event time are the same; older state is dropped as stream time goes on. */
      readonly within: DurationMs;
      readonly sequence?: never;
    }
  | {
      readonly within?: never;
      /** An integer field that counts up for each `by`: seen numbers are kept as ranges, a few bytes for thousands of records. */
      readonly sequence: FieldsOf<V, number | bigint>;
    }
);

type JoinArguments = readonly [other: Stream<unknown> | Table<unknown> | GlobalTable<unknown>, joiner: Joiner, options?: TableJoinOptions<unknown> | GlobalTableJoinOptions<unknown> | StreamJoinOptions<unknown, unknown>];

/** A stream of records with values of type V: a handle on a node of a topology. Every operator returns another handle. */
export class Stream<V> {
  readonly draft: TopologyDraft;
  readonly nodeId: NodeId;
  /** The schema of the values, where they come from a cast and were not mapped since. */
  readonly schema: AnySchema | undefined;

  constructor(draft: TopologyDraft, nodeId: NodeId, schema?: AnySchema) {
    this.draft = draft;
    this.nodeId = nodeId;
    this.schema = schema;
  }

  #step(options: StepOptions | undefined): { name: string | undefined; upstream: NodeId[]; onError: ErrorPolicy } {
    return { name: options?.name, upstream: [this.nodeId], onError: errorPolicy(options?.onError) };
  }

  /** Keeps the records for which the predicate holds. */
  filter(predicate: (value: V, record: StreamRecord<V>) => boolean, options?: StepOptions): Stream<V> {
    return new Stream<V>(this.draft, this.draft.add({ kind: "filter", ...this.#step(options), predicate }), this.schema);
  }

  /** One value for each value; key and timestamp stay. */
  map<W>(map: (value: V, record: StreamRecord<V>) => W, options?: StepOptions): Stream<W> {
    return new Stream<W>(this.draft, this.draft.add({ kind: "map", ...this.#step(options), map }));
  }

  /** Any number of values for each value; key and timestamp stay. */
  flatMap<W>(map: (value: V, record: StreamRecord<V>) => Iterable<W>, options?: StepOptions): Stream<W> {
    return new Stream<W>(this.draft, this.draft.add({ kind: "flatMap", ...this.#step(options), map }));
  }

  /** Calls the action for each record and passes the record on unchanged. May be called again for the same record after a crash. */
  peek(action: (value: V, record: StreamRecord<V>) => void, options?: StepOptions): Stream<V> {
    return new Stream<V>(this.draft, this.draft.add({ kind: "peek", ...this.#step(options), action }), this.schema);
  }

  /** Gives each record another key. Records stay in their task: state behind it needs a topic of one partition, or a `repartition`. */
  rekey(key: (value: V, record: StreamRecord<V>) => RecordKey, options?: StepOptions): Stream<V> {
    return new Stream<V>(this.draft, this.draft.add({ kind: "rekey", ...this.#step(options), key }), this.schema);
  }

  /** Keeps the records for which the predicate does not hold. */
  filterNot(predicate: (value: V, record: StreamRecord<V>) => boolean, options?: StepOptions): Stream<V> {
    return this.filter((value, record) => !predicate(value, record), options);
  }

  /** One record for each record, with a key and a value of its own: Kafka Streams' `map`. State behind it is as behind {@link Stream.rekey}. */
  mapRecord<W>(map: (record: StreamRecord<V>) => KeyValue<W>, options?: StepOptions): Stream<W> {
    return new Stream<W>(this.draft, this.draft.add({ kind: "map-record", ...this.#step(options), map }));
  }

  /** Any number of records for each record, with keys and values of their own: Kafka Streams' `flatMap`. */
  flatMapRecord<W>(map: (record: StreamRecord<V>) => Iterable<KeyValue<W>>, options?: StepOptions): Stream<W> {
    return new Stream<W>(this.draft, this.draft.add({ kind: "flat-map-record", ...this.#step(options), map }));
  }

  /**
   * Reads the stream as a table: each record is the value of its key from now on, a null value deletes it. The name is that of the store.
   * Records without a key are dropped and counted (`null-key`).
   *
   * @example clicks.toTable("last-click", { value: serde.json<Click>() })
   */
  toTable(store: string, options: RowOptions & { readonly value: Serde<NonNullable<V>> }): Table<NonNullable<V>> {
    const { value, history, ttl } = options;
    return this.draft.table(this.draft.add({ kind: "table", name: store, upstream: [this.nodeId], serde: value, historyMs: history, ttlMs: ttl }));
  }

  /**
   * A step of your own, Kafka Streams' Processor API: with stores, punctuators, and streams to named children. State behind it is as behind {@link Stream.rekey}.
   *
   * @example
   * const last = keyValueStore("last", { value: serde.float64() });
   * readings.process("jumps", {
   *   stores: [last],
   *   process({ key, value }, context) {
   *     const known = context.store("last").get(value.deviceId);
   *     context.store("last").put(value.deviceId, value.value);
   *     if (known !== undefined && Math.abs(known - value.value) > 10) context.forward({ key, value });
   *   },
   * });
   */
  process<W = V, const S extends readonly StoreDeclaration[] = readonly [], C = unknown>(name: string, options: ProcessOptions<V, W, S, C>): ProcessStream<W, C> {
    return addProcess<W, C>(this.draft, this.nodeId, name, options, false);
  }

  /** The same where keys stay as they are, so that the partitioning does too: Kafka Streams' `processValues`. */
  processValues<W = V, const S extends readonly StoreDeclaration[] = readonly [], C = unknown>(name: string, options: ProcessValuesOptions<V, W, S, C>): ProcessStream<W, C> {
    return addProcess<W, C>(this.draft, this.nodeId, name, options, true);
  }

  /**
   * One value for each value, from something outside: a call a record, so many at once, with timeouts and retries. Key and timestamp stay.
   *
   * A call is made at least once, with an idempotency key that stays the same; its result counts exactly once: it leaves in the commit that ends its record's waiting.
   * Results leave in the order of their records in a partition, or as they come with `ordered: false`.
   *
   * @example
   * const located = clicks.mapAsync("locate", async (click, _record, { signal }) => {
   *   const answer = await fetch(`https://places.example.com/${click.page}`, { signal });
   *   return { ...click, place: await answer.text() };
   * }, { value: serde.json<Click>(), concurrency: 8, timeout: 2_000, retry: { attempts: 3, backoff: 500 }, onError: dead });
   */
  mapAsync<W>(name: string, map: AsyncMap<V, W>, options: MapAsyncOptions<V>): Stream<W> {
    return new Stream<W>(this.draft, this.draft.add({ kind: "map-async", name, upstream: [this.nodeId], map, ...asyncForm(options as MapAsyncOptions<never>), onError: errorPolicy(options.onError) }));
  }

  /** Groups by the records' keys as they are, for aggregates a key. */
  groupByKey(): KeyedGroup<NonNullable<V>, V> {
    return new KeyedGroup<NonNullable<V>, V>(this.draft, this.nodeId);
  }

  /** The records of this stream and of the other, in the order in which the task processes them. */
  merge<W>(other: Stream<W>): Stream<V | W> {
    const id = this.draft.add({ kind: "merge", name: undefined, upstream: [this.nodeId, other.nodeId] });
    return new Stream<V | W>(this.draft, id, this.schema === other.schema ? this.schema : undefined);
  }

  /** Sends each record to the first arm whose predicate holds, or to `rest`. */
  branch<const A extends { readonly [arm: string]: (value: V, record: StreamRecord<V>) => boolean }>(
    arms: A,
    options?: StepOptions,
  ): { readonly [K in keyof A | "rest"]: Stream<V> } {
    const entries = Object.entries(arms);
    const id = this.draft.add({
      kind: "branch",
      ...this.#step(options),
      arms: Object.freeze(entries.map(([name, predicate]) => Object.freeze({ name, predicate }))),
    });
    const out: Record<string, Stream<V>> = {};
    [...entries.map(([name]) => name), "rest"].forEach((name, index) => {
      out[name] = new Stream<V>(this.draft, this.draft.add({ kind: "arm", name: undefined, upstream: [id], index }), this.schema);
    });
    return Object.freeze(out) as { readonly [K in keyof A | "rest"]: Stream<V> };
  }

  /**
   * Passes only the first record of each identity; the name is that of the store that remembers them. Repeats are counted.
   *
   * @example readings.dedup("seen-readings", { by: ["deviceId", "metric"], sequence: "seq" })
   */
  dedup(name: string, options: DedupOptions<V>): LateStream<V> {
    const { by } = options;
    const id = this.draft.add({
      kind: "dedup",
      name,
      upstream: [this.nodeId],
      fields: typeof by === "function" ? undefined : Object.freeze([...by]),
      identity: typeof by === "function" ? by : undefined,
      schema: this.schema,
      sequenceField: options.sequence,
      withinMs: options.within,
      onError: errorPolicy(options.onError),
    });
    return this.#withLate(new Stream<V>(this.draft, id, this.schema), this);
  }

  #withLate<W>(stream: Stream<W>, before: Stream<V>): LateStream<W, V> {
    return withLate(stream, () => new Stream<V>(this.draft, this.draft.add({ kind: "late", name: undefined, upstream: [stream.nodeId] }), before.schema));
  }

  /**
   * Brings records with equal keys together in one task, through a topic of the topology's own, `<topology>-<name>-repartition`. What stands behind is a part of its
   * own, with as many tasks as that topic has partitions. Values, event times and load times go through unchanged; a record's place in the log is its place there.
   *
   * @example readings.repartition("by-site", { by: ["site"] }).groupBy("site").count("readings-a-site").sink(collect("sites"))
   */
  repartition<W = V, I = V>(name: string, options: RepartitionOptions<V, W, I>): Stream<W>;
  /**
   * The same for values that a serde keeps, by a key that a function gives.
   *
   * @example t.source("visits").decode(serde.json<Click>()).repartition("by-user", { by: (visit) => visit?.user ?? null, value: serde.json<Click>() }).groupByKey().count("visits-a-user")
   */
  repartition(name: string, options: SerdeRepartitionOptions<V>): Stream<V>;
  repartition(...args: readonly unknown[]): unknown {
    const [name, options] = args as [string, AnyRepartitionOptions];
    const { id, schema } = addRepartition(this.draft, this.nodeId, this.schema, name, options);
    return new Stream<unknown>(this.draft, id, schema);
  }

  /**
   * Each record with the row that its key has in a table when the record is processed; records whose key has none are left out. Of a versioned table the row is that of the record's
   * own time. Changes of the table send nothing. Records whose key or value is null are dropped and counted.
   *
   * @example clicks.join(users, (click, user) => ({ ...click, country: user.country }))
   */
  join<T, R>(table: Table<T>, joiner: (value: NonNullable<V>, row: T, key: string) => R, options?: TableJoinOptions<V>): Stream<R>;
  /**
   * Pairs of records of two streams with equal keys within a time of each other, each with the later time of the two. Records whose key or value is null are dropped and counted.
   *
   * @example orders.join(payments, (order, payment) => ({ ...order, paid: payment.at }), {
   *   name: "paid-orders", within: joinWindow({ before: 0, after: hours(1), grace: minutes(5) }), left: serde.json<Order>(), right: serde.json<Payment>() })
   */
  join<W, R>(other: Stream<W>, joiner: (left: NonNullable<V>, right: NonNullable<W>, key: string) => R, options: StreamJoinOptions<V, W>): Stream<R>;
  /**
   * Joins each record with the row of a global table whose key a function gives, as that row is when the record is processed. Rows' changes send nothing. Records without a value, or
   * for which the function gives null, are dropped and counted.
   *
   * @example clicks.join(countries, (click, country) => ({ ...click, country: country.name }), { key: (click) => click.countryCode })
   */
  join<T, R>(table: GlobalTable<T>, joiner: (value: NonNullable<V>, row: T, key: string) => R, options: GlobalTableJoinOptions<V>): Stream<R>;
  join(...args: readonly unknown[]): unknown {
    return this.#join("inner", args as JoinArguments);
  }

  /** As `join` with a table, but a record without a row is joined with null, and so is one without a key. */
  leftJoin<T, R>(table: Table<T>, joiner: (value: NonNullable<V>, row: T | null, key: string | null) => R, options?: TableJoinOptions<V>): Stream<R>;
  /**
   * As `join` with a stream; and a record of this stream that nothing has matched leaves with null in the other's place, once nothing can match it any more: when the join's stream time
   * has passed the end of its window and the grace. One without a key leaves so at once.
   */
  leftJoin<W, R>(other: Stream<W>, joiner: (left: NonNullable<V>, right: NonNullable<W> | null, key: string | null) => R, options: StreamJoinOptions<V, W>): Stream<R>;
  /** As `join` with a global table, but a record without a row is joined with null, and so is one for which the function gives null. */
  leftJoin<T, R>(table: GlobalTable<T>, joiner: (value: NonNullable<V>, row: T | null, key: string | null) => R, options: GlobalTableJoinOptions<V>): Stream<R>;
  leftJoin(...args: readonly unknown[]): unknown {
    return this.#join("left", args as JoinArguments);
  }

  /** As `leftJoin` with a stream, for the records of both. */
  outerJoin<W, R>(other: Stream<W>, joiner: (left: NonNullable<V> | null, right: NonNullable<W> | null, key: string | null) => R, options: StreamJoinOptions<V, W>): Stream<R> {
    return new Stream<R>(this.draft, addStreamJoin("outer", this, other, joiner, options));
  }

  #join(join: "inner" | "left", [other, joiner, options = {}]: JoinArguments): Stream<unknown> {
    if (other instanceof GlobalTable) return new Stream<unknown>(this.draft, addGlobalTableJoin(join, this, other, joiner, options as GlobalTableJoinOptions<unknown>));
    const id = other instanceof Stream ? addStreamJoin(join, this, other, joiner, options as StreamJoinOptions<unknown, unknown>) : addTableJoin(join, this, other, joiner, options);
    return new Stream<unknown>(this.draft, id);
  }

  /** Groups by fields, for aggregates of columns. */
  groupBy<const F extends readonly [keyof V & string, ...(keyof V & string)[]]>(...fields: F): Grouped<V, F[number]>;
  /** Groups by a key that a function gives; records whose key is null are dropped and counted. The same as `rekey(key).groupByKey()`. */
  groupBy(key: (value: V, record: StreamRecord<V>) => RecordKey, options?: StepOptions): KeyedGroup<NonNullable<V>, V>;
  groupBy(...args: readonly unknown[]): unknown {
    const [first, options] = args;
    if (typeof first === "function") return this.rekey(first as (value: V, record: StreamRecord<V>) => RecordKey, options as StepOptions | undefined).groupByKey();
    return this.#groupByFields(args as readonly (keyof V & string)[]);
  }

  #groupByFields<F extends readonly (keyof V & string)[]>(fields: F): Grouped<V, F[number]> {
    return new Grouped<V, F[number]>(this, fields, (id) => this.#withLate(new Stream<never>(this.draft, id), this));
  }

  /** Ends the stream in one or several sinks. Each sink's row type must take V. */
  sink(...specs: readonly [SinkSpec<V>, ...SinkSpec<V>[]]): void {
    for (const spec of specs) {
      this.draft.add({ kind: "sink", name: `${spec.connector}:${spec.target}`, upstream: [this.nodeId], spec: spec });
    }
  }
}
