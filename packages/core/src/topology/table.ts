import type { Serde } from "../schema/index.ts";
import type { TopologyDraft } from "./draft.ts";
import type { NodeId } from "./node.ts";
import { errorPolicy, type OnError } from "./policy.ts";
import type { Stream } from "./stream.ts";

/** Options of a topic that is read as a table. */
export interface TableOptions<T> {
  /** The name of the store. */
  readonly store: string;
  /** How values stand in the topic and in the store. */
  readonly value: Serde<T>;
  /** For values that the serde cannot read. */
  readonly onError?: OnError;
}

/** Options of a step between tables. Its result is computed when it is asked for, unless a store is named. */
export type TableStepOptions<T> = { readonly onError?: OnError } & ({ readonly store?: never; readonly value?: never; readonly name?: string } | { readonly store: string; readonly value: Serde<T>; readonly name?: never });

/**
 * A table: the last value of each key, and a stream of its changes. Every update is forwarded, one that sets the same value too. Updates are taken in
 * the order in which they are read: one with an older timestamp replaces a newer one, as in Kafka Streams' unversioned tables.
 */
export class Table<V> {
  readonly draft: TopologyDraft;
  readonly nodeId: NodeId;

  constructor(draft: TopologyDraft, nodeId: NodeId) {
    this.draft = draft;
    this.nodeId = nodeId;
  }

  /** Keeps the rows for which the predicate holds. A row that no longer fits is a deletion in the result; one that never did makes no change. */
  filter(predicate: (value: V, key: string) => boolean, options: TableStepOptions<V> = {}): Table<V> {
    const { store, value, onError } = options;
    return this.draft.table(this.draft.add({ kind: "table-filter", name: store ?? options.name, upstream: [this.nodeId], predicate, serde: value, onError: errorPolicy(onError) }));
  }

  /** Keeps the rows for which the predicate does not hold. */
  filterNot(predicate: (value: V, key: string) => boolean, options: TableStepOptions<V> = {}): Table<V> {
    return this.filter((value, key) => !predicate(value, key), options);
  }

  /** One value for each value. Deletions stay deletions, and a null makes one. */
  mapValues<W>(map: (value: V, key: string) => W | null, options: TableStepOptions<W> = {}): Table<W> {
    const { store, value, onError } = options;
    return this.draft.table(this.draft.add({ kind: "table-map", name: store ?? options.name, upstream: [this.nodeId], map, serde: value, onError: errorPolicy(onError) }));
  }

  /** The table's changes as records: the new value, or null for a deletion. */
  toStream(): Stream<V | null> {
    return this.draft.stream(this.draft.add({ kind: "to-stream", name: undefined, upstream: [this.nodeId] }));
  }
}
