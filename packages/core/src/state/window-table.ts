import type { ByteWriter } from "../model/index.ts";
import type { StateBackend, StateBatch } from "./backend.ts";
import type { ValueCodec } from "./codec.ts";
import { type Entry, StateTable } from "./table.ts";

const NUL = "\0";
const BUCKETS_MAX = 256;
// Epoch milliseconds of JavaScript dates stay within +-8.64e15, so an offset makes them positive and 16 hex digits keep their order as text.
export const START_OFFSET = 8_640_000_000_000_000;

/** A window start as text that sorts as time does. */
export function startText(start: number): string {
  return (start + START_OFFSET).toString(16).padStart(16, "0");
}

/** A window store: a table a window start, in order of time, so that expired windows are one range. */
export class WindowTable<V> {
  readonly name: string;
  readonly #prefix: string;
  readonly #backend: StateBackend;
  readonly #codec: ValueCodec<V>;
  readonly #options: { readonly entriesMax: number; readonly scratch: ByteWriter };
  readonly #isEmpty: (start: number) => boolean;
  readonly #buckets = new Map<number, StateTable<V>>();
  #lastStart = Number.NaN;
  #last: StateTable<V> | undefined;
  #expiredTo = Number.NEGATIVE_INFINITY;
  #generation = 0;

  /** `isEmpty` tells of a window that is known to hold nothing in the backend; it is asked when the window comes into memory. */
  constructor(backend: StateBackend, name: string, codec: ValueCodec<V>, options: { readonly entriesMax: number; readonly scratch: ByteWriter }, isEmpty: (start: number) => boolean = () => false) {
    this.name = name;
    this.#prefix = `w${NUL}${name}${NUL}`;
    this.#backend = backend;
    this.#codec = codec;
    this.#options = options;
    this.#isEmpty = isEmpty;
  }

  /** The number of windows in memory. */
  get bucketCount(): number {
    return this.#buckets.size;
  }

  #bucket(start: number): StateTable<V> {
    if (start === this.#lastStart && this.#last !== undefined) return this.#last;
    let bucket = this.#buckets.get(start);
    if (bucket === undefined) {
      bucket = new StateTable(this.#backend, this.name, this.#codec, { ...this.#options, prefix: `${this.#prefix}${startText(start)}${NUL}`, isEmpty: this.#isEmpty(start) });
      this.#buckets.set(start, bucket);
    }
    this.#lastStart = start;
    this.#last = bucket;
    return bucket;
  }

  /** As a table's: an entry is the store's own only for as long as this stays the same. */
  get generation(): number {
    return this.#generation;
  }
  find(start: number, key: string): Entry<V> | undefined {
    return this.#bucket(start).find(key);
  }
  insert(start: number, key: string, value: V): Entry<V> {
    return this.#bucket(start).insert(key, value);
  }
  change(start: number, entry: Entry<V>): void {
    if (!entry.dirty) this.#bucket(start).change(entry);
  }
  get(start: number, key: string): V | undefined {
    return this.#bucket(start).get(key);
  }
  put(start: number, key: string, value: V): void {
    this.#bucket(start).put(key, value);
  }
  delete(start: number, key: string): void {
    this.#bucket(start).delete(key);
  }

  flush(batch: StateBatch): void {
    for (const bucket of this.#buckets.values()) if (!bucket.isClean) bucket.flush(batch);
  }

  committed(): void {
    for (const bucket of this.#buckets.values()) {
      const { generation } = bucket;
      bucket.committed();
      if (bucket.generation !== generation) this.#generation++;
    }
    if (this.#buckets.size <= BUCKETS_MAX) return;
    this.#generation++;
    for (const [start, bucket] of this.#buckets) {
      if (this.#buckets.size <= BUCKETS_MAX) break;
      if (bucket.isClean) this.#buckets.delete(start);
    }
    this.#lastStart = Number.NaN;
  }

  /**
   * Forgets windows that start before the bound. The bound's record in the checkpoint comes first: a crash in between leaves entries that nobody
   * asks for any more, because their windows are late by then.
   */
  async expire(startBound: number): Promise<void> {
    if (startBound <= this.#expiredTo || !Number.isFinite(startBound)) return;
    this.#expiredTo = startBound;
    this.#generation++;
    for (const [start, bucket] of this.#buckets) if (start < startBound && bucket.isClean) this.#buckets.delete(start);
    this.#lastStart = Number.NaN;
    await this.#backend.clearRange({ gte: Buffer.from(this.#prefix), lt: Buffer.from(`${this.#prefix}${startText(startBound)}`) });
  }
}
