import type { FetchResult, LogRecord, TopologyError } from "@iot-topology/core";
import { BatchCursor, type ReadBudget } from "./batch-decoder.ts";
import { CommittedFilter } from "./committed-filter.ts";
import type { WireFetchedPartition } from "./wire.ts";

/** One answer's batches for the partition, decoded as far as they were read. */
interface Answer {
  readonly cursor: BatchCursor;
  readonly filter: CommittedFilter;
  readonly bytes: number;
  readonly nextOffset: number;
}

const BATCH_START_BYTES = 27;

/** Where the batches that stand whole in an answer end: the offset to ask for next, or undefined where there is none. */
export function endOfBatches(bytes: Buffer): number | undefined {
  let next: number | undefined;
  for (let at = 0; at + BATCH_START_BYTES <= bytes.length; ) {
    const end = at + 12 + bytes.readInt32BE(at + 8);
    if (end > bytes.length || end < at + BATCH_START_BYTES) break;
    next = bytes.readInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4) + bytes.readInt32BE(at + 23) + 1;
    at = end;
  }
  return next;
}

/** What was fetched of a partition ahead of its reader, and where polls stand. */
export class PartitionBuffer {
  readonly topic: string;
  readonly partition: number;
  /** The next offset for the reader, and the next to poll. */
  from: number;
  position: number;
  /** Raised when the reader begins anew: an answer to an earlier poll is then nobody's. */
  turn = 0;
  bytes = 0;
  lastStable = 0;
  isAnswered = false;
  /** Whether the last answer left more to be had at once. */
  isHungry = true;
  /** The broker to poll; undefined until it is looked up. A follower in the reader's rack may stand in for the leader. */
  broker: number | undefined;
  isFollower = false;
  isPending = false;
  failures = 0;
  retryAt = 0;
  missingSince: number | undefined;
  reason = "no answer yet";
  /** Whether the end is known to be further on, but waiting for it was in vain: reads no longer wait. */
  isStalled = false;
  askedAt = 0;
  /** Whether a read is under way: no other may use the buffer then. */
  isRead = false;
  polledAt = 0;
  pollBytes: number;
  failure: TopologyError | undefined;
  readonly #answers: Answer[] = [];
  #waiting: (() => void)[] = [];

  constructor(topic: string, partition: number, from: number, pollBytes: number) {
    this.topic = topic;
    this.partition = partition;
    this.from = from;
    this.position = from;
    this.pollBytes = pollBytes;
  }

  /** Whether polled batches are waiting to be read. */
  get hasBatches(): boolean {
    return this.#answers.length > 0;
  }

  /** The reader begins anew. */
  moveTo(from: number): void {
    this.turn++;
    this.from = from;
    this.position = from;
    this.#answers.length = 0;
    this.bytes = 0;
    this.isAnswered = false;
    this.isHungry = true;
    this.failure = undefined;
    this.failures = 0;
    this.retryAt = 0;
  }

  /** Takes an answer without an error; tells whether it brought batches. */
  accept(answer: WireFetchedPartition): boolean {
    const { records } = answer;
    this.isAnswered = true;
    this.isStalled = false;
    this.failures = 0;
    this.missingSince = undefined;
    this.lastStable = Math.max(answer.lastStableOffset, 0);
    const nextOffset = records.length === 0 ? undefined : endOfBatches(records);
    if (nextOffset === undefined || nextOffset <= this.position) {
      // A batch larger than what was asked for comes cut short.
      this.isHungry = records.length > 0 && nextOffset === undefined;
      if (this.isHungry) this.pollBytes = Math.min(this.pollBytes * 2, 256 << 20);
      this.#wake();
      return false;
    }
    this.#answers.push({
      cursor: new BatchCursor(this.topic, this.partition, records),
      filter: new CommittedFilter(answer.abortedTransactions),
      bytes: records.length,
      nextOffset,
    });
    this.bytes += records.length;
    this.position = nextOffset;
    this.isHungry = nextOffset < this.lastStable;
    this.#wake();
    return true;
  }

  fail(failure: TopologyError): void {
    this.failure = failure;
    this.#wake();
  }

  /** Resolves with the next answer or failure, or after the time. */
  answered(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  /** Reads what is there, up to the limits. */
  take(limits: { readonly recordsMax: number; readonly bytesMax: number }): FetchResult {
    const records: LogRecord[] = [];
    const budget: ReadBudget = { records: limits.recordsMax, bytes: limits.bytesMax };
    for (let answer; budget.records > 0 && budget.bytes > 0 && (answer = this.#answers[0]) !== undefined; ) {
      const { cursor, filter } = answer;
      if (!cursor.hasRecords) {
        if (!cursor.nextBatch()) {
          this.#answers.shift();
          this.bytes -= answer.bytes;
          this.from = Math.max(this.from, answer.nextOffset);
          continue;
        }
        if (!filter.isDelivered(cursor)) cursor.skipBatch();
      }
      cursor.read(this.from, records, budget);
      // Offsets may have gaps: behind a batch goes on where it says it ends.
      if (!cursor.hasRecords) this.from = Math.max(this.from, cursor.lastOffset + 1);
      else this.from = (records.at(-1)?.offset ?? this.from - 1) + 1;
    }
    return { records, nextOffset: this.from, endOffset: Math.max(this.lastStable, this.from) };
  }
}
