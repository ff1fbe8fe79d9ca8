import type { ByteWriter } from "../model/index.ts";
import type { StateBackend, StateBatch } from "./backend.ts";
import type { ValueCodec } from "./codec.ts";
import { KeyIndex } from "./key-index.ts";
import { StateTable } from "./table.ts";
import { START_OFFSET, startText } from "./window-table.ts";

/** Which keys of an ordered store, in which order. */
export interface OrderedRange {
  /** The first key; from the beginning when absent. */
  readonly from?: string;
  /** The key before which the range ends; to the end when absent. */
  readonly below?: string;
  readonly reverse?: boolean;
}

/** A store whose keys can be walked in order, synchronously. A value costs what it costs in a `StateTable`; a new key or a deletion costs a change of the index besides. */
export class OrderedTable<V> {
  readonly #values: StateTable<V>;
  readonly #index: KeyIndex;

  constructor(backend: StateBackend, name: string, codec: ValueCodec<V>, options: { readonly entriesMax: number; readonly scratch: ByteWriter }) {
    this.#values = new StateTable(backend, name, codec, options);
    this.#index = new KeyIndex(backend, name, options);
  }

  get name(): string {
    return this.#values.name;
  }
  /** The number of keys. */
  get size(): number {
    return this.#index.size;
  }

  get(key: string): V | undefined {
    return this.#values.get(key);
  }
  put(key: string, value: V): void {
    if (this.#values.get(key) === undefined) this.#index.insert(key);
    this.#values.put(key, value);
  }
  /** Whether a key is there, without a look at its value: asks the index, which is in memory as a rule, where `get` asks LevelDB for what is not there. */
  has(key: string): boolean {
    return this.#index.has(key);
  }
  /** Sets a key that is not there. */
  add(key: string, value: V): void {
    this.#index.insert(key);
    this.#values.put(key, value);
  }
  delete(key: string): void {
    if (this.#values.get(key) === undefined) return;
    this.#index.remove(key);
    this.#values.delete(key);
  }

  /** Keys in order. The store may be changed while they are walked. */
  keys({ from = "", below, reverse = false }: OrderedRange = {}): Generator<string, void> {
    return reverse ? this.#index.walkBack(from, below) : this.#index.walk(from, below);
  }

  /** Entries in order. The store may be changed while they are walked. */
  *entries(range: OrderedRange = {}): Generator<readonly [string, V], void> {
    for (const key of this.keys(range)) {
      const value = this.#values.get(key);
      if (value !== undefined) yield [key, value];
    }
  }

  /** The first entry of a range. */
  first(range: OrderedRange = {}): readonly [string, V] | undefined {
    const found = this.entries(range).next();
    return found.done === true ? undefined : found.value;
  }

  flush(batch: StateBatch): void {
    this.#values.flush(batch);
    this.#index.flush(batch);
  }
  committed(): void {
    this.#values.committed();
    this.#index.committed();
  }
}

const TIME_LENGTH = 16;

/** A key that sorts by time first: 16 hex digits of the epoch milliseconds, then the text. */
export function timedKey(time: number, key: string): string {
  return startText(time) + key;
}
/** The text behind the time of a {@link timedKey}. */
export function keyBehindTime(timed: string): string {
  return timed.slice(TIME_LENGTH);
}
/** The time of a {@link timedKey}. */
export function timeOfKey(timed: string): number {
  return Number.parseInt(timed.slice(0, TIME_LENGTH), 16) - START_OFFSET;
}
/** Every key with this prefix lies before it: the bound of a walk over a prefix. */
export function prefixEnd(prefix: string): string {
  return `${prefix}\uffff`;
}
