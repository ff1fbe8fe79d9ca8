/**
 * One commit is one Kafka transaction:
 *
 *   add partitions -> add offsets -> produce -> commit offsets -> end
 *
 * Which request may be made twice. An answer that says "not me", "not yet" is followed up: nothing was done. Where the answer is lost:
 *
 *   produce                                repeated with the same sequence numbers, so that the partition drops a repeat
 *   add partitions, add, commit offsets    the commit rejects: the first one may be on its way still, and would be taken for part of a later transaction of
 *                                          this producer; a new one has a new epoch, which refuses it
 *   end                                    the commit rejects, and whether it stands is unknown: opening a new producer waits until the coordinator has
 *                                          carried out what was decided, and aborts what was not
 */
import { TopologyError, failpoint, topicPartitionName } from "@iot-topology/core";
import type { GroupPosition, Transaction, TransactionResult, TransactionalProducer } from "@iot-topology/core";
import { Deadline } from "./attempt.ts";
import { type OpenBatch, encodeBatches } from "./batch-encoder.ts";
import type { Purpose } from "./cluster.ts";
import { errorAction } from "./error-code.ts";
import { type PartitionBatches, type ProducerIdentity, Sequences, produceBatches, producerError } from "./produce.ts";
import type { ProducerSettings } from "./producer-settings.ts";
import type { Router } from "./request.ts";
import type { WireConnection, WirePartitionError } from "./wire.ts";

/** Between attempts that only wait for the coordinator to end the transaction before. */
const WAIT_MS_MAX = 20;

/** Fences older producers with the id, and waits until what they left is committed or aborted. */
export async function openTransactionalProducer(router: Router, settings: ProducerSettings, transactionalId: string): Promise<TransactionalProducer> {
  const { transactionTimeoutMs } = settings;
  const options = { what: "taking over a transactional id", place: transactionalId, deadline: new Deadline(settings.deadlineMs), waitMsMax: WAIT_MS_MAX };
  const answer = await router.atCoordinator("transaction", transactionalId, options, (connection) => connection.initProducerId({ transactionalId, transactionTimeoutMs }), ({ errorCode }) => errorCode);
  if (answer.errorCode !== 0) throw producerError(options.what, answer.errorCode, transactionalId);
  return new KafkaProducer(router, settings, { transactionalId, producerId: answer.producerId, epoch: answer.producerEpoch });
}

/** A broker answers a connection's requests one after the other, each only when the replicas have it: producers share a few connections side by side. */
const LANES = 4;
let lanes = 0;
const nextLane = (): Purpose => `produce-${lanes++ % LANES}`;

class KafkaProducer implements TransactionalProducer {
  readonly transactionalId: string;
  readonly #router: Router;
  readonly #settings: ProducerSettings;
  readonly #identity: ProducerIdentity;
  readonly #producer: { readonly transactionalId: string; readonly producerId: bigint; readonly producerEpoch: number };
  readonly #sequences = new Sequences();
  readonly #purpose: Purpose = nextLane();
  #rotation = 0;
  #state: "ready" | "committing" | "finished" = "ready";

  constructor(router: Router, settings: ProducerSettings, identity: ProducerIdentity & { readonly transactionalId: string }) {
    this.transactionalId = identity.transactionalId;
    this.#router = router;
    this.#settings = settings;
    this.#identity = identity;
    this.#producer = { transactionalId: identity.transactionalId, producerId: identity.producerId, producerEpoch: identity.epoch };
  }

  async commit(transaction: Transaction): Promise<TransactionResult> {
    if (this.#state !== "ready") {
      throw new TopologyError("KAFKA_REFUSED", this.#state === "finished" ? "the producer is finished" : "a commit is under way", { place: this.transactionalId, cure: "open a new producer", retriable: this.#state === "finished" });
    }
    this.#state = "committing";
    try {
      const result = await this.#commit(transaction, new Deadline(this.#settings.deadlineMs));
      this.#state = "ready";
      return result;
    } catch (error) {
      this.#state = "finished";
      throw error;
    }
  }

  async #commit(transaction: Transaction, deadline: Deadline): Promise<TransactionResult> {
    failpoint("kafka.txn.before-begin");
    const parts = await this.#encode(transaction, deadline);
    if (parts.length === 0 && transaction.positions.length === 0) return { nextOffsets: new Map() };
    if (parts.length > 0) await this.#addPartitions(parts, deadline);
    failpoint("kafka.txn.after-add-partitions");
    if (transaction.positions.length > 0) await this.#addOffsets(transaction.group, deadline);
    failpoint("kafka.txn.after-add-offsets");
    const produce = { identity: this.#identity, sequences: this.#sequences, purpose: this.#purpose, deadline, timeoutMs: this.#settings.replicationTimeoutMs };
    const nextOffsets = parts.length === 0 ? new Map<string, number>() : await produceBatches(this.#router, parts, produce);
    failpoint("kafka.txn.after-produce");
    // Behind the records, not beside them: a broker that leads a partition and the group refuses one of two requests of a producer at a time.
    await this.#commitOffsets(transaction.group, transaction.positions, deadline);
    failpoint("kafka.txn.after-offset-commit");
    failpoint("kafka.txn.before-end");
    await this.#end(deadline);
    failpoint("kafka.txn.after-end");
    return { nextOffsets };
  }

  /** Records sorted by partition; several batches for one topic follow each other. */
  async #encode(transaction: Transaction, deadline: Deadline): Promise<PartitionBatches[]> {
    const { batchBytesMax, codec } = this.#settings;
    const found = new Map<string, { topic: string; partition: number; batches: OpenBatch[] }>();
    for (const { topic, frames, recordCount, partition: given } of transaction.batches) {
      if (recordCount === 0) continue;
      const partitions = await this.#router.partitions(topic, deadline, given);
      const encoded = encodeBatches(frames, { topic, partitions, recordCount, partition: given, keyless: this.#rotation++ % partitions, batchBytesMax, codec });
      for (const [partition, batches] of encoded) {
        const name = topicPartitionName(topic, partition);
        const known = found.get(name);
        if (known === undefined) found.set(name, { topic, partition, batches: [...batches] });
        else known.batches.push(...batches);
      }
    }
    return [...found.values()];
  }

  async #addPartitions(parts: readonly PartitionBatches[], deadline: Deadline): Promise<void> {
    const request = { ...this.#producer, partitions: parts.map(({ topic, partition }) => ({ topic, partition })) };
    const what = "adding partitions to a transaction";
    const answer = await this.#askTransaction(what, deadline, (connection) => connection.addPartitionsToTxn(request), decisiveCode);
    this.#check(what, decisiveCode(answer));
  }

  async #addOffsets(group: string, deadline: Deadline): Promise<void> {
    const what = "adding offsets to a transaction";
    const answer = await this.#askTransaction(what, deadline, (connection) => connection.addOffsetsToTxn({ ...this.#producer, group }), ({ errorCode }) => errorCode);
    this.#check(what, answer.errorCode);
  }

  async #commitOffsets(group: string, positions: readonly GroupPosition[], deadline: Deadline): Promise<void> {
    if (positions.length === 0) return;
    const request = { ...this.#producer, group, positions: positions.map(({ topic, partition, offset, metadata }) => ({ topic, partition, offset, metadata: metadata ?? "" })) };
    const what = "committing offsets";
    const options = { what, place: group, deadline, isOnce: true };
    const answer = await this.#router.atCoordinator("group", group, options, (connection) => connection.txnOffsetCommit(request), decisiveCode);
    this.#check(what, decisiveCode(answer));
  }

  async #end(deadline: Deadline): Promise<void> {
    const what = "ending a transaction";
    const answer = await this.#askTransaction(what, deadline, (connection) => connection.endTxn({ ...this.#producer, commit: true }), ({ errorCode }) => errorCode);
    this.#check(what, answer.errorCode);
  }

  #askTransaction<T>(what: string, deadline: Deadline, request: (connection: WireConnection) => Promise<T>, codeOf: (answer: T) => number): Promise<T> {
    return this.#router.atCoordinator("transaction", this.transactionalId, { what, place: this.transactionalId, deadline, waitMsMax: WAIT_MS_MAX, isOnce: true }, request, codeOf);
  }

  #check(what: string, code: number): void {
    if (code !== 0) throw producerError(what, code, this.transactionalId);
  }

  close(): Promise<void> {
    this.#state = "finished";
    return Promise.resolve();
  }
}

/** Of several partitions' codes the one that decides what to do: an end, before a reason to ask again. */
function decisiveCode(answers: readonly WirePartitionError[]): number {
  let code = 0;
  for (const { errorCode } of answers) {
    if (errorCode === 0) continue;
    const action = errorAction(errorCode);
    if (action !== "again" && action !== "coordinator" && action !== "leader") return errorCode;
    code = errorCode;
  }
  return code;
}
