import { TopologyError, isStableName, openLevel, silentLogger, systemClock } from "@iot-topology/core";
import type { AppendResult, Clock, FetchedFrames, FetchResult, Level, Logger, ProducerRecord, ProducerSequence } from "@iot-topology/core";
import { sealBatch } from "./batch.ts";
import type { EmbeddedLog, EmbeddedLogOptions, TopicRecords, TopicStats } from "./embedded-log.ts";
import { type Chunk, ChunkEncoder } from "./encode.ts";
import { type Draft, GroupWriter } from "./group-writer.ts";
import { FORMAT_KEY, FORMAT_VERSION, batchKey, kindRange, numbers, positionKey, readU64, sourceKey, topicKey } from "./key.ts";
import { Producers } from "./producers.ts";
import { fetchBatches, fetchRecords } from "./reader.ts";
import { type ProtectedOffset, type Retention, type RetentionResult, expiredBatches, removeExpired } from "./retention.ts";
import { type PartitionState, type TopicState, loadTopics, newPartitions, openSealedValue } from "./state.ts";

const MIB = 1 << 20;
/** A log is read in order: what lies behind need not stay mapped. 64 tables are the least that LevelDB keeps open. */
const OPEN_TABLES_MAX = 64;
const TABLE_BYTES = MIB;
const WRITE_BUFFER_BYTES = 4 * MIB;

/**
 * Opens the embedded log. All its files and the order of its offsets are checked first.
 *
 * Throws FOLDER_IN_USE (names the process), LOG_CORRUPT (names file and offset, or topic, partition and offsets), DISK_FULL, DISK_READ_ONLY.
 *
 * ```ts
 * const log = await openEmbeddedLog({ dir: "data/log" });
 * await log.ensureTopic("iot.readings", { partitions: 1 });
 * await log.append("iot.readings", [{ key: "d1", value: '{"deviceId":"d1"}', timestamp: Date.now() }]);
 * ```
 */
export async function openEmbeddedLog(options: EmbeddedLogOptions): Promise<EmbeddedLog> {
  const level = await openLevel(options.dir, { cacheBytes: options.cacheBytes ?? 8 * MIB, writeBufferBytes: WRITE_BUFFER_BYTES, maxFileBytes: TABLE_BYTES, openTablesMax: OPEN_TABLES_MAX }).catch((error: unknown) => {
    if (!(error instanceof TopologyError) || error.code !== "STATE_CORRUPT") throw error;
    throw new TopologyError("LOG_CORRUPT", error.message.split("\n")[0] as string, {
      ...(error.place === undefined ? {} : { place: error.place }),
      cure: "restore the log's folder from a copy, or move it away and replay the inputs",
      cause: error,
    });
  });
  try {
    const topics = await loadTopics(level);
    return new OpenLog(level, topics, options);
  } catch (error) {
    await level.close();
    throw error;
  }
}

class OpenLog implements EmbeddedLog {
  readonly name = "embedded";
  readonly dir: string;
  readonly maxRecordBytes: number;
  readonly #level: Level;
  readonly #topics: Map<string, TopicState>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #retention: Readonly<Record<string, Retention>>;
  readonly #encoder: ChunkEncoder;
  readonly #writer: GroupWriter;
  readonly #listeners = new Set<() => void>();
  readonly #producers: Producers;
  #appends = 0;
  #closing: Promise<void> | undefined;

  constructor(level: Level, topics: Map<string, TopicState>, options: EmbeddedLogOptions) {
    this.dir = level.dir;
    this.#level = level;
    this.#topics = topics;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? silentLogger;
    this.#retention = options.retention ?? {};
    this.maxRecordBytes = options.maxRecordBytes ?? 8 << 20;
    this.#encoder = new ChunkEncoder(this.maxRecordBytes);
    this.#producers = new Producers(level);
    this.#writer = new GroupWriter(level, {
      policy: options.fsync ?? "always",
      intervalMs: options.fsyncIntervalMs ?? 1_000,
      clock: this.#clock,
      onAppended: () => this.#tell(),
    });
  }

  async partitionCount(topic: string): Promise<number | undefined> {
    return this.#topics.get(topic)?.partitions.length;
  }

  async ensureTopic(topic: string, { partitions }: { readonly partitions: number }): Promise<void> {
    if (!isStableName(topic)) {
      throw new TopologyError("USAGE", `${JSON.stringify(topic)} cannot name a topic`, { cure: "use letters, digits, '.', '_' and '-', at most 200" });
    }
    if (!Number.isInteger(partitions) || partitions < 1 || partitions > 10_000) throw new TopologyError("USAGE", `a topic cannot have ${partitions} partitions`, { place: topic });
    await this.#writer.submit(0, (draft) => {
      const found = this.#topics.get(topic);
      if (found !== undefined && found.partitions.length !== partitions) {
        throw new TopologyError("TOPIC_MISMATCH", `the topic ${topic} has ${found.partitions.length} partitions, not ${partitions}`, {
          place: topic,
          cure: `ask for ${found.partitions.length} partitions, or start with another data folder`,
        });
      }
      if (found === undefined) this.#addTopic(draft, topic, partitions);
    });
  }

  #addTopic(draft: Draft, name: string, partitions: number): void {
    const format = Buffer.alloc(4);
    format.writeUInt32BE(FORMAT_VERSION);
    draft.put(FORMAT_KEY, format);
    let id = 1;
    for (const topic of this.#topics.values()) id = Math.max(id, topic.id + 1);
    const createdMs = this.#clock.now();
    const value = Buffer.concat([Buffer.alloc(8), numbers(createdMs)]);
    value.writeUInt32BE(id, 0);
    value.writeUInt32BE(partitions, 4);
    draft.put(topicKey(name), value);
    const topic = { id, name, createdMs, partitions: newPartitions(id, name, partitions) };
    // Known at once, so that a second one in the same group is the same one. Where the write fails the log takes no more writes at all.
    this.#topics.set(name, topic);
  }

  async offsets(topic: string, partition: number): Promise<{ start: number; end: number }> {
    const { start, end } = this.#partition(topic, partition);
    return { start, end };
  }

  onAppend(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  async append(topic: string, records: readonly ProducerRecord[], producer?: ProducerSequence): Promise<AppendResult> {
    const state = this.#topic(topic);
    const chunks = this.#encoder.records(topic, state.partitions.length, this.#appends++, records, producer);
    return this.#appendChunks(state, chunks, records.length, producer);
  }

  async appendFrames(topic: string, frames: Uint8Array, recordCount: number, producer?: ProducerSequence): Promise<AppendResult> {
    const state = this.#topic(topic);
    const chunks = this.#encoder.frames(topic, state.partitions.length, this.#appends++, frames, recordCount, producer);
    return this.#appendChunks(state, chunks, recordCount, producer);
  }

  #appendChunks(state: TopicState, chunks: readonly Chunk[], recordCount: number, producer: ProducerSequence | undefined): Promise<AppendResult> {
    return this.#writer.submit(sizeOf(chunks), (draft) => {
      if (producer !== undefined && this.#producers.isRepeat(draft, state, producer)) return { repeated: true, recordCount };
      for (const chunk of chunks) putChunk(draft, state, chunk, producer);
      return { repeated: false, recordCount };
    });
  }

  async appendWithPosition(sourceId: string, position: Uint8Array, parts: readonly TopicRecords[], expected?: { readonly position: Uint8Array | undefined }): Promise<AppendResult> {
    const encoded = parts.map(({ topic, records }) => {
      const state = this.#topic(topic);
      return { state, chunks: this.#encoder.records(topic, state.partitions.length, this.#appends++, records, undefined) };
    });
    const recordCount = parts.reduce((sum, { records }) => sum + records.length, 0);
    const own = Buffer.from(position);
    return this.#writer.submit(encoded.reduce((sum, { chunks }) => sum + sizeOf(chunks), own.length), (draft) => {
      if (expected !== undefined) this.#expectPosition(draft, sourceId, expected.position);
      for (const { state, chunks } of encoded) for (const chunk of chunks) putChunk(draft, state, chunk, undefined);
      draft.put(sourceKey(sourceId), own);
      draft.positions.set(sourceId, own);
      return { repeated: false, recordCount };
    });
  }

  #expectPosition(draft: Draft, sourceId: string, expected: Uint8Array | undefined): void {
    const held = draft.positions.get(sourceId) ?? this.sourcePosition(sourceId);
    if (held === undefined ? expected === undefined : expected !== undefined && held.equals(expected)) return;
    throw new TopologyError("PRODUCER_FENCED", `another reader has moved the position of ${sourceId}`, { place: sourceId, cure: "read a source in one place at a time" });
  }

  sourcePosition(sourceId: string): Buffer | undefined {
    const key = sourceKey(sourceId);
    const stored = this.#level.getSync(key);
    return stored === undefined ? undefined : openSealedValue(this.#level, key, stored, `the position of ${sourceId}`);
  }

  async *sourcePositions(): AsyncGenerator<readonly [string, Buffer], void, undefined> {
    for await (const [key, stored] of this.#level.entries(kindRange("s"))) {
      const sourceId = key.toString("utf8", 1);
      yield [sourceId, openSealedValue(this.#level, key, stored, `the position of ${sourceId}`)];
    }
  }

  async commitPosition(group: string, topic: string, partition: number, offset: number): Promise<void> {
    const { topicId } = this.#partition(topic, partition);
    await this.#writer.submit(0, (draft) => draft.put(positionKey(topicId, partition, group), numbers(offset)));
  }

  async position(group: string, topic: string, partition: number): Promise<number | undefined> {
    const key = positionKey(this.#partition(topic, partition).topicId, partition, group);
    const stored = this.#level.getSync(key);
    return stored === undefined ? undefined : readU64(openSealedValue(this.#level, key, stored, `the position of ${group}`), 0);
  }

  async forgetProducers(idPrefix: string): Promise<number> {
    const keys = await this.#producers.keysOf(idPrefix);
    await this.#writer.submit(0, (draft) => this.#producers.forget(draft, keys));
    return keys.length;
  }

  async fetch(topic: string, partition: number, fromOffset: number, limits: { readonly recordsMax: number; readonly bytesMax: number }): Promise<FetchResult> {
    return fetchRecords(this.#level, this.#partition(topic, partition), fromOffset, limits);
  }

  async fetchFrames(topic: string, partition: number, fromOffset: number, limits: { readonly recordsMax: number; readonly bytesMax: number }): Promise<FetchedFrames> {
    return fetchBatches(this.#level, this.#partition(topic, partition), fromOffset, limits);
  }

  async deleteRecordsBefore(topic: string, partition: number, offset: number): Promise<void> {
    const state = this.#partition(topic, partition);
    if (offset > state.end) {
      throw new TopologyError("OFFSET_OUT_OF_RANGE", `records before ${offset} cannot be deleted: the partition ends at ${state.end}`, { place: `${topic}-${partition}` });
    }
    await this.#remove(state, { bytes: 0 }, offset);
  }

  async #remove(state: PartitionState, retention: Retention, protectedFrom: number): Promise<RetentionResult> {
    const total = { batches: 0, bytes: 0 };
    for (;;) {
      const expired = await expiredBatches(this.#level, state, retention, this.#clock.now(), protectedFrom);
      if (expired.length === 0) return total;
      const removed = await this.#writer.submit(0, (draft) => removeExpired(draft, state, expired));
      total.batches += removed.batches;
      total.bytes += removed.bytes;
    }
  }

  async retain(protect?: ProtectedOffset): Promise<RetentionResult> {
    let batches = 0;
    let bytes = 0;
    for (const { name, partitions } of this.#topics.values()) {
      const retention = this.#retention[name];
      if (retention === undefined) continue;
      for (const state of partitions) {
        const removed = await this.#remove(state, retention, protect?.(name, state.partition) ?? Infinity);
        batches += removed.batches;
        bytes += removed.bytes;
      }
    }
    if (batches > 0) {
      this.#logger.info({ batches, bytes }, "the log's retention removed records");
      const { gte, lt } = kindRange("b");
      await this.#level.compact(gte, lt);
    }
    return { batches, bytes };
  }

  stats(): readonly TopicStats[] {
    return [...this.#topics.values()].map(({ name, createdMs, partitions }) => ({
      topic: name,
      createdMs,
      bytes: partitions.reduce((sum, { bytes }) => sum + bytes, 0),
      partitions: partitions.map(({ partition, start, end, bytes }) => ({ partition, start, end, bytes })),
    }));
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      try {
        await this.#writer.close(new TopologyError("NOT_RUNNING", "the log is closed", { place: this.dir }));
      } finally {
        this.#listeners.clear();
        await this.#level.close();
      }
    })();
    return this.#closing;
  }

  #topic(topic: string): TopicState {
    const found = this.#topics.get(topic);
    if (found !== undefined) return found;
    throw new TopologyError("TOPIC_NOT_FOUND", `the topic ${topic} does not exist`, { place: topic, cure: "create it with ensureTopic, or check its name" });
  }

  #partition(topic: string, partition: number): PartitionState {
    const { partitions } = this.#topic(topic);
    const found = partitions[partition];
    if (found !== undefined) return found;
    throw new TopologyError("TOPIC_MISMATCH", `the topic ${topic} has ${partitions.length} partitions, and none is number ${partition}`, { place: `${topic}-${partition}`, cure: "name a partition that exists" });
  }
}

function sizeOf(chunks: readonly Chunk[]): number {
  return chunks.reduce((sum, { bytes }) => sum + bytes.length, 0);
}

function putChunk(draft: Draft, topic: TopicState, chunk: Chunk, producer: ProducerSequence | undefined): void {
  const partition = draft.partition(topic.partitions[chunk.partition] as PartitionState);
  const key = batchKey(topic.id, chunk.partition, partition.end, chunk.count);
  sealBatch(chunk.bytes, key, { base: partition.end, count: chunk.count, newest: chunk.newest, producer });
  draft.batch.put(key, chunk.bytes);
  partition.end += chunk.count;
  partition.bytes += chunk.bytes.length;
  draft.appended = true;
}
