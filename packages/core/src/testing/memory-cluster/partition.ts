/**
 * One partition as a broker of the model holds it: every record and every control record at an offset of its own.
 *
 *   offset   0   1   2   3   4   5
 *            r   t1  t2  r   C1  r        t1, t2: records of transactions; C1: the end of the first of them
 *                    ^ first offset of an open transaction = last stable offset: nothing from here on is given to readers
 */
import { TopologyError, topicPartitionName } from "../../model/index.ts";
import type { Header, LogRecord, ProducerRecord } from "../../model/index.ts";
import type { FetchResult } from "../../port/index.ts";

/** Whose records an entry belongs to: undefined outcome while its end is not written. */
export interface EntryOwner {
  readonly transactionalId: string;
  outcome: "committed" | "aborted" | undefined;
}

/** What stands at one offset: a record, or the end of a transaction. */
export interface ClusterEntry {
  readonly record: LogRecord | undefined;
  readonly owner: EntryOwner | undefined;
}

function ownBytes(value: Uint8Array | string | null): Buffer | null {
  return value === null ? null : Buffer.from(value as Uint8Array);
}

function ownHeaders(headers: readonly Header[]): Header[] {
  return headers.map(({ key, value }) => ({ key, value: ownBytes(value) }));
}

/** The entries of one partition, with the rule of what a reader may see. */
export class ClusterPartition {
  readonly topic: string;
  readonly partition: number;
  #start = 0;
  #entries: ClusterEntry[] = [];
  readonly #open = new Map<EntryOwner, number>();

  constructor(topic: string, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }

  get name(): string {
    return topicPartitionName(this.topic, this.partition);
  }
  /** One past the last entry, whatever its transaction became. */
  get next(): number {
    return this.#start + this.#entries.length;
  }
  get start(): number {
    return this.#start;
  }
  /** The last stable offset. */
  get stableEnd(): number {
    let end = this.next;
    for (const first of this.#open.values()) end = Math.min(end, first);
    return Math.max(end, this.#start);
  }
  get entries(): readonly ClusterEntry[] {
    return this.#entries;
  }

  append(record: ProducerRecord, owner: EntryOwner | undefined): void {
    const offset = this.next;
    if (owner !== undefined && !this.#open.has(owner)) this.#open.set(owner, offset);
    const { topic, partition } = this;
    const own = { key: ownBytes(record.key), value: ownBytes(record.value), headers: ownHeaders(record.headers ?? []) };
    this.#entries.push({ owner, record: { topic, partition, offset, timestamp: record.timestamp, ...own } });
  }

  /** Writes the control record that ends a transaction here. */
  end(owner: EntryOwner): void {
    this.#entries.push({ owner, record: undefined });
    this.#open.delete(owner);
  }

  /** Committed records alone, up to the last stable offset. */
  visible(): LogRecord[] {
    return this.#entries.slice(0, this.stableEnd - this.#start).flatMap((entry) => visibleRecord(entry) ?? []);
  }

  fetch(fromOffset: number, limits: { readonly recordsMax: number; readonly bytesMax: number }): FetchResult {
    if (fromOffset < this.#start || fromOffset > this.next) {
      throw new TopologyError("OFFSET_OUT_OF_RANGE", `offset ${fromOffset} is outside of what the log holds: ${this.#start} to ${this.next}`, { place: this.name });
    }
    const endOffset = this.stableEnd;
    const records: LogRecord[] = [];
    let bytes = 0;
    let at = fromOffset;
    for (; at < endOffset && records.length < limits.recordsMax; at++) {
      const record = visibleRecord(this.#entries[at - this.#start] as ClusterEntry);
      if (record === undefined) continue;
      bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0);
      if (records.length > 0 && bytes > limits.bytesMax) break;
      records.push(record);
    }
    return { records, nextOffset: at, endOffset };
  }

  deleteBefore(offset: number): void {
    if (offset > this.next) {
      throw new TopologyError("OFFSET_OUT_OF_RANGE", `records before ${offset} cannot be deleted: the partition ends at ${this.next}`, { place: this.name });
    }
    if (offset <= this.#start) return;
    this.#entries = this.#entries.slice(offset - this.#start);
    this.#start = offset;
  }
}

function visibleRecord({ record, owner }: ClusterEntry): LogRecord | undefined {
  return owner === undefined || owner.outcome === "committed" ? record : undefined;
}
