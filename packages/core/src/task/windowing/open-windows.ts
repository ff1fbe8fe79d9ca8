import { KeyIndex } from "../../state/key-index.ts";
import { keyBehindTime, timedKey, timeOfKey } from "../../state/ordered-table.ts";
import { storeOptions, type WindowingOptions } from "./windowing.ts";

/**
 * The windows of a step that are not closed yet, in order of (start, key): what closes is walked, and nothing else.
 *
 *   "x\0" name "\0" ... -> an index (state/key-index.ts) of 16 hex digits of the start, then the key
 */
export class OpenWindows {
  readonly #index: KeyIndex;
  /** No open window starts before it; undefined where that is not known. */
  #earliest: number | undefined;

  constructor({ context, name }: WindowingOptions<never>) {
    this.#index = new KeyIndex(context.backend, name, storeOptions(context));
    context.tables.push(this.#index);
  }

  add(start: number, key: string): void {
    this.#index.insert(timedKey(start, key));
    if (this.#earliest !== undefined && start < this.#earliest) this.#earliest = start;
  }
  remove(start: number, key: string): void {
    this.#index.remove(timedKey(start, key));
  }

  /** Takes out the windows that start before a time, in order. */
  *takeBefore(startBound: number): Generator<{ readonly start: number; readonly key: string }, void> {
    if (!Number.isFinite(startBound) || (this.#earliest !== undefined && this.#earliest >= startBound)) return;
    for (const timed of this.#index.walk("", timedKey(startBound, ""))) {
      this.#index.remove(timed);
      yield { start: timeOfKey(timed), key: keyBehindTime(timed) };
    }
    const { value: first } = this.#index.walk("", undefined).next();
    this.#earliest = first === undefined ? Number.POSITIVE_INFINITY : timeOfKey(first);
  }
}
