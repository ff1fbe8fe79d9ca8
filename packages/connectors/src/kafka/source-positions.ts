/**
 * Sources that are no log (files): how far each was read stands in a compacted topic with one partition, a record a source, written in the same transaction as
 * the records that came from it. A transactional id a source: who reads it last fences who read it before.
 */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { TopologyError } from "@iot-topology/core";
import type { AppendResult, FetchResult, ProducerRecord, TopicCreation, TransactionalProducer } from "@iot-topology/core";
import { framesOf } from "./idempotent-producer.ts";

/** Records for one topic among those that are appended with a source's position. */
export interface SourceRecords {
  readonly topic: string;
  readonly records: readonly ProducerRecord[];
}

/** What positions need of the log. */
export interface PositionsLog {
  createTopics(topics: readonly TopicCreation[]): Promise<void>;
  partitionCount(topic: string): Promise<number | undefined>;
  openProducer(transactionalId: string): Promise<TransactionalProducer>;
  fetch(topic: string, partition: number, from: number, limits: { readonly recordsMax: number; readonly bytesMax: number }): Promise<FetchResult>;
  offsets(topic: string, partition: number): Promise<{ readonly start: number; readonly end: number }>;
  /** The partition's end once every transaction is settled that has written up to it now. */
  settledEnd(topic: string, partition: number): Promise<number>;
}

const ATTEMPTS_MAX = 5;
const READ_MS_MAX = 30_000;
const STALL_MS = 10;
const LIMITS = { recordsMax: 10_000, bytesMax: 8 << 20 };

export class SourcePositions {
  readonly #log: PositionsLog;
  readonly #topic: string;
  readonly #producers = new Map<string, TransactionalProducer>();
  readonly #positions = new Map<string, Buffer>();
  #next = 0;
  #isThere = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(log: PositionsLog, topic: string) {
    this.#log = log;
    this.#topic = topic;
  }

  /** Appends records and moves the position, all or none. With `expected`, throws PRODUCER_FENCED where the position is another one. */
  append(sourceId: string, position: Buffer, parts: readonly SourceRecords[], expected: { readonly position: Uint8Array | undefined } | undefined): Promise<AppendResult> {
    return this.#inTurn(async () => {
      const recordCount = parts.reduce((sum, { records }) => sum + records.length, 0);
      const batches = parts.filter(({ records }) => records.length > 0).map(({ topic, records }) => ({ topic, frames: framesOf(records), recordCount: records.length }));
      const own = { topic: this.#topic, frames: framesOf([{ key: sourceId, value: position, timestamp: Date.now() }]), recordCount: 1, partition: 0 };
      for (let attempt = 1; ; attempt++) {
        let producer = this.#producers.get(sourceId);
        if (producer === undefined) {
          producer = await this.#takeOver(sourceId);
          const held = this.#positions.get(sourceId);
          // A commit whose answer was lost has moved the position, or has not.
          if (attempt > 1 && expected !== undefined && held?.equals(position) === true) return { repeated: false, recordCount };
          this.#expect(sourceId, expected);
        } else this.#expect(sourceId, expected);
        try {
          await producer.commit({ batches: [...batches, own], group: "", positions: [] });
          this.#positions.set(sourceId, Buffer.from(position));
          return { repeated: false, recordCount };
        } catch (error) {
          this.#producers.delete(sourceId);
          if (attempt === ATTEMPTS_MAX || expected === undefined || !(error instanceof TopologyError) || !error.retriable) throw error;
        }
      }
    });
  }

  position(sourceId: string): Promise<Buffer | undefined> {
    return this.#inTurn(async () => {
      await this.#read();
      return this.#positions.get(sourceId);
    });
  }

  all(): Promise<readonly (readonly [string, Buffer])[]> {
    return this.#inTurn(async () => {
      await this.#read();
      return [...this.#positions].sort(([a], [b]) => (a < b ? -1 : 1));
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work, work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  #expect(sourceId: string, expected: { readonly position: Uint8Array | undefined } | undefined): void {
    if (expected === undefined) return;
    const held = this.#positions.get(sourceId);
    if (held === undefined ? expected.position === undefined : expected.position !== undefined && held.equals(expected.position)) return;
    throw new TopologyError("PRODUCER_FENCED", `another reader has moved the position of ${sourceId}`, { place: sourceId, cure: "read a source in one place at a time" });
  }

  async #takeOver(sourceId: string): Promise<TransactionalProducer> {
    if (!this.#isThere) await this.#log.createTopics([{ topic: this.#topic, partitions: 1, config: { "cleanup.policy": "compact" } }]);
    this.#isThere = true;
    const id = createHash("sha256").update(sourceId).digest("hex").slice(0, 32);
    const producer = await this.#log.openProducer(`${this.#topic}-${id}`);
    await this.#read();
    this.#producers.set(sourceId, producer);
    return producer;
  }

  /** Reads on to the end. */
  async #read(): Promise<void> {
    if (!this.#isThere && (await this.#log.partitionCount(this.#topic)) === undefined) return;
    this.#isThere = true;
    const end = await this.#log.settledEnd(this.#topic, 0);
    const { start } = await this.#log.offsets(this.#topic, 0);
    this.#next = Math.max(this.#next, start);
    const until = performance.now() + READ_MS_MAX;
    while (this.#next < end) {
      const { records, nextOffset } = await this.#log.fetch(this.#topic, 0, this.#next, LIMITS);
      for (const { key, value } of records) {
        if (key === null) continue;
        if (value === null) this.#positions.delete(key.toString());
        else this.#positions.set(key.toString(), Buffer.from(value));
      }
      // What is read ahead may still end before the marker of another's transaction. A fetch that has nothing answers at once, so a loop without a pause would keep its answer from coming in.
      if (nextOffset === this.#next) await sleep(STALL_MS);
      this.#next = nextOffset;
      if (performance.now() > until) throw new TopologyError("KAFKA_TIMEOUT", `the positions of sources could not be read up to offset ${end} within ${READ_MS_MAX} ms`, { place: this.#topic, cure: "look at the brokers' state and at the network between", retriable: true });
    }
  }
}
