import type { TopologyDraft } from "./draft.ts";
import type { NodeId } from "./node.ts";
import { errorPolicy } from "./policy.ts";
import type { Stream, StepOptions } from "./stream.ts";
import { addSuppress, type SuppressOptions, type UntilWindowCloses } from "./suppress.ts";

/** A window's result as a record's value; the record's key is `key`. */
export interface Windowed<V> {
  readonly key: string;
  /** The first millisecond of the window, since the epoch. */
  readonly window_start: number;
  /** Its end: excluded for tumbling and hopping windows, included for sliding windows; the last record's time for sessions. */
  readonly window_end: number;
  /** Null where the window has no result any more: its total was deleted, or its session became part of another. */
  readonly value: V | null;
}

/** A table of results a key and window, and a stream of their changes. */
export class WindowedTable<V> {
  readonly draft: TopologyDraft;
  readonly nodeId: NodeId;

  constructor(draft: TopologyDraft, nodeId: NodeId) {
    this.draft = draft;
    this.nodeId = nodeId;
  }

  /** Keeps the results for which the predicate holds. One that does not, or no longer, is a deletion. */
  filter(predicate: (value: V, key: string) => boolean, options: StepOptions = {}): WindowedTable<V> {
    return this.draft.windowedTable(this.draft.add({ kind: "table-filter", name: options.name, upstream: [this.nodeId], predicate, serde: undefined, historyMs: undefined, onError: errorPolicy(options.onError) }));
  }

  /** Keeps the results for which the predicate does not hold. */
  filterNot(predicate: (value: V, key: string) => boolean, options: StepOptions = {}): WindowedTable<V> {
    return this.filter((value, key) => !predicate(value, key), options);
  }

  /** One value for each value. Deletions stay deletions, and a null makes one. */
  mapValues<W>(map: (value: V, key: string) => W | null, options: StepOptions = {}): WindowedTable<W> {
    return this.draft.windowedTable(this.draft.add({ kind: "table-map", name: options.name, upstream: [this.nodeId], map, serde: undefined, historyMs: undefined, onError: errorPolicy(options.onError) }));
  }

  /**
   * Holds results back until their windows are closed, so that each leaves once. The name is that of the store that holds them.
   *
   * @example
   * clicks.groupByKey().windowed(session(minutes(30), { grace: minutes(5) })).count("visits").filter((n) => n > 1).suppress("final-visits", untilWindowCloses()).toStream()
   */
  suppress(name: string, until: UntilWindowCloses, options: SuppressOptions<V> = {}): WindowedTable<V> {
    return this.draft.windowedTable(addSuppress(this.draft, this.nodeId, name, until, options.value));
  }

  /** The changes as records: each result with its key and window. */
  toStream(): Stream<Windowed<V>> {
    return this.draft.stream(this.draft.add({ kind: "to-stream", name: undefined, upstream: [this.nodeId], isLatest: false }));
  }
}
