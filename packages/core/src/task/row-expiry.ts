import { KeyIndex } from "../state/key-index.ts";
import { keyBehindTime, timedKey, timeOfKey } from "../state/ordered-table.ts";
import type { TimestampedValue } from "../state/entry-codec.ts";
import type { StateTable } from "../state/table.ts";
import { advanceStreamTime, type TaskContext } from "./context.ts";
import type { Link } from "./link.ts";

/**
 * Deletes the rows of a table whose last update is `ttlMs` behind its stream time, in the order in which they end.
 *
 * Each row has a mark at the time at which it ends, or before: an update does not move the mark, and a mark that comes due before its row is set again where the row
 * ends now. So a row that is updated all the time costs a change of the index once in `ttlMs`, not once an update.
 */
export class RowExpiry {
  readonly #context: TaskContext;
  readonly #name: string;
  readonly #ttlMs: number;
  readonly #table: StateTable<TimestampedValue<unknown>>;
  readonly #marks: KeyIndex;
  readonly #next: Link;
  /** No mark is due before this, as far as is known. */
  #quietUntil = Number.NEGATIVE_INFINITY;

  constructor(context: TaskContext, name: string, ttlMs: number, table: StateTable<TimestampedValue<unknown>>, next: Link) {
    this.#context = context;
    this.#name = name;
    this.#ttlMs = ttlMs;
    this.#table = table;
    this.#next = next;
    this.#marks = new KeyIndex(context.backend, name, { entriesMax: context.cacheEntriesMax, scratch: context.scratch });
    context.tables.push(this.#marks);
  }

  /** Takes a record's time into the stream time, and deletes and forwards the rows that have ended by then. */
  advance(timestamp: number): void {
    const streamTime = advanceStreamTime(this.#context, this.#name, timestamp);
    if (streamTime < this.#quietUntil) return;
    // From the beginning each time: a mark that is set again may be due as well.
    for (let mark = this.#marks.first(); mark !== undefined; mark = this.#marks.first()) {
      this.#quietUntil = timeOfKey(mark);
      if (this.#quietUntil > streamTime) return;
      this.#marks.remove(mark);
      this.#due(keyBehindTime(mark), this.#quietUntil);
    }
    this.#quietUntil = Number.POSITIVE_INFINITY;
  }

  #due(key: string, due: number): void {
    const row = this.#table.get(key);
    if (row === undefined) return;
    const end = row.timestamp + this.#ttlMs;
    if (end > due) return this.#marks.insert(timedKey(end, key));
    this.#table.delete(key);
    this.#next({ key, value: null, old: row.value, timestamp: end, headers: [] });
  }

  /** To be asked before a row is set, with its time: false where it would have ended already. */
  take(key: string, timestamp: number): boolean {
    const end = timestamp + this.#ttlMs;
    if (end <= (this.#context.streamTimes[this.#name] ?? Number.NEGATIVE_INFINITY)) return false;
    const row = this.#table.get(key);
    if (row === undefined || timestamp < row.timestamp) {
      this.#marks.insert(timedKey(end, key));
      this.#quietUntil = Math.min(this.#quietUntil, end);
    }
    return true;
  }
}
