/**
 * A store as a task sees it: decoded values in memory, written to the backend at commits only.
 *
 *   get -> young -> old -> backend            put -> young, dirty
 *   flush: dirty -> batch, in flight          committed: in flight -> clean, the old half is forgotten when the young one is full
 *
 * Two halves instead of an LRU list: an access costs one Map look-up and nothing is relinked. Dirty and in-flight entries are never
 * forgotten, so that a read always sees the task's own writes while the last commit is still being written.
 */
import { ByteReader, type ByteWriter } from "../model/index.ts";
import type { StateBackend, StateBatch } from "./backend.ts";
import type { ValueCodec } from "./codec.ts";
import { beginEntry, putSealed, readEntry } from "./sealed.ts";

/** A key's value in memory; undefined once it is deleted. */
export interface Entry<V> {
  readonly key: string;
  value: V | undefined;
  dirty: boolean;
}

const NUL = "\0";

export class StateTable<V> {
  readonly name: string;
  readonly #prefix: string;
  readonly #backend: StateBackend;
  readonly #codec: ValueCodec<V>;
  readonly #entriesMax: number;
  readonly #scratch: ByteWriter;
  #young = new Map<string, Entry<V>>();
  #old = new Map<string, Entry<V>>();
  #dirty: Entry<V>[] = [];
  #inFlight: Entry<V>[] = [];
  // Most keys are put right after they were got: the second look-up is spared.
  #lastKey: string | undefined;
  #last: Entry<V> | undefined;

  #generation = 0;

  /** True while all that is stored is in memory too, so that the backend need not be asked for what is not there: 2 us a look-up in LevelDB. */
  #isComplete: boolean;

  /** `prefix` must not end inside another store's: stores are kept apart by it. `isEmpty` says that the backend is known to hold nothing below it. */
  constructor(backend: StateBackend, name: string, codec: ValueCodec<V>, options: { readonly entriesMax: number; readonly scratch: ByteWriter; readonly prefix?: string; readonly isEmpty?: boolean }) {
    this.name = name;
    this.#prefix = options.prefix ?? `s${NUL}${name}${NUL}`;
    this.#backend = backend;
    this.#codec = codec;
    this.#entriesMax = options.entriesMax;
    this.#scratch = options.scratch;
    this.#isComplete = options.isEmpty === true;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }
  get isClean(): boolean {
    return this.#dirty.length === 0 && this.#inFlight.length === 0;
  }

  /** Counts up whenever entries may leave memory: one that `find` or `insert` gave is the table's own only for as long as this stays the same. */
  get generation(): number {
    return this.#generation;
  }

  /** The value of a key. It may be changed in place if it is `put` again before the next commit. */
  get(key: string): V | undefined {
    return this.find(key)?.value;
  }

  /** The entry of a key, undefined where none is stored. */
  find(key: string): Entry<V> | undefined {
    const entry = this.#young.get(key) ?? this.#recall(key);
    this.#lastKey = key;
    this.#last = entry;
    return entry;
  }

  #recall(key: string): Entry<V> | undefined {
    const old = this.#old.get(key);
    if (old !== undefined) {
      this.#young.set(key, old);
      return old;
    }
    if (this.#isComplete) return undefined;
    const payload = readEntry(this.#backend, this.#scratch, this.#prefix, key, `store ${this.name}`);
    if (payload === undefined) return undefined;
    const entry: Entry<V> = { key, value: this.#codec.decode(new ByteReader(payload)), dirty: false };
    this.#young.set(key, entry);
    return entry;
  }

  put(key: string, value: V): void {
    this.#set(key, value);
  }

  /** Puts the value of a key, and gives its entry. */
  insert(key: string, value: V): Entry<V> {
    this.#set(key, value);
    return (key === this.#lastKey ? this.#last : this.find(key)) as Entry<V>;
  }

  /** Puts the value that an entry of this generation holds: it was changed in place. */
  change(entry: Entry<V>): void {
    if (entry.dirty) return;
    entry.dirty = true;
    this.#dirty.push(entry);
  }

  delete(key: string): void {
    this.#set(key, undefined);
  }

  #set(key: string, value: V | undefined): void {
    let entry = key === this.#lastKey ? this.#last : (this.#young.get(key) ?? this.#old.get(key));
    if (entry === undefined) {
      entry = { key, value, dirty: true };
      this.#young.set(key, entry);
      this.#dirty.push(entry);
      this.#lastKey = key;
      this.#last = entry;
      return;
    }
    entry.value = value;
    if (entry.dirty) return;
    entry.dirty = true;
    this.#young.set(key, entry);
    this.#dirty.push(entry);
  }

  /** Writes what changed since the last flush into the batch. The batch before must have been committed. */
  flush(batch: StateBatch): void {
    const scratch = this.#scratch;
    for (const entry of this.#dirty) {
      entry.dirty = false;
      const { key, value } = entry;
      if (value === undefined) {
        batch.del(Buffer.from(this.#prefix + key));
        continue;
      }
      const keyEnd = beginEntry(scratch, this.#prefix, key);
      this.#codec.encode(scratch, value);
      putSealed(batch, scratch, keyEnd);
    }
    this.#inFlight = this.#dirty;
    this.#dirty = [];
  }

  /** The flushed batch is durable. */
  committed(): void {
    this.#inFlight = [];
    if (this.#young.size <= this.#entriesMax / 2) return;
    this.#generation++;
    this.#lastKey = undefined;
    if (this.#old.size > 0) this.#isComplete = false;
    this.#old = this.#young;
    this.#young = new Map();
    // What was deleted stays known until it leaves the cache, so nothing but dirty entries must be carried over.
    for (const entry of this.#dirty) this.#young.set(entry.key, entry);
  }
}
