import type { KeyIndex } from "../../state/key-index.ts";
import { keyBehindTime, timedKey, timeOfKey } from "../../state/ordered-table.ts";
import type { UndoLog } from "../undo-log.ts";

/** A jump of time may bring any number of entries to their end at once; they are dropped in shares, and reads look at times anyway. */
const SHARE_MAX = 256;

/** Keys in the order of a time, so that those whose time has come are found without looking at the others. */
export class Expiry {
  readonly #index: KeyIndex;
  readonly #undo: UndoLog;

  constructor(index: KeyIndex, undo: UndoLog) {
    this.#index = index;
    this.#undo = undo;
  }

  add(time: number, key: string): void {
    const timed = timedKey(time, key);
    this.#undo.note(() => this.#index.remove(timed));
    this.#index.insert(timed);
  }

  remove(time: number, key: string): void {
    const timed = timedKey(time, key);
    this.#undo.note(() => this.#index.insert(timed));
    this.#index.remove(timed);
  }

  /** Keys from one time to another, both included, in order. */
  *between(from: number, to: number): Generator<readonly [time: number, key: string], void> {
    for (const timed of this.#index.walk(timedKey(from, ""), timedKey(to + 1, ""))) yield [timeOfKey(timed), keyBehindTime(timed)];
  }

  /** Takes out a share of the keys whose time lies before the bound. */
  takeBefore(bound: number, drop: (key: string, time: number) => void): void {
    if (!Number.isFinite(bound)) return;
    let left = SHARE_MAX;
    for (const timed of this.#index.walk("", timedKey(bound, ""))) {
      if (left-- === 0) return;
      this.#index.remove(timed);
      drop(keyBehindTime(timed), timeOfKey(timed));
    }
  }
}
