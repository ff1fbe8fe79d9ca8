/**
 * A store that knows only whether a key was added, for dedup by keys. The same two halves as `StateTable`, as sets of plain keys: a third of the memory,
 * and no object a key.
 *
 * Keys that wait for a commit stay in the young half, so a look-up never misses the task's own writes.
 */
import type { ByteWriter } from "../model/index.ts";
import type { StateBackend, StateBatch } from "./backend.ts";
import { beginEntry, putSealed, readEntry } from "./sealed.ts";

const NUL = "\0";

export class PresenceTable {
  readonly name: string;
  readonly #prefix: string;
  readonly #backend: StateBackend;
  readonly #keysMax: number;
  readonly #scratch: ByteWriter;
  #young = new Set<string>();
  #old = new Set<string>();
  #dirty: string[] = [];

  constructor(backend: StateBackend, name: string, options: { readonly entriesMax: number; readonly scratch: ByteWriter }) {
    this.name = name;
    this.#prefix = `s${NUL}${name}${NUL}`;
    this.#backend = backend;
    this.#keysMax = options.entriesMax;
    this.#scratch = options.scratch;
  }

  /** Adds a key and tells whether it is new. */
  add(key: string): boolean {
    if (this.#young.has(key)) return false;
    if (this.#old.has(key) || this.#isStored(key)) {
      this.#young.add(key);
      return false;
    }
    this.#young.add(key);
    this.#dirty.push(key);
    return true;
  }

  #isStored(key: string): boolean {
    return readEntry(this.#backend, this.#scratch, this.#prefix, key, `store ${this.name}`) !== undefined;
  }

  flush(batch: StateBatch): void {
    const scratch = this.#scratch;
    for (const key of this.#dirty) {
      putSealed(batch, scratch, beginEntry(scratch, this.#prefix, key));
    }
    this.#dirty = [];
  }

  committed(): void {
    if (this.#young.size <= this.#keysMax / 2) return;
    this.#old = this.#young;
    this.#young = new Set(this.#dirty);
  }
}
