import type { DurationMs } from "../model/index.ts";
import { serde } from "../schema/index.ts";
import type { TopologyDraft } from "./draft.ts";
import type { AggregateForm, StoreOptions } from "./keyed-group.ts";
import { withLate, type WithLate } from "./late-stream.ts";
import type { NodeId } from "./node.ts";
import { errorPolicy } from "./policy.ts";
import type { SessionWindow, Window } from "./window.ts";
import type { WindowedAggregation } from "./window-nodes.ts";
import type { WindowedTable } from "./windowed-table.ts";

/** Options of windows over keys. */
export interface WindowedOptions {
  /** When results leave: with every record that changes them (the default), or once, when the window is closed and nothing can change it any more. */
  readonly emit?: "update" | "close";
  /** Keeps state for queries, in stream time from a window's start (a session's end); never less than as long as records can still come for it. */
  readonly retention?: DurationMs;
}

/** Totals of windows stand as long as their windows do. */
export interface WithoutTtl {
  readonly ttl?: never;
}
/** How the totals of two sessions come together, the older one first. */
export interface MergeForm<A> {
  readonly merge: (total: A, other: A, key: string) => A | null;
}
/** What an aggregate needs besides for a kind of window: sessions have to be merged. */
export type MergeOf<K extends Window, A> = WithoutTtl & (K extends SessionWindow ? MergeForm<A> : { readonly merge?: never });

/** The parts of a node that its windows decide. */
export interface WindowedBy {
  readonly window: Window;
  readonly emit: "update" | "close";
  readonly retentionMs: number | undefined;
}

/** The windows of a step as data. */
export function windowedBy(window: Window, { emit = "update", retention }: WindowedOptions): WindowedBy {
  return Object.freeze({ window, emit, retentionMs: retention });
}

/** Adds the node of an aggregate over windows, and gives its handle. */
export function addWindowed<A, L>(draft: TopologyDraft, upstream: readonly NodeId[], name: string, by: WindowedBy, aggregation: WindowedAggregation, options: StoreOptions<A>): WithLate<WindowedTable<A>, L> {
  const id = draft.add({ kind: "windowed-aggregate", name, upstream, serde: options.value, ...by, aggregation: Object.freeze(aggregation), onError: errorPolicy(options.onError) });
  return withLate(draft.windowedTable<A>(id), () => draft.stream<L>(draft.add({ kind: "late", name: undefined, upstream: [id] })));
}

/**
 * A stream grouped by its records' keys and by windows of event time. V is what a window takes: nulls too, where the stream has them, except for sliding windows, as in Kafka Streams.
 *
 * Records without a key, and such from before the epoch, are dropped and counted (`null-key`, `before-epoch`). A record for which all windows are closed is counted as late, once,
 * and goes to `.late`. Stream time is the greatest time of a record with a key that reached the step.
 */
export class WindowedGroup<V, K extends Window> {
  readonly #draft: TopologyDraft;
  readonly #nodeId: NodeId;
  readonly #by: WindowedBy;

  constructor(draft: TopologyDraft, nodeId: NodeId, by: WindowedBy) {
    this.#draft = draft;
    this.#nodeId = nodeId;
    this.#by = by;
  }

  /**
   * Counts the records of each key and window.
   *
   * @example clicks.groupByKey().windowed(tumbling(minutes(1), { grace: minutes(1) }), { emit: "close" }).count("clicks-a-minute").toStream()
   */
  count(store: string): WithLate<WindowedTable<number>, V> {
    const add = (total: number): number => total + 1;
    return this.#add(store, { kind: "count", init: () => 0, adds: [add], merge: (total: number, other: number) => total + other }, { value: serde.integer() });
  }

  /**
   * Combines the values of each key and window; the first value starts the total as it is. Null from `reduce` deletes it. Sessions are merged by `reduce` too.
   *
   * @example clicks.groupByKey().windowed(session(minutes(30), { grace: minutes(5) })).reduce("last-click", { value: serde.json<Click>() }, (last, click) => (click.at > last.at ? click : last)).toStream()
   */
  reduce(store: string, options: StoreOptions<NonNullable<V>> & WithoutTtl, reduce: (total: NonNullable<V>, value: V, key: string) => NonNullable<V> | null): WithLate<WindowedTable<NonNullable<V>>, V> {
    return this.#add(store, { kind: "reduce", init: undefined, adds: [reduce], merge: reduce as WindowedAggregation["merge"] }, options);
  }

  /**
   * Combines the values of each key and window into a total of another type. Sessions need `merge`, which is given the older session's total first, beginning with `init`'s.
   *
   * @example
   * clicks.groupByKey().windowed(session(minutes(30), { grace: minutes(5) })).aggregate("pages-a-visit", {
   *   value: serde.json<readonly string[]>(),
   *   init: () => [],
   *   add: (pages, click) => [...pages, click.page],
   *   merge: (pages, later) => [...pages, ...later],
   * }).toStream()
   */
  aggregate<A>(store: string, form: AggregateForm<V, A> & MergeOf<K, A>): WithLate<WindowedTable<A>, V> {
    return this.#add(store, { kind: "aggregate", init: form.init, adds: [form.add], merge: form.merge as WindowedAggregation["merge"] }, form);
  }

  #add<A>(name: string, aggregation: WindowedAggregation, options: StoreOptions<A>): WithLate<WindowedTable<A>, V> {
    return addWindowed(this.#draft, [this.#nodeId], name, this.#by, { ...aggregation, adds: Object.freeze([...aggregation.adds]) }, options);
  }
}
