import { TopologyError } from "@iot-topology/core";
import type { Level, ProducerSequence } from "@iot-topology/core";
import type { Draft } from "./group-writer.ts";
import { kindRange, numbers, producerIdOf, producerKey, readU64 } from "./key.ts";
import { openSealedValue } from "./state.ts";
import type { TopicState } from "./state.ts";

/** How far a producer has come in a topic. */
export interface ProducerState {
  readonly epoch: number;
  readonly sequence: number;
}

const CACHED_MAX = 10_000;

/** The sequences of idempotent producers, a topic and a producer each. */
export class Producers {
  readonly #level: Level;
  readonly #cached = new Map<string, ProducerState>();

  constructor(level: Level) {
    this.#level = level;
  }

  /** Whether the sequence was appended before; takes note of it in the draft where not. Throws PRODUCER_FENCED and PRODUCER_OUT_OF_ORDER. */
  isRepeat(draft: Draft, topic: TopicState, { producerId, epoch, sequence }: ProducerSequence): boolean {
    const name = `${topic.id}/${producerId}`;
    const known = draft.producers.get(name) ?? this.#known(topic, producerId, name);
    if (known !== undefined && epoch < known.epoch) {
      throw new TopologyError("PRODUCER_FENCED", `producer ${producerId} has epoch ${epoch}, and epoch ${known.epoch} took over`, {
        place: topic.name,
        cure: "stop this instance: a newer one does its work",
      });
    }
    const last = known === undefined || epoch > known.epoch ? 0 : known.sequence;
    if (sequence <= last) return true;
    if (sequence > last + 1) {
      throw new TopologyError("PRODUCER_OUT_OF_ORDER", `producer ${producerId} sent batch ${sequence} where ${last + 1} was due`, {
        place: topic.name,
        cure: "send the batches in order; one was left out, or the log was replaced by an older copy",
      });
    }
    const next = { epoch, sequence };
    draft.producers.set(name, next);
    draft.put(producerKey(topic.id, producerId), numbers(epoch, sequence));
    draft.onCommit(() => this.#remember(name, next));
    return false;
  }

  /** The keys of all producers whose id starts so. */
  async keysOf(idPrefix: string): Promise<Buffer[]> {
    const keys: Buffer[] = [];
    for await (const key of this.#level.keys(kindRange("p"))) if (producerIdOf(key).startsWith(idPrefix)) keys.push(key);
    return keys;
  }

  forget(draft: Draft, keys: readonly Buffer[]): void {
    for (const key of keys) draft.batch.del(key);
    draft.onCommit(() => this.#cached.clear());
  }

  #known(topic: TopicState, producerId: string, name: string): ProducerState | undefined {
    const cached = this.#cached.get(name);
    if (cached !== undefined) return cached;
    const key = producerKey(topic.id, producerId);
    const stored = this.#level.getSync(key);
    if (stored === undefined) return undefined;
    const value = openSealedValue(this.#level, key, stored, `the state of producer ${producerId}`);
    const state = { epoch: readU64(value, 0), sequence: readU64(value, 8) };
    this.#remember(name, state);
    return state;
  }

  #remember(name: string, state: ProducerState): void {
    if (this.#cached.size >= CACHED_MAX) this.#cached.clear();
    this.#cached.set(name, state);
  }
}
