/**
 * A store that knows only whether a key was added, for dedup by keys.
 *
 *   add -> recent, before -> filter: certainly new?  -> otherwise the backend is asked
 *
 * Keys that wait for a commit stay in the recent half, so a look-up never misses the task's own writes. The filter begins as ignorant and lets every look-up through
 * to the backend; each commit goes on with a walk over the stored keys, and only when that has seen all of them is the filter believed. So whatever
 * was in the store when it was opened (after a crash, from a changelog, out of a savepoint) is in the filter too. The walk is as long as look-ups that found nothing pay for.
 */
import { ByteWriter } from "../model/index.ts";
import type { StateBackend, StateBatch } from "./backend.ts";
import { crc32 } from "./crc32.ts";
import { KeyFilter } from "./key-filter.ts";
import { keyHash } from "./key-hash.ts";
import { KeySet } from "./key-set.ts";
import { openSealed, writeKeyText } from "./sealed.ts";

const NUL = "\0";
/** Keys beyond these are the filter's and the backend's: what repeats seldom comes much later. */
const RECENT_MAX = 1 << 16;
/** Stored keys that a commit walks over at least, and for each look-up since the last one that found nothing. */
const WALK_MIN = 1_000;
const WALK_A_MISS = 4;
const WALK_MAX = 100_000;
/** The filter takes as much memory as cached entries of other stores do: 4 MiB for 50,000, in which 3 million keys are told from new ones at 1 in 100 and 5 million at 1 in 15. */
const FILTER_BYTES_AN_ENTRY = 84;
const FILTER_BYTES_MIN = 1 << 20;

/** Writes a key into the writer. */
export type WriteKey<T> = (writer: ByteWriter, of: T) => void;

export class PresenceTable {
  readonly name: string;
  readonly #backend: StateBackend;
  readonly #keysMax: number;
  readonly #key = new ByteWriter(256);
  readonly #keyStart: number;
  readonly #prefixCrc: number;
  readonly #seal: Buffer = Buffer.alloc(4);
  readonly #filter: KeyFilter;
  #recent = new KeySet();
  #before = new KeySet();
  /** Entries of the recent half from here on wait for the next flush. */
  #flushed = 0;
  #misses = 0;
  /** The last key that the walk has seen; undefined once it has seen all. */
  #walkedTo: Buffer | undefined;

  constructor(backend: StateBackend, name: string, options: { readonly entriesMax: number }) {
    this.name = name;
    this.#backend = backend;
    this.#keysMax = Math.min(options.entriesMax, RECENT_MAX);
    this.#filter = new KeyFilter(Math.max(FILTER_BYTES_MIN, options.entriesMax * FILTER_BYTES_AN_ENTRY));
    writeKeyText(this.#key, `s${NUL}${name}${NUL}`);
    this.#keyStart = this.#key.position;
    this.#walkedTo = Buffer.from(this.#key.buffer.subarray(0, this.#keyStart));
    this.#prefixCrc = crc32(this.#key.buffer, 0, this.#keyStart);
  }

  /** Whether the filter knows every stored key by now. */
  get isWalked(): boolean {
    return this.#walkedTo === undefined;
  }

  /** Adds the key that `write` writes and tells whether it is new. */
  add<T>(write: WriteKey<T>, of: T): boolean {
    const writer = this.#key;
    const start = this.#keyStart;
    writer.position = start;
    write(writer, of);
    const { buffer, position: end } = writer;
    const hash = keyHash(buffer, start, end);
    if (this.#walkedTo === undefined) {
      // The filter knows the recent keys too, so most new ones are told by it alone.
      if (this.#filter.mayHold(hash) && this.#isKnown(buffer, end, hash)) return false;
    } else if (this.#isKnown(buffer, end, hash)) return false;
    this.#recent.add(buffer, start, end, hash);
    this.#filter.add(hash);
    return true;
  }

  #isKnown(buffer: Buffer, end: number, hash: number): boolean {
    const start = this.#keyStart;
    if (this.#recent.has(buffer, start, end, hash) || this.#before.has(buffer, start, end, hash)) return true;
    const key = this.#key.view(0, end);
    const stored = this.#backend.getSync(key);
    if (stored !== undefined) {
      openSealed(key, stored, `store ${this.name}`);
      return true;
    }
    this.#misses++;
    return false;
  }

  flush(batch: StateBatch): void {
    const seal = this.#seal;
    const recent = this.#recent;
    const { bytes } = recent;
    const writer = this.#key;
    const start = this.#keyStart;
    for (let entry = this.#flushed; entry < recent.size; entry++) {
      const [from, to] = [recent.startOf(entry), recent.endOf(entry)];
      writer.position = start;
      writer.ensure(to - from);
      const { buffer } = writer;
      const end = start + to - from;
      for (let at = 0; at < to - from; at++) buffer[start + at] = bytes[from + at] as number;
      const crc = crc32(buffer, start, end, this.#prefixCrc);
      seal[0] = crc;
      seal[1] = crc >>> 8;
      seal[2] = crc >>> 16;
      seal[3] = crc >>> 24;
      batch.put(writer.view(0, end), seal);
    }
    this.#flushed = recent.size;
  }

  /** The last flush is durable: forgets old keys, and goes on with the walk. */
  committed(): Promise<void> | undefined {
    if (this.#recent.size > this.#keysMax / 2) this.#rotate();
    return this.#walkedTo === undefined ? undefined : this.#walk(this.#walkedTo);
  }

  #rotate(): void {
    const old = this.#recent;
    const recent = new KeySet();
    for (let entry = this.#flushed; entry < old.size; entry++) recent.add(old.bytes, old.startOf(entry), old.endOf(entry), old.hashOf(entry));
    this.#before = old;
    this.#recent = recent;
    this.#flushed = 0;
  }

  async #walk(from: Buffer): Promise<void> {
    const limit = Math.min(WALK_MAX, WALK_MIN + this.#misses * WALK_A_MISS);
    this.#misses = 0;
    const start = this.#keyStart;
    const behind = Buffer.from(from.subarray(0, start));
    behind[start - 1] = 1;
    let count = 0;
    let last = from;
    for await (const [key] of this.#backend.entries({ gt: from, lt: behind, limit })) {
      this.#filter.add(keyHash(key, start, key.length));
      last = key;
      count++;
    }
    this.#walkedTo = count < limit ? undefined : last;
  }
}
