/** Where the rows of a sink come from, and which of the rows of its input record each is. */
import type { LogRecord, RecordMeta } from "../model/index.ts";

/** The place of what comes of a record, for those who may keep it. */
export function placeOf({ topic, partition, offset, timestamp }: LogRecord): RecordMeta {
  return { topic, partition, offset, index: 0, loadTime: timestamp };
}

/** A row's place, for one call of an encoder after another: the fields are those of the row that it was last set to. */
export class RowPlace implements RecordMeta {
  topic = "";
  partition = -1;
  offset = -1;
  index = 0;
  loadTime = 0;

  set({ topic, partition, offset, timestamp }: LogRecord, index: number): void {
    this.topic = topic;
    this.partition = partition;
    this.offset = offset;
    this.index = index;
    this.loadTime = timestamp;
  }
}

// Offsets of one commit are near each other: a byte each, as many as need be.
const SPAN_FIRST = 1 << 12;
const SPAN_MAX = 1 << 20;
const COUNT_MAX = 255;

/** The rows of each record of one partition. */
class PartitionIndices {
  readonly topic: string;
  readonly partition: number;
  #base: number;
  #counts = new Uint8Array(SPAN_FIRST);
  #used = 0;
  /** Those of records that are too far off, or have too many rows for a byte. */
  readonly #others = new Map<number, number>();

  constructor({ topic, partition, offset }: LogRecord) {
    this.topic = topic;
    this.partition = partition;
    this.#base = offset;
  }

  next(offset: number): number {
    if (this.#used === 0 && (offset < this.#base || offset - this.#base > SPAN_MAX / 8)) this.#base = offset;
    const at = offset - this.#base;
    if (at >= 0 && at < SPAN_MAX) {
      if (at >= this.#counts.length) this.#grow(at);
      if (at >= this.#used) this.#used = at + 1;
      const count = this.#counts[at] as number;
      if (count < COUNT_MAX) {
        this.#counts[at] = count + 1;
        return count;
      }
    }
    const count = this.#others.get(offset) ?? (at >= 0 && at < SPAN_MAX ? COUNT_MAX : 0);
    this.#others.set(offset, count + 1);
    return count;
  }

  #grow(at: number): void {
    const grown = new Uint8Array(2 ** Math.ceil(Math.log2(at + 1)));
    grown.set(this.#counts);
    this.#counts = grown;
  }

  clear(): void {
    this.#counts.fill(0, 0, this.#used);
    // What comes next comes of later records, but in no order: rows that waited for the commit leave by groups.
    this.#base += this.#used;
    this.#used = 0;
    if (this.#others.size > 0) this.#others.clear();
  }
}

/** Numbers the rows that one sink gets from each input record, from 0, in whatever order they come between two commits. */
export class RowIndices {
  readonly #partitions: PartitionIndices[] = [];
  #last: PartitionIndices | undefined;

  /** The number of a record's next row. */
  next(origin: LogRecord): number {
    let indices = this.#last;
    if (indices === undefined || indices.partition !== origin.partition || indices.topic !== origin.topic) indices = this.#of(origin);
    return indices.next(origin.offset);
  }
  // Apart, because a function whose parameter a closure holds makes a context on the heap at each call, 50 bytes, even where the closure is not made.
  #of(origin: LogRecord): PartitionIndices {
    let indices = this.#partitions.find(({ topic, partition }) => topic === origin.topic && partition === origin.partition);
    if (indices === undefined) {
      indices = new PartitionIndices(origin);
      this.#partitions.push(indices);
    }
    this.#last = indices;
    return indices;
  }

  clear(): void {
    for (const partition of this.#partitions) partition.clear();
  }
}
