import { ByteWriter, TopologyError, topicPartitionName, writeFrame } from "@iot-topology/core";
import type { ProducerRecord } from "@iot-topology/core";
import { Deadline } from "./attempt.ts";
import { encodeBatches } from "./batch-encoder.ts";
import type { Purpose } from "./cluster.ts";
import { type ProducerIdentity, Sequences, produceBatches, producerError } from "./produce.ts";
import type { ProducerSettings } from "./producer-settings.ts";
import type { Router } from "./request.ts";

/** Records as frames (core's model/frame.ts). */
export function framesOf(records: readonly ProducerRecord[]): Buffer {
  const writer = new ByteWriter();
  for (const record of records) writeFrame(writer, record);
  return writer.take();
}

const APPENDS: Purpose = "produce-0";

interface Session {
  readonly identity: ProducerIdentity;
  readonly sequences: Sequences;
}

/** Appends outside of transactions: what one partition gets is repeated without being doubled, for as long as the process lives. */
export class IdempotentProducer {
  readonly #router: Router;
  readonly #settings: ProducerSettings;
  #session: Promise<Session> | undefined;
  #rotation = 0;
  /** Batches of a partition go one append after the other: their sequence numbers are in order. */
  readonly #queues = new Map<string, Promise<unknown>>();

  constructor(router: Router, settings: ProducerSettings) {
    this.#router = router;
    this.#settings = settings;
  }

  async append(topic: string, frames: Uint8Array, recordCount: number): Promise<void> {
    const { deadlineMs, batchBytesMax, codec, replicationTimeoutMs: timeoutMs } = this.#settings;
    const deadline = new Deadline(deadlineMs);
    const partitions = await this.#router.partitions(topic, deadline);
    const encoded = encodeBatches(frames, { topic, partitions, recordCount, keyless: this.#rotation++ % partitions, batchBytesMax, codec });
    const session = await this.#begin(deadline);
    const produce = { ...session, purpose: APPENDS, deadline, timeoutMs };
    const outcomes = await Promise.allSettled(
      [...encoded].map(([partition, batches]) => this.#inTurn(topicPartitionName(topic, partition), () => produceBatches(this.#router, [{ topic, partition, batches }], produce))),
    );
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed === undefined) return;
    // A partition's sequence has a hole now that this id cannot fill.
    this.#session = undefined;
    throw failed.reason;
  }

  #begin(deadline: Deadline): Promise<Session> {
    this.#session ??= this.#init(deadline).catch((error: unknown) => {
      this.#session = undefined;
      throw error;
    });
    return this.#session;
  }

  async #init(deadline: Deadline): Promise<Session> {
    const what = "asking for a producer id";
    const answer = await this.#router.anywhere({ what, place: "cluster", deadline }, (connection) => connection.initProducerId({ transactionalId: null, transactionTimeoutMs: this.#settings.transactionTimeoutMs }), ({ errorCode }) => errorCode);
    if (answer.errorCode !== 0) throw producerError(what, answer.errorCode, "cluster");
    return { identity: { transactionalId: null, producerId: answer.producerId, epoch: answer.producerEpoch }, sequences: new Sequences() };
  }

  #inTurn<T>(name: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#queues.get(name) ?? Promise.resolve()).then(work, work);
    const settled = turn.then(
      () => undefined,
      () => undefined,
    );
    this.#queues.set(name, settled);
    void settled.then(() => {
      if (this.#queues.get(name) === settled) this.#queues.delete(name);
    });
    return turn;
  }
}

/** The error for a sequence that only the embedded log keeps. */
export function needsTransactions(topic: string): TopologyError {
  return new TopologyError("CONFIG_INVALID", "Kafka keeps no producer sequences across processes: an append with one needs a transaction", { place: topic, cure: "open a producer with openProducer, and commit" });
}
