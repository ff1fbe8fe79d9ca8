import type { DurationMs } from "../model/index.ts";
import { type Serde, serde } from "../schema/index.ts";
import type { TopologyDraft } from "./draft.ts";
import type { NodeId } from "./node.ts";
import { errorPolicy, type OnError } from "./policy.ts";
import type { Table } from "./table.ts";
import type { KeyedAggregation } from "./table-nodes.ts";
import { CogroupedGroup } from "./cogroup.ts";
import type { SlidingWindow, Window } from "./window.ts";
import { WindowedGroup, windowedBy, type WindowedOptions } from "./windowed-group.ts";

/** Options of a total a key. */
export interface TotalOptions {
  /**
   * How long in stream time a total stands after its last update. One whose time is at least this far behind the greatest time that the step has seen is deleted: a deletion is
   * forwarded, with the time at which the total ended, and the key's next record begins anew. For ever unless given.
   */
  readonly ttl?: DurationMs;
}

/** Options of an aggregate's store. */
export interface StoreOptions<T> extends TotalOptions {
  /** How the totals are kept. */
  readonly value: Serde<T>;
  /** For records on which the user's functions throw. */
  readonly onError?: OnError;
}

/** How a total starts and grows. Totals must not be changed in place: `add` returns another. */
export interface AggregateForm<V, A> extends StoreOptions<A> {
  readonly init: () => A;
  /** The next total; null deletes it, and the next record starts from `init` again. */
  readonly add: (total: A, value: V, key: string) => A | null;
}

/**
 * A stream grouped by its records' keys. Aggregates over it are tables: every record makes a change, forwarded at once.
 *
 * Records whose key or value is null are dropped and counted (`null-key`, `null-value`), as Kafka Streams does.
 * W is what windows take: nulls too, where the stream has them.
 */
export class KeyedGroup<V, W = V> {
  readonly draft: TopologyDraft;
  readonly nodeId: NodeId;

  constructor(draft: TopologyDraft, nodeId: NodeId) {
    this.draft = draft;
    this.nodeId = nodeId;
  }

  /** Counts the records of each key. */
  count(store: string, options: TotalOptions = {}): Table<number> {
    return this.#add(store, { kind: "count", init: () => 0, add: (total: number) => total + 1 }, { ...options, value: serde.integer() });
  }

  /**
   * Combines the values of each key; the first value starts the total as it is. Null from `reduce` deletes it.
   *
   * @example clicks.groupByKey().reduce("last-click", { value: serde.json<Click>() }, (last, click) => click.at > last.at ? click : last)
   */
  reduce(store: string, options: StoreOptions<V>, reduce: (total: V, value: V, key: string) => V | null): Table<V> {
    return this.#add(store, { kind: "reduce", init: undefined, add: reduce }, options);
  }

  /**
   * Combines the values of each key into a total of another type.
   *
   * @example clicks.groupByKey().aggregate("pages", { value: serde.json<string[]>(), init: () => [], add: (pages, click) => [...pages, click.page] })
   */
  aggregate<A>(store: string, form: AggregateForm<V, A>): Table<A> {
    return this.#add(store, { kind: "aggregate", init: form.init, add: form.add }, form);
  }

  /**
   * Splits the totals by windows of event time.
   *
   * @example clicks.groupByKey().windowed(hopping(minutes(10), { advance: minutes(1), grace: minutes(5) })).count("clicks-in-ten-minutes").toStream()
   */
  windowed<K extends Window>(window: K, options: WindowedOptions = {}): WindowedGroup<K extends SlidingWindow ? V : W, K> {
    return new WindowedGroup<K extends SlidingWindow ? V : W, K>(this.draft, this.nodeId, windowedBy(window, options));
  }

  /**
   * Begins a total over several streams; `add` takes this one's values. Null from `add` deletes the total.
   *
   * @example
   * clicks.groupByKey()
   *   .cogroup((n: number) => n + 1)
   *   .cogroup(orders.groupBy((order) => order.user), (n, order) => n + order.amount)
   *   .aggregate("activity", { value: serde.json<number>(), init: () => 0 }).toStream()
   */
  cogroup<A>(add: (total: A, value: W, key: string) => A | null): CogroupedGroup<A, W> {
    return new CogroupedGroup<A, W>(this.draft, [{ nodeId: this.nodeId, add }]);
  }

  #add<A>(name: string, aggregation: KeyedAggregation, options: StoreOptions<A>): Table<A> {
    const id = this.draft.add({ kind: "keyed-aggregate", name, upstream: [this.nodeId], serde: options.value, aggregation: Object.freeze(aggregation), ttlMs: options.ttl, onError: errorPolicy(options.onError) });
    return this.draft.table<A>(id);
  }
}
