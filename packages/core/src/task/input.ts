import type { LogRecord } from "../model/index.ts";

/**
 * One partition that a task reads:
 *
 *   position: the next offset to process (what a commit stores)   fetchOffset: the next to fetch   endOffset: the log's end when last seen
 */
export class TaskInput {
  readonly topic: string;
  readonly partition: number;
  position: number;
  fetchOffset: number;
  endOffset: number;
  #records: readonly LogRecord[] = [];
  #next = 0;
  #after: { readonly records: readonly LogRecord[]; readonly nextOffset: number } | undefined;
  #behind = 0;

  constructor(topic: string, partition: number, position: number, endOffset: number) {
    this.topic = topic;
    this.partition = partition;
    this.position = position;
    this.fetchOffset = position;
    this.endOffset = endOffset;
    this.#behind = position;
  }

  /** The next record, or undefined where nothing is fetched. */
  get head(): LogRecord | undefined {
    return this.#records[this.#next];
  }
  /** How many fetched records wait. */
  get waiting(): number {
    return this.#records.length - this.#next + (this.#after?.records.length ?? 0);
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
  offer(records: readonly LogRecord[], nextOffset: number, endOffset: number): void {
    this.fetchOffset = nextOffset;
    this.endOffset = endOffset;
    if (this.#next >= this.#records.length) {
      this.#records = records;
      this.#next = 0;
      this.#behind = nextOffset;
      if (records.length === 0) this.position = nextOffset;
    } else {
      this.#after = { records, nextOffset };
    }
  }

  /** The head was processed. */
  advance(): void {
    const record = this.#records[this.#next++] as LogRecord;
    this.position = record.offset + 1;
    if (this.#next < this.#records.length) return;
    this.position = this.#behind;
    const after = this.#after;
    this.#after = undefined;
    this.#records = after?.records ?? [];
    this.#next = 0;
    if (after === undefined) return;
    this.#behind = after.nextOffset;
    if (after.records.length === 0) this.position = after.nextOffset;
  }
}
