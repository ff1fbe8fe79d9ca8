/**
 * Batches into partitions, in each partition in their order, each exactly once: every batch has its place in the producer's sequence, and is sent again with the
 * same one until the partition's leader of the moment has acknowledged it.
 *
 * A request carries one batch of each partition that a broker leads, and each partition's answer is looked at by itself: where a leader has moved, its partition
 * alone is sent again, to whoever leads it now. One request of a producer at a time is under way to a broker: it has to ask the coordinator whether the partitions
 * are in the transaction, and refuses the first of two requests that make it ask at the same time (measured: 2.7 requests where one was due).
 */
import { TopologyError, topicPartitionName } from "@iot-topology/core";
import { type AttemptOptions, type Deadline, untilAnswered } from "./attempt.ts";
import { type OpenBatch, sealBatch } from "./batch-encoder.ts";
import type { Purpose } from "./cluster.ts";
import { CODE, errorAction, errorName, refusal } from "./error-code.ts";
import type { Router } from "./request.ts";
import { WireError } from "./wire.ts";

/** Who sends. */
export interface ProducerIdentity {
  readonly transactionalId: string | null;
  readonly producerId: bigint;
  readonly epoch: number;
}

/** The next sequence number of each partition, for one producer id and epoch. */
export class Sequences {
  readonly #next = new Map<string, number>();

  /** Takes the numbers of a batch's records and gives the first. They wrap behind 2^31 - 1. */
  take(topic: string, partition: number, count: number): number {
    const name = topicPartitionName(topic, partition);
    const first = this.#next.get(name) ?? 0;
    this.#next.set(name, (first + count) % 2 ** 31);
    return first;
  }
}

/** Batches of one partition. */
export interface PartitionBatches {
  readonly topic: string;
  readonly partition: number;
  readonly batches: readonly OpenBatch[];
}

/** How {@link produceBatches} sends. */
export interface ProduceOptions {
  readonly identity: ProducerIdentity;
  readonly sequences: Sequences;
  readonly purpose: Purpose;
  readonly deadline: Deadline;
  /** How long a broker waits for its replicas. */
  readonly timeoutMs: number;
}

/** One partition on its way. */
interface Sending extends PartitionBatches {
  at: number;
  isSealed: boolean;
  nextOffset: number;
}

const REQUEST_BYTES_MAX = 8 << 20;

/** Appends the batches; gives one past the last record's offset, by `topic-partition`. */
export async function produceBatches(router: Router, parts: readonly PartitionBatches[], options: ProduceOptions): Promise<ReadonlyMap<string, number>> {
  const all = parts.map((part): Sending => ({ ...part, at: 0, isSealed: false, nextOffset: -1 }));
  const place = options.identity.transactionalId ?? all.map(({ topic, partition }) => topicPartitionName(topic, partition)).join(", ");
  const attempts: AttemptOptions = { what: "an append", place, deadline: options.deadline };
  await untilAnswered(attempts, async () => {
    const reasons: string[] = [];
    const groups = await byLeader(router, all.filter(isUnsent), reasons);
    await Promise.all([...groups].map(([broker, group]) => sendTo(router, broker, group, options, reasons)));
    return all.some(isUnsent) ? { again: reasons[0] ?? "not acknowledged" } : { value: undefined };
  });
  const nextOffsets = new Map<string, number>();
  for (const { topic, partition, nextOffset } of all) {
    const name = topicPartitionName(topic, partition);
    // The answer to a repeat may come without an offset; a batch behind it would have told.
    if (nextOffset < 0) throw new TopologyError("KAFKA_REFUSED", "an append was acknowledged without its offset", { place: name, cure: "none needed: a new producer settles it", retriable: true });
    nextOffsets.set(name, nextOffset);
  }
  return nextOffsets;
}

function isUnsent({ at, batches }: Sending): boolean {
  return at < batches.length;
}

async function byLeader(router: Router, sendings: readonly Sending[], reasons: string[]): Promise<Map<number, Sending[]>> {
  const groups = new Map<number, Sending[]>();
  for (const sending of sendings) {
    const leader = await router.leader(sending.topic, sending.partition, true);
    const group = groups.get(leader);
    if (leader < 0) reasons.push(`${topicPartitionName(sending.topic, sending.partition)} has no leader`);
    else if (group === undefined) groups.set(leader, [sending]);
    else group.push(sending);
  }
  return groups;
}

/** Sends until every batch of the group is acknowledged, or nothing more can be done with this broker for now. */
async function sendTo(router: Router, broker: number, group: readonly Sending[], options: ProduceOptions, reasons: string[]): Promise<void> {
  const { identity, timeoutMs, purpose, deadline } = options;
  const refused = new Set<Sending>();
  for (;;) {
    const request = chooseBatches(group.filter((sending) => isUnsent(sending) && !refused.has(sending)));
    if (request.length === 0 || deadline.isOver) return;
    for (const sending of request) seal(sending, options);
    const batches = request.map(({ topic, partition, batches: own, at }) => ({ topic, partition, batch: (own[at] as OpenBatch).bytes }));
    try {
      const connection = await router.cluster.connection(broker, purpose);
      const answers = await connection.produce({ transactionalId: identity.transactionalId, timeoutMs, batches });
      for (const sending of request) {
        const answer = answers.find(({ topic, partition }) => topic === sending.topic && partition === sending.partition);
        if (!advance(router, sending, answer, reasons)) refused.add(sending);
      }
    } catch (error) {
      if (!(error instanceof WireError) || error.isFatal) throw error;
      // Whether the broker has appended is unknown; the sequence numbers make another attempt harmless.
      for (const { topic } of request) router.cluster.forget(topic);
      reasons.push(error.message);
      return;
    }
  }
}

/** The next batch of each partition, as many as fit into a request, and one in any case. */
function chooseBatches(group: readonly Sending[]): Sending[] {
  const chosen: Sending[] = [];
  let bytes = 0;
  for (const sending of group) {
    bytes += (sending.batches[sending.at] as OpenBatch).bytes.length;
    if (chosen.length > 0 && bytes > REQUEST_BYTES_MAX) break;
    chosen.push(sending);
  }
  return chosen;
}

function seal(sending: Sending, { identity, sequences }: ProduceOptions): void {
  if (sending.isSealed) return;
  const { topic, partition, batches, at } = sending;
  const { bytes, count } = batches[at] as OpenBatch;
  sealBatch(bytes, { ...identity, sequence: sequences.take(topic, partition, count), isTransactional: identity.transactionalId !== null });
  sending.isSealed = true;
}

/** Takes note of a partition's answer; false where it has to be sent again later. Throws on what sending again does not change. */
function advance(router: Router, sending: Sending, answer: { readonly errorCode: number; readonly baseOffset: number } | undefined, reasons: string[]): boolean {
  const { topic, partition } = sending;
  const place = topicPartitionName(topic, partition);
  if (answer === undefined) {
    reasons.push(`the broker left ${place} out`);
    return false;
  }
  const { errorCode, baseOffset } = answer;
  if (errorCode === 0 || errorCode === CODE.duplicateSequence) {
    sending.nextOffset = baseOffset < 0 ? -1 : baseOffset + (sending.batches[sending.at] as OpenBatch).count;
    sending.at++;
    sending.isSealed = false;
    return true;
  }
  const action = errorAction(errorCode);
  if (action !== "again" && action !== "leader") throw producerError("an append", errorCode, place);
  if (action === "leader") router.cluster.forget(topic);
  reasons.push(`${place}: ${errorName(errorCode)}`);
  return false;
}

/** The error for a code that ends a producer, or that no producer changes. */
export function producerError(what: string, code: number, place: string): TopologyError {
  const action = errorAction(code);
  if (action === "fenced") {
    return new TopologyError("PRODUCER_FENCED", `${what} was refused, since a newer producer with the same id took over: ${errorName(code)}`, { place, cure: "none needed where that was meant; otherwise two instances share an id" });
  }
  if (action === "renew") return new TopologyError("KAFKA_REFUSED", `${what} needs a new producer: ${errorName(code)}`, { place, cure: "none needed: a new producer settles it", retriable: true });
  return refusal(what, code, place);
}
