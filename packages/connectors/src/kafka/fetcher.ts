/**
 * Reads ahead. A read names a partition and with it the interest in what follows: from then on the partition's broker is polled in the background, one request for
 * all partitions of a broker, into buffers with a bound. Interest ends when nobody has read for a while. Where several read a partition, as the tasks of a process
 * do with a global table's, each goes on in the buffer that stands where it reads, and has one of its own as long as they read at different places.
 *
 *   unlocated -> polled at once (first look, or more is known to be there) -> long polls at the end -> ...
 *        ^____________ leader moved, broker gone, after a pause ______________|
 *
 * A broker answers a connection's requests in order, so that a long poll would hold back a partition that could be read at once: those go over a connection of their own.
 */
import { TopologyError, topicPartitionName } from "@iot-topology/core";
import type { FetchResult } from "@iot-topology/core";
import { waitMs } from "./attempt.ts";
import { CODE, errorAction, errorName, refusal } from "./error-code.ts";
import { PartitionBuffer } from "./partition-buffer.ts";
import type { Router } from "./request.ts";
import { WireError } from "./wire.ts";
import type { WireFetchedPartition } from "./wire.ts";

/** The bounds of reading ahead. */
export interface FetcherOptions {
  /** How long a broker may hold a poll at the end of all its partitions. */
  readonly pollWaitMs: number;
  /** A poll asks for this much of each partition, and in all. */
  readonly partitionPollBytes: number;
  readonly pollBytesMax: number;
  /** A partition with this much waiting for its reader is not polled; with this much in all, only partitions with nothing. */
  readonly partitionBufferBytesMax: number;
  readonly bufferBytesMax: number;
  /** Without a read for this long a partition is polled no more. */
  readonly interestMs: number;
  readonly deadlineMs: number;
  readonly requestTimeoutMs: number;
  readonly rack: string | undefined;
}

type Lane = "now" | "long-0" | "long-1";
/** A topic that the brokers no longer name is taken for deleted after this: they learn of a new one at different moments. */
const MISSING_MS = 5_000;

export class Fetcher {
  readonly #router: Router;
  readonly #options: FetcherOptions;
  readonly #buffers = new Map<string, PartitionBuffer[]>();
  readonly #lanes = new Map<number, Set<Lane>>();
  readonly #listeners = new Set<() => void>();
  #scheduled: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  #rotation = 0;
  #isClosed = false;

  constructor(router: Router, options: FetcherOptions) {
    this.#router = router;
    this.#options = options;
  }

  onAppend(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What is there from the offset on. Waits only for a partition's first answer, and below its known end for one poll. */
  async fetch(topic: string, partition: number, from: number, limits: { readonly recordsMax: number; readonly bytesMax: number }): Promise<FetchResult> {
    if (this.#isClosed) throw new TopologyError("NOT_RUNNING", "the log is closed");
    const buffer = this.#standingAt(topic, partition, from) ?? (await this.#begin(topic, partition, from));
    buffer.isRead = true;
    try {
      return await this.#read(buffer, from, limits);
    } finally {
      buffer.isRead = false;
    }
  }

  /** A buffer that nobody reads at this moment, and that goes on where the reader does. */
  #standingAt(topic: string, partition: number, from: number): PartitionBuffer | undefined {
    return this.#buffers.get(topicPartitionName(topic, partition))?.find((buffer) => buffer.from === from && !buffer.isRead);
  }

  async #read(buffer: PartitionBuffer, from: number, limits: { readonly recordsMax: number; readonly bytesMax: number }): Promise<FetchResult> {
    buffer.askedAt = performance.now();
    if (!buffer.isAnswered && buffer.failure === undefined) await this.#firstAnswer(buffer);
    else if (!buffer.hasBatches && from < buffer.lastStable && !buffer.isStalled && buffer.failure === undefined) {
      this.#schedule();
      await buffer.answered(this.#options.pollWaitMs * 2);
      if (!buffer.hasBatches) buffer.isStalled = true;
    }
    const { failure } = buffer;
    if (failure !== undefined) {
      // The next read tries anew.
      buffer.moveTo(from);
      throw failure;
    }
    try {
      return buffer.take(limits);
    } catch (error) {
      buffer.moveTo(from);
      throw error;
    } finally {
      if (this.#wants(buffer)) this.#schedule();
    }
  }

  /** Throws TOPIC_NOT_FOUND and TOPIC_MISMATCH at once. */
  async #begin(topic: string, partition: number, from: number): Promise<PartitionBuffer> {
    const broker = await this.#router.leader(topic, partition).catch((error: unknown) => {
      if (error instanceof WireError && !error.isFatal) return -1;
      throw error;
    });
    const buffer = new PartitionBuffer(topic, partition, from, this.#options.partitionPollBytes);
    if (broker >= 0) buffer.broker = broker;
    buffer.isRead = true;
    const name = topicPartitionName(topic, partition);
    this.#buffers.set(name, [...(this.#buffers.get(name) ?? []), buffer]);
    return buffer;
  }

  async #firstAnswer(buffer: PartitionBuffer): Promise<void> {
    this.#schedule();
    await buffer.answered(this.#options.deadlineMs);
    if (buffer.isAnswered || buffer.failure !== undefined) return;
    throw new TopologyError("KAFKA_UNREACHABLE", `a first read did not succeed within ${this.#options.deadlineMs} ms: ${buffer.reason}`, {
      place: topicPartitionName(buffer.topic, buffer.partition),
      cure: "look at the brokers' state and at the network between",
      retriable: true,
    });
  }

  #wants(buffer: PartitionBuffer): boolean {
    if (buffer.isPending || buffer.failure !== undefined || buffer.bytes >= this.#options.partitionBufferBytesMax) return false;
    if (buffer.bytes === 0) return true;
    let sum = 0;
    for (const buffers of this.#buffers.values()) for (const { bytes } of buffers) sum += bytes;
    return sum < this.#options.bufferBytesMax;
  }

  #schedule(): void {
    this.#scheduled ??= setImmediate(() => {
      this.#scheduled = undefined;
      this.#dispatch();
    });
  }

  #dispatch(): void {
    if (this.#isClosed) return;
    const now = performance.now();
    const byBroker = new Map<number, { now: PartitionBuffer[]; later: PartitionBuffer[] }>();
    let wakeAt = Infinity;
    this.#forgetUnread(now);
    for (const buffer of [...this.#buffers.values()].flat()) {
      if (!this.#wants(buffer)) continue;
      if (buffer.retryAt > now) {
        wakeAt = Math.min(wakeAt, buffer.retryAt);
        continue;
      }
      if (buffer.broker === undefined) {
        void this.#locate(buffer);
        continue;
      }
      let group = byBroker.get(buffer.broker);
      if (group === undefined) byBroker.set(buffer.broker, (group = { now: [], later: [] }));
      (buffer.isHungry ? group.now : group.later).push(buffer);
    }
    for (const [broker, group] of byBroker) {
      for (const buffers of roundsOf(group.now)) this.#poll(broker, ["now", "long-1"], buffers, 0);
      for (const buffers of roundsOf(group.later)) this.#poll(broker, ["long-0", "long-1"], buffers, this.#options.pollWaitMs);
    }
    clearTimeout(this.#timer);
    if (wakeAt !== Infinity) this.#timer = setTimeout(() => this.#dispatch(), Math.ceil(wakeAt - now));
  }

  #forgetUnread(now: number): void {
    for (const [name, buffers] of this.#buffers) {
      const kept = buffers.filter(({ askedAt, isPending, isRead }) => isPending || isRead || now - askedAt <= this.#options.interestMs);
      if (kept.length === 0) this.#buffers.delete(name);
      else if (kept.length < buffers.length) this.#buffers.set(name, kept);
    }
  }

  async #locate(buffer: PartitionBuffer): Promise<void> {
    buffer.isPending = true;
    try {
      const broker = await this.#router.leader(buffer.topic, buffer.partition);
      if (broker >= 0) buffer.broker = broker;
      else this.#later(buffer, "the partition has no leader");
    } catch (error) {
      this.#failed(buffer, error);
    } finally {
      buffer.isPending = false;
      this.#schedule();
    }
  }

  /** Sends one poll over the first lane that is free; without one, the end of a poll comes back here. */
  #poll(broker: number, lanes: readonly Lane[], buffers: PartitionBuffer[], maxWaitMs: number): void {
    let busy = this.#lanes.get(broker);
    if (busy === undefined) this.#lanes.set(broker, (busy = new Set()));
    const own = busy;
    const lane = lanes.find((candidate) => !own.has(candidate));
    if (lane === undefined) return;
    own.add(lane);
    const turns = buffers.map((buffer) => {
      buffer.isPending = true;
      buffer.polledAt = performance.now();
      return buffer.turn;
    });
    void this.#request(broker, lane, buffers, maxWaitMs)
      .then((answers) => this.#accept(broker, buffers, turns, answers))
      .catch((error: unknown) => buffers.forEach((buffer) => this.#failed(buffer, error)))
      .finally(() => {
        own.delete(lane);
        for (const buffer of buffers) buffer.isPending = false;
        this.#schedule();
      });
  }

  async #request(broker: number, lane: Lane, buffers: readonly PartitionBuffer[], maxWaitMs: number): Promise<Map<string, WireFetchedPartition>> {
    const { pollBytesMax, requestTimeoutMs, rack } = this.#options;
    const connection = await this.#router.cluster.connection(broker, `fetch-${lane}`, requestTimeoutMs);
    // A broker fills its answer in the order of the request: each partition comes first in its turn.
    const first = this.#rotation++ % buffers.length;
    const ordered = [...buffers.slice(first), ...buffers.slice(0, first)];
    const partitions = ordered.map(({ topic, partition, position, pollBytes }) => ({ topic, partition, offset: position, maxBytes: pollBytes }));
    const answer = await connection.fetch({ maxWaitMs, minBytes: 1, maxBytes: pollBytesMax, partitions, ...(rack === undefined ? {} : { rackId: rack }) });
    if (answer.errorCode !== 0) throw new WireError(`the broker refused a poll: ${errorName(answer.errorCode)}`);
    return new Map(answer.partitions.map((part) => [topicPartitionName(part.topic, part.partition), part]));
  }

  #accept(broker: number, buffers: readonly PartitionBuffer[], turns: readonly number[], answers: ReadonlyMap<string, WireFetchedPartition>): void {
    let isNew = false;
    buffers.forEach((buffer, index) => {
      if (buffer.turn !== turns[index]) return;
      const answer = answers.get(topicPartitionName(buffer.topic, buffer.partition));
      if (answer === undefined) return this.#later(buffer, "the broker left the partition out");
      if (answer.errorCode !== 0) return this.#refused(buffer, answer.errorCode);
      if (answer.preferredReplica >= 0 && answer.preferredReplica !== broker) {
        buffer.broker = answer.preferredReplica;
        buffer.isFollower = true;
        return;
      }
      isNew = buffer.accept(answer) || isNew;
    });
    if (isNew) for (const listener of this.#listeners) listener();
  }

  #refused(buffer: PartitionBuffer, code: number): void {
    const { topic, partition, position } = buffer;
    const place = topicPartitionName(topic, partition);
    if (buffer.isFollower || errorAction(code) === "leader" || errorAction(code) === "again") return this.#later(buffer, errorName(code));
    if (code !== CODE.offsetOutOfRange) return buffer.fail(refusal("a read", code, place));
    buffer.fail(
      new TopologyError("OFFSET_OUT_OF_RANGE", `offset ${position} was asked for, and the partition does not hold it`, {
        place,
        cure: "retention removed it, or the topic was made anew: reset the topology so that it starts from what is there",
      }),
    );
  }

  #failed(buffer: PartitionBuffer, error: unknown): void {
    if (this.#isClosed) return;
    if (error instanceof WireError && !error.isFatal) return this.#later(buffer, error.message);
    if (error instanceof TopologyError && error.code === "TOPIC_NOT_FOUND") {
      const now = performance.now();
      buffer.missingSince ??= now;
      if (now - buffer.missingSince < MISSING_MS) return this.#later(buffer, error.message);
    }
    if (error instanceof WireError) {
      return buffer.fail(new TopologyError("KAFKA_AUTHENTICATION", `a read: ${error.message}`, { cure: "check the user, the password, the SASL mechanism and the TLS settings", cause: error }));
    }
    buffer.fail(error instanceof TopologyError ? error : new TopologyError("INTERNAL", `a read failed: ${String(error)}`, { place: topicPartitionName(buffer.topic, buffer.partition), cause: error }));
  }

  /** Looks for the leader anew, after a pause. */
  #later(buffer: PartitionBuffer, reason: string): void {
    buffer.reason = reason;
    buffer.broker = undefined;
    buffer.isFollower = false;
    buffer.retryAt = performance.now() + waitMs(buffer.failures++);
    this.#router.cluster.forget(buffer.topic);
  }

  close(): void {
    this.#isClosed = true;
    clearImmediate(this.#scheduled);
    clearTimeout(this.#timer);
    this.#listeners.clear();
    for (const buffer of [...this.#buffers.values()].flat()) buffer.fail(new TopologyError("NOT_RUNNING", "the log is closed"));
  }
}

/** Buffers by the polls they can go into: a poll names a partition once. Who was polled longest ago comes first. */
function roundsOf(buffers: readonly PartitionBuffer[]): PartitionBuffer[][] {
  const rounds: PartitionBuffer[][] = [];
  const seen = new Map<string, number>();
  for (const buffer of buffers.toSorted((a, b) => a.polledAt - b.polledAt)) {
    const name = topicPartitionName(buffer.topic, buffer.partition);
    const round = seen.get(name) ?? 0;
    seen.set(name, round + 1);
    (rounds[round] ??= []).push(buffer);
  }
  return rounds;
}
