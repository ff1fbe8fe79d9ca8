import type { TopologyDraft } from "./draft.ts";
import type { KeyedGroup, StoreOptions } from "./keyed-group.ts";
import type { WithLate } from "./late-stream.ts";
import type { NodeId } from "./node.ts";
import { errorPolicy } from "./policy.ts";
import type { Table } from "./table.ts";
import type { Window } from "./window.ts";
import { addWindowed, type MergeOf, type WindowedBy, windowedBy, type WindowedOptions } from "./windowed-group.ts";
import type { WindowedTable } from "./windowed-table.ts";

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- each stream has values of its own type; the methods' types hold them together.
type Add = (total: any, value: any, key: string) => any;

/** One of the streams that are grouped together. */
export interface CogroupInput {
  readonly nodeId: NodeId;
  readonly add: Add;
}

/** How totals start. */
export interface CogroupForm<A> extends StoreOptions<A> {
  readonly init: () => A;
}

/**
 * Streams grouped by key into one total, each with an `add` of its own. Their records must be in one task by key: their topics have the same keys and as many partitions.
 *
 * L is what may come late: the values of any of the streams.
 */
export class CogroupedGroup<A, L> {
  readonly #draft: TopologyDraft;
  readonly #inputs: readonly CogroupInput[];

  constructor(draft: TopologyDraft, inputs: readonly CogroupInput[]) {
    this.#draft = draft;
    this.#inputs = inputs;
  }

  /** Adds another stream. Null from `add` deletes the total. */
  cogroup<V, W>(group: KeyedGroup<V, W>, add: (total: A, value: W, key: string) => A | null): CogroupedGroup<A, L | W> {
    return new CogroupedGroup<A, L | W>(this.#draft, [...this.#inputs, { nodeId: group.nodeId, add }]);
  }

  /** One total a key. Records whose key or value is null are dropped and counted (`null-key`, `null-value`). */
  aggregate(store: string, form: CogroupForm<A>): Table<A> {
    const id = this.#draft.add({
      kind: "cogroup",
      name: store,
      upstream: this.#inputs.map(({ nodeId }) => nodeId),
      serde: form.value,
      init: form.init,
      adds: Object.freeze(this.#inputs.map(({ add }) => add)),
      ttlMs: form.ttl,
      onError: errorPolicy(form.onError),
    });
    return this.#draft.table<A>(id);
  }

  /** Splits the totals by windows of event time. All streams share one stream time: what one of them has closed is closed for all. */
  windowed<K extends Window>(window: K, options: WindowedOptions = {}): WindowedCogroup<A, L, K> {
    return new WindowedCogroup<A, L, K>(this.#draft, this.#inputs, windowedBy(window, options));
  }
}

/** Streams grouped by key into one total a window. */
export class WindowedCogroup<A, L, K extends Window> {
  readonly #draft: TopologyDraft;
  readonly #inputs: readonly CogroupInput[];
  readonly #by: WindowedBy;

  constructor(draft: TopologyDraft, inputs: readonly CogroupInput[], by: WindowedBy) {
    this.#draft = draft;
    this.#inputs = inputs;
    this.#by = by;
  }

  /** One total a key and window; sessions need `merge`. */
  aggregate(store: string, form: CogroupForm<A> & MergeOf<K, A>): WithLate<WindowedTable<A>, L> {
    const aggregation = { kind: "cogroup", init: form.init, adds: Object.freeze(this.#inputs.map(({ add }) => add)), merge: form.merge as Add | undefined } as const;
    return addWindowed(this.#draft, this.#inputs.map(({ nodeId }) => nodeId), store, this.#by, aggregation, form);
  }
}
