/**
 * Batches into one partition, in their order, each exactly once: every batch has its place in the producer's sequence, and is sent again with the same one
 * until the partition's leader of the moment has acknowledged it. A request carries one batch of one partition, so that no answer can be taken for another's.
 */
import { TopologyError } from "@iot-topology/core";
import type { AttemptOptions } from "./attempt.ts";
import { type OpenBatch, sealBatch } from "./batch-encoder.ts";
import { CODE, errorAction, errorName, refusal } from "./error-code.ts";
import type { Router } from "./request.ts";

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
    const name = `${topic}-${partition}`;
    const first = this.#next.get(name) ?? 0;
    this.#next.set(name, (first + count) % 2 ** 31);
    return first;
  }
}

/** A broker answers a connection's requests one after the other, each only when the replicas have it: a few connections side by side. */
const LANES = 4;

/** What {@link produceBatches} needs beside the batches. */
export interface ProduceOptions extends Pick<AttemptOptions, "deadline" | "signal"> {
  readonly topic: string;
  readonly partition: number;
  /** How long a broker waits for its replicas. */
  readonly timeoutMs: number;
}

/** Appends the batches; gives one past the last record's offset. */
export async function produceBatches(router: Router, identity: ProducerIdentity, sequences: Sequences, batches: readonly OpenBatch[], options: ProduceOptions): Promise<number> {
  const { topic, partition, timeoutMs } = options;
  const { transactionalId } = identity;
  const place = `${topic}-${partition}`;
  const request = { what: "an append", place, deadline: options.deadline, signal: options.signal, purpose: `produce-${partition % LANES}` } as const;
  let nextOffset = -1;
  for (const { bytes, count } of batches) {
    sealBatch(bytes, { ...identity, sequence: sequences.take(topic, partition, count), isTransactional: transactionalId !== null });
    const answer = await router.atLeader(topic, partition, request, (connection) => connection.produce({ transactionalId, topic, partition, batch: bytes, timeoutMs }), ({ errorCode }) => errorCode);
    if (answer.errorCode !== 0 && answer.errorCode !== CODE.duplicateSequence) throw producerError("an append", answer.errorCode, place);
    // The answer to a repeat may have no offset; a batch behind it tells.
    nextOffset = answer.baseOffset < 0 ? -1 : answer.baseOffset + count;
  }
  if (nextOffset < 0) {
    throw new TopologyError("KAFKA_REFUSED", "an append was acknowledged without its offset", { place, cure: "none needed: a new producer settles it", retriable: true });
  }
  return nextOffset;
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
