/** Stores of process steps, declared as data: a name, how values are kept, for how long. The same declaration in several steps is the same store. */
import type { DurationMs } from "../model/index.ts";
import type { Serde } from "../schema/index.ts";
import type { CustomStore, OpenCustomStore } from "./custom-store.ts";

/** A key's value. */
export interface KeyValueStore<V> {
  get(key: string): V | undefined;
  /** Sets a key's value; null deletes it. In a store with a TTL, `ttl` in milliseconds takes its place for this entry. */
  put(key: string, value: V | null, options?: { readonly ttl?: DurationMs }): void;
  delete(key: string): void;
}

/** Which keys, in which order. Order is that of JavaScript's text. */
export interface KeyWalk {
  /** The first key; from the beginning when absent. */
  readonly from?: string;
  /** The key before which the walk ends; to the end when absent. */
  readonly below?: string;
  readonly reverse?: boolean;
}

/** A key-value store whose keys can be walked in order. It may be changed while it is walked. */
export interface OrderedStore<V> extends KeyValueStore<V> {
  range(walk?: KeyWalk): Iterable<readonly [string, V]>;
  /** The keys that begin with a text. */
  prefix(prefix: string, options?: { readonly reverse?: boolean }): Iterable<readonly [string, V]>;
}

/** A value of a key and a window, by the window's start. */
export interface WindowEntry<V> {
  readonly key: string;
  readonly start: number;
  readonly value: V;
}

/** Values by key and window start, in epoch milliseconds, for as long as the retention. */
export interface WindowStore<V> {
  get(key: string, start: number): V | undefined;
  /** Sets a window's value; null deletes it. A window that starts before stream time less the retention is not stored, and counted (`expired`). */
  put(key: string, start: number, value: V | null): void;
  /** The windows of a key that start from `from` to `to`, both included, by start. */
  fetch(key: string, from: number, to: number, options?: { readonly reverse?: boolean }): Iterable<WindowEntry<V>>;
  /** The same of all keys, by start and key. */
  all(from: number, to: number): Iterable<WindowEntry<V>>;
}

/** A session of a key: both bounds are included. */
export interface SessionEntry<V> {
  readonly key: string;
  readonly start: number;
  readonly end: number;
  readonly value: V;
}

/** Values by key and session, in epoch milliseconds, for as long as the retention. */
export interface SessionStore<V> {
  get(key: string, start: number, end: number): V | undefined;
  /** Sets a session's value; null removes it. A session that ended before stream time less the retention is not stored, and counted (`expired`). */
  put(key: string, start: number, end: number, value: V | null): void;
  /** The sessions of a key that end at `earliestEnd` or later and start at `latestStart` or earlier, by end and start: those that a record could be merged with. */
  find(key: string, earliestEnd: number, latestStart: number): Iterable<SessionEntry<V>>;
}

/** A version of a key's value. */
export interface Version<V> {
  readonly value: V;
  /** From when it is valid, included. */
  readonly timestamp: number;
}

/** Every version of a key's value, for as long as the history. */
export interface VersionedStore<V> {
  /** The latest version; as of a moment, the one that was valid then. Undefined where there was none, where it was deleted, and further back than the history. */
  get(key: string, asOf?: number): Version<V> | undefined;
  /** Adds a version, or replaces that of the same time; null ends the one before. A version older than stream time less the history is not stored, and counted (`expired`). */
  put(key: string, value: V | null, timestamp: number): void;
}

/** What a declaration says of the store. */
export type StoreForm =
  | { readonly kind: "key-value" | "ordered"; readonly serde: Serde<never>; readonly ttlMs: number | undefined }
  | { readonly kind: "window" | "session"; readonly serde: Serde<never>; readonly retentionMs: number }
  | { readonly kind: "versioned"; readonly serde: Serde<never>; readonly historyMs: number }
  | { readonly kind: "custom"; readonly open: OpenCustomStore<never> };

/** A declared store. `H` is what steps get of it, a type only. */
export interface StoreDeclaration<N extends string = string, H = unknown> {
  readonly name: N;
  readonly form: StoreForm;
  readonly handle?: H;
}

function declare<N extends string, H>(name: N, form: StoreForm): StoreDeclaration<N, H> {
  return Object.freeze({ name, form: Object.freeze(form) });
}

/** Options of a key-value store. */
export interface KeyValueStoreOptions<V> {
  readonly value: Serde<V>;
  /** How long an entry lives in stream time after it was put; for ever when absent. */
  readonly ttl?: DurationMs;
}

/**
 * Declares a store of a value a key.
 *
 * @example const seenIds = keyValueStore("seen", { value: serde.integer(), ttl: hours(1) });
 */
export function keyValueStore<const N extends string, V>(name: N, { value, ttl }: KeyValueStoreOptions<V>): StoreDeclaration<N, KeyValueStore<V>> {
  return declare(name, { kind: "key-value", serde: value as Serde<never>, ttlMs: ttl });
}

/** Declares a key-value store whose keys can be walked in order. A new key costs a change of an index besides. */
export function orderedStore<const N extends string, V>(name: N, { value, ttl }: KeyValueStoreOptions<V>): StoreDeclaration<N, OrderedStore<V>> {
  return declare(name, { kind: "ordered", serde: value as Serde<never>, ttlMs: ttl });
}

/** Declares a store of a value a key and window start; windows are dropped once stream time is `retention` past their start. */
export function windowStore<const N extends string, V>(name: N, { value, retention }: { readonly value: Serde<V>; readonly retention: DurationMs }): StoreDeclaration<N, WindowStore<V>> {
  return declare(name, { kind: "window", serde: value as Serde<never>, retentionMs: retention });
}

/** Declares a store of a value a key and session; sessions are dropped once stream time is `retention` past their end. */
export function sessionStore<const N extends string, V>(name: N, { value, retention }: { readonly value: Serde<V>; readonly retention: DurationMs }): StoreDeclaration<N, SessionStore<V>> {
  return declare(name, { kind: "session", serde: value as Serde<never>, retentionMs: retention });
}

/** Declares a store of versions; a version is dropped once stream time is `history` past the moment at which another took its place. */
export function versionedStore<const N extends string, V>(name: N, { value, history }: { readonly value: Serde<V>; readonly history: DurationMs }): StoreDeclaration<N, VersionedStore<V>> {
  return declare(name, { kind: "versioned", serde: value as Serde<never>, historyMs: history });
}

/**
 * Declares a store of the user's own making. `customStoreContract` of `@iot-topology/core/testing` is the suite that it must pass.
 * `open` is called for each task, with where the entries of that task stand.
 */
export function customStore<const N extends string, S extends CustomStore>(name: N, open: OpenCustomStore<S>): StoreDeclaration<N, S> {
  return declare(name, { kind: "custom", open: open as unknown as OpenCustomStore<never> });
}
