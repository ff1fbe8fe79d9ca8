import { FrameCursor, type Header, type LogRecord } from "../model/index.ts";
import type { FrameBatch } from "../port/index.ts";

/** Fetched records, taken one by one in order. */
export interface RecordRun {
  /** How many are left. */
  readonly left: number;
  /** The next record; undefined behind the last. */
  next(): LogRecord | undefined;
}

/** Records that are there already. */
export function listRun(records: readonly LogRecord[]): RecordRun {
  let at = 0;
  return {
    get left() {
      return records.length - at;
    },
    next: () => records[at++],
  };
}

const NO_HEADERS: readonly Header[] = Object.freeze([]);

/**
 * A record of a frame, whose key and value become views of its bytes each time they are asked for. Steps that hold rows back keep the record that a row comes from until
 * the commit, mostly for its place alone: two views each made more than half of what the collector had to carry along.
 */
export class FrameRecord implements LogRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly headers: readonly Header[];
  /** What key and value are ranges of; a start of -1 is null. */
  readonly bytes: Buffer;
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly valueStart: number;
  readonly valueEnd: number;

  constructor(topic: string, partition: number, offset: number, frames: FrameCursor) {
    this.topic = topic;
    this.partition = partition;
    this.offset = offset;
    this.timestamp = frames.timestamp;
    this.headers = frames.headersAt < 0 ? NO_HEADERS : frames.headers();
    this.bytes = frames.bytes;
    this.keyStart = frames.keyStart;
    this.keyEnd = frames.keyEnd;
    this.valueStart = frames.valueStart;
    this.valueEnd = frames.valueEnd;
  }

  get key(): Buffer | null {
    return this.keyStart < 0 ? null : this.bytes.subarray(this.keyStart, this.keyEnd);
  }
  get value(): Buffer | null {
    return this.valueStart < 0 ? null : this.bytes.subarray(this.valueStart, this.valueEnd);
  }
}

/**
 * Records in frames, each made when it is taken. Ten thousand records that wait as objects are moved by the collector again and again, which took a tenth of the CPU;
 * one that is made, processed and forgotten costs it nothing.
 */
export class FrameRun implements RecordRun {
  readonly #topic: string;
  readonly #partition: number;
  readonly #batches: readonly FrameBatch[];
  #batch = 0;
  #cursor: FrameCursor | undefined;
  #offset = 0;
  #left = 0;

  /** The records of the batches from an offset on; the first batch may begin before it. */
  constructor(topic: string, partition: number, batches: readonly FrameBatch[], fromOffset: number) {
    this.#topic = topic;
    this.#partition = partition;
    this.#batches = batches;
    for (const { count } of batches) this.#left += count;
    const [first] = batches;
    if (first === undefined) return;
    this.#left -= fromOffset - first.baseOffset;
    this.#enter();
    for (; this.#offset < fromOffset; this.#offset++) this.#cursor?.next();
  }

  get left(): number {
    return this.#left;
  }

  #enter(): void {
    const batch = this.#batches[this.#batch] as FrameBatch;
    this.#cursor = new FrameCursor(batch.bytes, batch.start);
    this.#offset = batch.baseOffset;
  }

  next(): LogRecord | undefined {
    if (this.#left === 0) return undefined;
    const batch = this.#batches[this.#batch] as FrameBatch;
    if (this.#offset === batch.baseOffset + batch.count) {
      this.#batch++;
      this.#enter();
    }
    this.#left--;
    const frames = this.#cursor as FrameCursor;
    frames.next();
    return new FrameRecord(this.#topic, this.#partition, this.#offset++, frames);
  }
}
