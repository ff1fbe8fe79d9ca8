import type { LogRecord } from "../model/index.ts";
import { listRun, type RecordRun } from "./record-run.ts";

const NOTHING: RecordRun = listRun([]);

/**
 * One partition that a task reads:
 *
 *   position: the next offset to process (what a commit stores)   fetchOffset: the next to fetch   endOffset: the log's end when last seen
 */
export class TaskInput {
  readonly topic: string;
  readonly partition: number;
  /** Whether it is of a global table: read by every task, before their streams, and not by the group's positions. */
  readonly isGlobal: boolean;
  position: number;
  fetchOffset: number;
  endOffset: number;
  #run: RecordRun = NOTHING;
  #head: LogRecord | undefined;
  #after: { readonly run: RecordRun; readonly nextOffset: number } | undefined;
  #behind = 0;

  constructor(topic: string, partition: number, position: number, endOffset: number, isGlobal = false) {
    this.topic = topic;
    this.partition = partition;
    this.isGlobal = isGlobal;
    this.position = position;
    this.fetchOffset = position;
    this.endOffset = endOffset;
    this.#behind = position;
  }

  /** The next record, or undefined where nothing is fetched. */
  get head(): LogRecord | undefined {
    return this.#head;
  }
  /** How many fetched records wait. */
  get waiting(): number {
    return (this.#head === undefined ? 0 : 1) + this.#run.left + (this.#after?.run.left ?? 0);
  }
  get wantsFetch(): boolean {
    return this.#after === undefined;
  }
  /** Whether everything up to the end that was last seen is processed. */
  get isAtEnd(): boolean {
    return this.position >= this.endOffset;
  }
  get lag(): number {
    return Math.max(0, this.endOffset - this.position);
  }

  /** Takes what was fetched. */
  offer(run: RecordRun, nextOffset: number, endOffset: number): void {
    this.fetchOffset = nextOffset;
    // What was there is there: an end that is told behind another, by a broker that knows less, must not make a global table look read.
    this.endOffset = Math.max(this.endOffset, endOffset);
    if (this.#head === undefined) this.#begin(run, nextOffset);
    else this.#after = { run, nextOffset };
  }

  #begin(run: RecordRun, nextOffset: number): void {
    this.#run = run;
    this.#head = run.next();
    this.#behind = nextOffset;
    if (this.#head === undefined) this.position = nextOffset;
  }

  /** The head was processed. */
  advance(): void {
    const { offset } = this.#head as LogRecord;
    this.#head = this.#run.next();
    if (this.#head !== undefined) {
      this.position = offset + 1;
      return;
    }
    this.position = this.#behind;
    const after = this.#after;
    this.#after = undefined;
    if (after !== undefined) this.#begin(after.run, after.nextOffset);
  }
}
