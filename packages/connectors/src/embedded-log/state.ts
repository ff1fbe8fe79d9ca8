import { TopologyError, openValue } from "@iot-topology/core";
import type { Level } from "@iot-topology/core";
import { type BatchCursor, logCorrupt } from "./batch.ts";
import { FORMAT_KEY, FORMAT_VERSION, kindRange, partitionKey, readBatchKey, readU64 } from "./key.ts";

/** One partition as the log knows it: what is durable, never what is being written. */
export interface PartitionState {
  readonly topicId: number;
  readonly topic: string;
  readonly partition: number;
  start: number;
  end: number;
  bytes: number;
  /** Where the last fetch ended inside a batch, so that the next one need not read it again. */
  cursor: BatchCursor | undefined;
}

export interface TopicState {
  readonly id: number;
  readonly name: string;
  readonly createdMs: number;
  readonly partitions: readonly PartitionState[];
}

export function newPartitions(topicId: number, topic: string, count: number): PartitionState[] {
  return Array.from({ length: count }, (_, partition) => ({ topicId, topic, partition, start: 0, end: 0, bytes: 0, cursor: undefined }));
}

/** A sealed value's payload. Throws LOG_CORRUPT where its CRC does not hold. */
export function openSealedValue(level: Level, key: Buffer, stored: Buffer, what: string): Buffer {
  const payload = openValue(key, stored);
  if (payload !== undefined) return payload;
  throw new TopologyError("LOG_CORRUPT", `${what} does not match its checksum`, {
    place: level.dir,
    cure: "restore the log's folder from a copy, or move it away and replay the inputs",
  });
}

/**
 * Reads topics and partitions, and checks by the batches' keys that every partition's offsets follow one another from its first to its end.
 * Throws LOG_CORRUPT.
 */
export async function loadTopics(level: Level): Promise<Map<string, TopicState>> {
  const format = level.getSync(FORMAT_KEY);
  if (format !== undefined && openSealedValue(level, FORMAT_KEY, format, "the log's format").readUInt32BE(0) !== FORMAT_VERSION) {
    throw new TopologyError("LOG_CORRUPT", "the log was written by another version", { place: level.dir, cure: "use the version that wrote it" });
  }
  const topics = new Map<string, TopicState>();
  const byId = new Map<number, TopicState>();
  for await (const [key, stored] of level.entries(kindRange("t"))) {
    const name = key.toString("utf8", 1);
    const value = openSealedValue(level, key, stored, `the topic ${name}`);
    const id = value.readUInt32BE(0);
    const topic: TopicState = { id, name, createdMs: readU64(value, 8), partitions: newPartitions(id, name, value.readUInt32BE(4)) };
    topics.set(name, topic);
    byId.set(id, topic);
    for (const partition of topic.partitions) loadPartition(level, partition);
  }
  await checkContiguous(level, byId);
  return topics;
}

function loadPartition(level: Level, partition: PartitionState): void {
  const key = partitionKey(partition.topicId, partition.partition);
  const stored = level.getSync(key);
  if (stored === undefined) return;
  const value = openSealedValue(level, key, stored, `the state of ${partition.topic}-${partition.partition}`);
  partition.start = readU64(value, 0);
  partition.end = readU64(value, 8);
  partition.bytes = readU64(value, 16);
}

async function checkContiguous(level: Level, topics: ReadonlyMap<number, TopicState>): Promise<void> {
  const ends = new Map<PartitionState, number>();
  for await (const key of level.keys(kindRange("b"))) {
    const { topicId, partition, base, count } = readBatchKey(key);
    const state = topics.get(topicId)?.partitions[partition];
    if (state === undefined) throw logCorrupt(`topic ${topicId}`, partition, base, base + count - 1, "batches stand under a topic that is not known");
    const expected = ends.get(state) ?? state.start;
    if (base !== expected) throw logCorrupt(state.topic, partition, Math.min(base, expected), Math.max(base, expected) - 1, "batches are missing");
    ends.set(state, base + count);
  }
  for (const { partitions } of topics.values()) {
    for (const state of partitions) {
      const found = ends.get(state) ?? state.start;
      if (found !== state.end) throw logCorrupt(state.topic, state.partition, found, state.end - 1, "batches are missing at the end");
    }
  }
}
