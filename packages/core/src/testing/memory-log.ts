import { ByteReader, TopologyError, partitionOfKey, readFrame } from "../model/index.ts";
import type { LogRecord, ProducerRecord } from "../model/index.ts";
import type { AppendResult, FetchResult, ProducerSequence, SourceLog } from "../port/index.ts";

/** A log in memory, for tests: the semantics of the embedded one without a disk. */
export interface MemoryLog extends SourceLog {
  /** All records of a topic, partition by partition. */
  readonly recordsOf: (topic: string) => readonly LogRecord[];
  /** Forgets a partition's records below an offset, as retention does. */
  readonly truncate: (topic: string, partition: number, toOffset: number) => void;
}

interface MemoryPartition {
  start: number;
  records: LogRecord[];
}

interface MemoryTopic {
  readonly partitions: MemoryPartition[];
  readonly producers: Map<string, { epoch: number; sequence: number }>;
  rotation: number;
}

function ownBytes(value: Uint8Array | string | null): Buffer | null {
  return value === null ? null : typeof value === "string" ? Buffer.from(value) : Buffer.from(value);
}

function outOfRange(topic: string, partition: number, offset: number, end: number): TopologyError {
  return new TopologyError("OFFSET_OUT_OF_RANGE", `offset ${offset} is outside of what the partition holds, which ends at ${end}`, { place: `${topic}-${partition}` });
}

/** Makes an empty {@link MemoryLog}. */
export function memoryLog(): MemoryLog {
  const topics = new Map<string, MemoryTopic>();
  const listeners = new Set<() => void>();

  const topicOf = (topic: string): MemoryTopic => {
    const found = topics.get(topic);
    if (found !== undefined) return found;
    throw new TopologyError("TOPIC_NOT_FOUND", `the topic ${topic} does not exist`, { place: topic, cure: "create it with ensureTopic" });
  };
  const partitionAt = (topic: string, partition: number): MemoryPartition => {
    const found = topicOf(topic).partitions[partition];
    if (found !== undefined) return found;
    throw new TopologyError("TOPIC_MISMATCH", `the topic ${topic} has no partition ${partition}`, { place: `${topic}-${partition}` });
  };

  const append = (topic: string, records: readonly ProducerRecord[], producer: ProducerSequence | undefined): AppendResult => {
    const state = topicOf(topic);
    const count = state.partitions.length;
    for (const { partition } of records) if (partition !== undefined) partitionAt(topic, partition);
    if (producer !== undefined && isRepeat(topic, state, producer)) return { repeated: true, recordCount: records.length };
    const sticky = state.rotation++ % count;
    for (const record of records) {
      const key = ownBytes(record.key);
      const number = record.partition ?? (key === null ? sticky : partitionOfKey(key, count));
      const partition = state.partitions[number] as MemoryPartition;
      partition.records.push({
        topic,
        partition: number,
        offset: partition.start + partition.records.length,
        timestamp: record.timestamp,
        key,
        value: ownBytes(record.value),
        headers: (record.headers ?? []).map((header) => ({ key: header.key, value: ownBytes(header.value) })),
      });
    }
    for (const listener of listeners) listener();
    return { repeated: false, recordCount: records.length };
  };

  const truncate = (topic: string, partition: number, toOffset: number): void => {
    const state = partitionAt(topic, partition);
    state.records = state.records.slice(toOffset - state.start);
    state.start = toOffset;
  };

  return {
    name: "memory",
    partitionCount: async (topic) => topics.get(topic)?.partitions.length,
    async ensureTopic(topic, { partitions }) {
      const found = topics.get(topic);
      if (found === undefined) {
        topics.set(topic, { partitions: Array.from({ length: partitions }, () => ({ start: 0, records: [] })), producers: new Map(), rotation: 0 });
      } else if (found.partitions.length !== partitions) {
        throw new TopologyError("TOPIC_MISMATCH", `the topic ${topic} has ${found.partitions.length} partitions, not ${partitions}`, {
          place: topic,
          cure: `ask for ${found.partitions.length} partitions`,
        });
      }
    },
    async offsets(topic, partition) {
      const { start, records } = partitionAt(topic, partition);
      return { start, end: start + records.length };
    },
    async fetch(topic, partition, fromOffset, limits): Promise<FetchResult> {
      const { start, records } = partitionAt(topic, partition);
      const endOffset = start + records.length;
      if (fromOffset < start || fromOffset > endOffset) {
        throw outOfRange(topic, partition, fromOffset, endOffset);
      }
      const found: LogRecord[] = [];
      let bytes = 0;
      for (let at = fromOffset - start; at < records.length && found.length < limits.recordsMax; at++) {
        const record = records[at] as LogRecord;
        bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0);
        if (found.length > 0 && bytes > limits.bytesMax) break;
        found.push(record);
      }
      return { records: found, nextOffset: fromOffset + found.length, endOffset };
    },
    onAppend(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    append: async (topic, records, producer) => append(topic, records, producer),
    async appendFrames(topic, frames, recordCount, producer) {
      const reader = new ByteReader(frames);
      const records: ProducerRecord[] = [];
      while (reader.remaining > 0) {
        const { partition, ...rest } = readFrame(reader);
        records.push(partition === undefined ? rest : { ...rest, partition });
      }
      if (records.length !== recordCount) throw new RangeError(`${records.length} frames where ${recordCount} were announced`);
      return append(topic, records, producer);
    },
    forgetProducers(idPrefix) {
      let count = 0;
      for (const { producers } of topics.values()) {
        for (const id of producers.keys()) if (id.startsWith(idPrefix) && producers.delete(id)) count++;
      }
      return Promise.resolve(count);
    },
    deleteRecordsBefore: async (topic, partition, offset) => {
      const { start, records } = partitionAt(topic, partition);
      if (offset > start + records.length) throw outOfRange(topic, partition, offset, start + records.length);
      if (offset > start) truncate(topic, partition, offset);
    },
    close: () => Promise.resolve(),
    recordsOf: (topic) => topicOf(topic).partitions.flatMap(({ records }) => records),
    truncate,
  };
}

/** Whether the sequence was appended before; takes note of it where not. */
export function isRepeat(topic: string, state: Pick<MemoryTopic, "producers">, producer: ProducerSequence): boolean {
  const { producerId, epoch, sequence } = producer;
  const known = state.producers.get(producerId);
  const last = known === undefined || epoch > known.epoch ? 0 : known.sequence;
  if (known !== undefined && epoch < known.epoch) {
    throw new TopologyError("PRODUCER_FENCED", `producer ${producerId} has epoch ${epoch}, and ${known.epoch} took over`, { place: topic });
  }
  if (sequence <= last) return true;
  if (sequence > last + 1) {
    throw new TopologyError("PRODUCER_OUT_OF_ORDER", `producer ${producerId} sent ${sequence} where ${last + 1} was due`, { place: topic });
  }
  state.producers.set(producerId, { epoch, sequence });
  return false;
}
