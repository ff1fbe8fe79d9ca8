/** What a running topology answers of its stores: committed state, of all tasks. */
import type { GlobalTable, KeyValueStore, OrderedStore, SessionEntry, SessionStore, StoreDeclaration, Table, Version, VersionedStore, WindowedTable, WindowEntry, WindowStore } from "../topology/index.ts";

/** Which keys: from `from` (included) below `below` (excluded), in the order of their UTF-8 bytes, so many at most. */
export interface ViewRange {
  readonly from?: string;
  readonly below?: string;
  readonly reverse?: boolean;
  readonly limit?: number;
}

/** A row of a table. */
export interface TableRow<V> {
  readonly key: string;
  readonly value: V;
  /** Event time in epoch milliseconds: of the record that set it, or the greatest of those that it sums up. */
  readonly timestamp: number;
}

/** A store of a value a key. */
export interface KeyValueView<V> {
  get(key: string): Promise<V | undefined>;
  /** Entries by key, over all partitions. */
  range(range?: ViewRange): AsyncIterable<readonly [key: string, value: V]>;
  /** Those whose keys begin with a text. */
  prefix(prefix: string, options?: Pick<ViewRange, "reverse" | "limit">): AsyncIterable<readonly [key: string, value: V]>;
}

/** A table, or an aggregate a key. */
export interface TableView<V> extends KeyValueView<V> {
  /** A key's value; of a versioned table as of a moment in epoch milliseconds, where one is given. */
  get(key: string, asOf?: number): Promise<V | undefined>;
  /** The same with its time. */
  row(key: string, asOf?: number): Promise<TableRow<V> | undefined>;
}

/** Versions a key. */
export interface VersionedView<V> {
  get(key: string, asOf?: number): Promise<Version<V> | undefined>;
}

/** Values a key and window start. */
export interface WindowView<V> {
  /** The windows of a key that start from one time to another, both included, by start. */
  fetch(key: string, from: number, to: number): AsyncIterable<WindowEntry<V>>;
}

/** Values a key and session. */
export interface SessionView<V> {
  /** The sessions of a key that end at `from` or later and start at `to` or earlier, by end. */
  fetch(key: string, from: number, to: number): AsyncIterable<SessionEntry<V>>;
}

/** A result of a windowed table: the bounds are those of {@link Windowed}. */
export interface WindowRow<V> {
  readonly key: string;
  readonly start: number;
  readonly end: number;
  readonly value: V;
  /** The greatest event time of its records; a session's end. */
  readonly timestamp: number;
}

/** A windowed table: results a key and window, or a key and session. */
export interface WindowedTableView<V> {
  /**
   * The windows of a key that start from one time to another, or its sessions that reach into them; both included, by start. At most 10,000 windows are looked at. Windows that
   * start behind the stream time, of records whose clock is ahead, are found where `to` is finite.
   */
  fetch(key: string, from: number, to: number): AsyncIterable<WindowRow<V>>;
}

/** What a store's handle inside a step is from outside. */
export type ViewOf<H> =
  H extends OrderedStore<infer V> ? KeyValueView<V>
  : H extends KeyValueStore<infer V> ? KeyValueView<V>
  : H extends WindowStore<infer V> ? WindowView<V>
  : H extends SessionStore<infer V> ? SessionView<V>
  : H extends VersionedStore<infer V> ? VersionedView<V>
  : never;

/** A row as any store has it. */
export interface AnyRow {
  readonly key: string;
  readonly value: unknown;
  readonly timestamp?: number;
  readonly start?: number;
  readonly end?: number;
}

/** A store by its name alone. What its kind cannot answer throws USAGE. */
export interface AnyView {
  row(this: void, key: string, asOf?: number): Promise<AnyRow | undefined>;
  rows(this: void, range?: ViewRange): AsyncIterable<AnyRow>;
  windows(this: void, key: string, from: number, to: number): AsyncIterable<AnyRow>;
}

/** How an instance gives its stores. */
export interface StoreAccess {
  /**
   * A store of the running topology, by what declared it: a table or an aggregate that keeps its rows, or a store of process steps. Answers are committed state, never what a
   * crash could take back. Throws STORE_NOT_FOUND; the answers throw STORE_ELSEWHERE (with the owner's address) where another process runs a task that is needed.
   *
   * @example
   * const last = keyValueStore("last", { value: serde.float64() });  // declared in the topology
   * await instance.store(last).get("sensor-1");                      // number | undefined
   */
  <V>(table: WindowedTable<V>): WindowedTableView<V>;
  <V>(table: Table<V> | GlobalTable<V>): TableView<V>;
  <N extends string, H>(store: StoreDeclaration<N, H>): ViewOf<H>;
  (name: string): AnyView;
}
