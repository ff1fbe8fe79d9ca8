import { ByteReader, TopologyError, partitionOfKey, readFrame, topicPartitionName } from "../../model/index.ts";
import type { ProducerRecord } from "../../model/index.ts";
import type { TopicCreation } from "../../port/index.ts";
import { ClusterPartition } from "./partition.ts";

/** The last batch of each producer that names itself, see `ProducerSequence`. */
export type ProducerStates = Map<string, { epoch: number; sequence: number }>;

/** One topic of the model. */
export interface ClusterTopic {
  readonly topic: string;
  readonly replicationFactor: number;
  readonly config: Readonly<Record<string, string>>;
  readonly partitions: readonly ClusterPartition[];
  readonly producers: ProducerStates;
  rotation: number;
}

/** A record that knows its partition. */
export interface RoutedRecord {
  readonly target: ClusterPartition;
  readonly record: ProducerRecord;
}

/** All topics of the model's cluster. */
export class ClusterTopics {
  readonly #topics = new Map<string, ClusterTopic>();

  find(topic: string): ClusterTopic | undefined {
    return this.#topics.get(topic);
  }
  all(): Iterable<ClusterTopic> {
    return this.#topics.values();
  }
  get(topic: string): ClusterTopic {
    const found = this.#topics.get(topic);
    if (found !== undefined) return found;
    throw new TopologyError("TOPIC_NOT_FOUND", `the topic ${topic} does not exist`, { place: topic, cure: "create it with ensureTopic" });
  }
  partition(topic: string, partition: number): ClusterPartition {
    const found = this.get(topic).partitions[partition];
    if (found !== undefined) return found;
    throw new TopologyError("TOPIC_MISMATCH", `the topic ${topic} has no partition ${partition}`, { place: topicPartitionName(topic, partition) });
  }
  /** Leaves a topic that exists as it is. */
  create({ topic, partitions, replicationFactor = 1, config = {} }: TopicCreation): ClusterTopic {
    const found = this.#topics.get(topic);
    if (found !== undefined) return found;
    const made: ClusterTopic = {
      topic,
      replicationFactor,
      config: { ...config },
      partitions: Array.from({ length: partitions }, (_, partition) => new ClusterPartition(topic, partition)),
      producers: new Map(),
      rotation: 0,
    };
    this.#topics.set(topic, made);
    return made;
  }
  remove(topic: string): void {
    this.#topics.delete(topic);
  }

  /** Finds each record's partition before any is written, so that a batch is refused as a whole. */
  route(topic: string, records: readonly ProducerRecord[], given?: number): RoutedRecord[] {
    const state = this.get(topic);
    const count = state.partitions.length;
    const sticky = state.rotation++ % count;
    return records.map((record) => {
      const key = record.key === null ? null : Buffer.from(record.key as Uint8Array);
      const number = given ?? record.partition ?? (key === null ? sticky : partitionOfKey(key, count));
      return { target: this.partition(topic, number), record };
    });
  }
}

/** The records that stand in frames; a RangeError where their number is not the announced one. */
export function recordsOfFrames(frames: Uint8Array, recordCount: number): ProducerRecord[] {
  const reader = new ByteReader(frames);
  const records: ProducerRecord[] = [];
  while (reader.remaining > 0) {
    const { partition, ...rest } = readFrame(reader);
    records.push(partition === undefined ? rest : { ...rest, partition });
  }
  if (records.length !== recordCount) throw new RangeError(`${records.length} frames where ${recordCount} were announced`);
  return records;
}
