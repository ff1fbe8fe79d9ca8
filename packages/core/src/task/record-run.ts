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

/**
 * A record of a frame: where it stands, no more. All else is read from the frame when it is asked for, of the cursor for as long as that stands there, which it does
 * while the record is processed. Steps that hold rows back keep the record that a row comes from until the commit, and what they keep the collector carries along.
 */
export class FrameRecord implements LogRecord {
  readonly #source: { readonly topic: string; readonly partition: number };
  readonly #cursor: FrameCursor;
  readonly offset: number;
  readonly #at: number;

  /** The record of the frame that the cursor has read. */
  constructor(source: { readonly topic: string; readonly partition: number }, offset: number, cursor: FrameCursor) {
    this.#source = source;
    this.#cursor = cursor;
    this.offset = offset;
    this.#at = cursor.start;
  }

  /** A cursor that has read the record's frame. It goes on with the records: it is for use at once. */
  get frame(): FrameCursor {
    const cursor = this.#cursor;
    if (cursor.start === this.#at) return cursor;
    const again = new FrameCursor(cursor.bytes, this.#at);
    again.next();
    return again;
  }

  get topic(): string {
    return this.#source.topic;
  }
  get partition(): number {
    return this.#source.partition;
  }
  get timestamp(): number {
    return this.#cursor.timestampAt(this.#at);
  }
  get headers(): readonly Header[] {
    return this.frame.headers();
  }
  get key(): Buffer | null {
    const { bytes, keyStart, keyEnd } = this.frame;
    return keyStart < 0 ? null : bytes.subarray(keyStart, keyEnd);
  }
  get value(): Buffer | null {
    const { bytes, valueStart, valueEnd } = this.frame;
    return valueStart < 0 ? null : bytes.subarray(valueStart, valueEnd);
  }
}

/**
 * Records in frames, each made when it is taken. Ten thousand records that wait as objects are moved by the collector again and again, which took a tenth of the CPU;
 * one that is made, processed and forgotten costs it nothing.
 */
export class FrameRun implements RecordRun {
  readonly topic: string;
  readonly partition: number;
  readonly #batches: readonly FrameBatch[];
  #batch = 0;
  #cursor: FrameCursor | undefined;
  #offset = 0;
  #left = 0;

  /** The records of the batches from an offset on; the first batch may begin before it. */
  constructor(topic: string, partition: number, batches: readonly FrameBatch[], fromOffset: number) {
    this.topic = topic;
    this.partition = partition;
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
    return new FrameRecord(this, this.#offset++, frames);
  }
}
