import type { WireConnection, WireFetchedPartition } from "../wire.ts";
import { ProtocolReader } from "./reader.ts";
import { groupByTopic } from "./topic-group.ts";
import { ProtocolWriter } from "./writer.ts";

/**
 * Produce and Fetch with record batches as they stand in the log: neither library can be given a ready-made batch or asked for a raw one, and their own
 * encoding costs more than all else (kafkajs: 16 us a record). Versions 7 and 11 are the last ones before the flexible encodings, name topics by name, and are
 * understood by every broker from Kafka 2.3 to 4.x.
 */
export const PRODUCE = { key: 0, version: 7, name: "Produce" } as const;
export const FETCH = { key: 1, version: 11, name: "Fetch" } as const;

type ProduceRequest = Parameters<WireConnection["produce"]>[0];
type FetchRequest = Parameters<WireConnection["fetch"]>[0];
type ProduceAnswer = Awaited<ReturnType<WireConnection["produce"]>>;
type FetchAnswer = Awaited<ReturnType<WireConnection["fetch"]>>;

const ACKS_ALL = -1;
const READ_COMMITTED = 1;
const NO_EPOCH = -1;

/** A Produce request in parts: what it says of the batches is written between them, so that none is copied. */
export function encodeProduce({ transactionalId, timeoutMs, batches }: ProduceRequest): Buffer[] {
  const topics = groupByTopic(batches);
  const parts: Buffer[] = [];
  let head = new ProtocolWriter().string(transactionalId).int16(ACKS_ALL).int32(timeoutMs).int32(topics.length);
  for (const { topic, items } of topics) {
    head.string(topic).int32(items.length);
    for (const { partition, batch } of items) {
      parts.push(head.int32(partition).int32(batch.length).bytes, Buffer.from(batch.buffer, batch.byteOffset, batch.byteLength));
      head = new ProtocolWriter();
    }
  }
  return parts;
}

export function decodeProduce(payload: Buffer): ProduceAnswer {
  const reader = new ProtocolReader(payload);
  const answers = reader.array(() => {
    const topic = reader.string() ?? "";
    return reader.array(() => {
      const answer = { topic, partition: reader.int32(), errorCode: reader.int16(), baseOffset: reader.long() };
      reader.long();
      reader.long();
      return answer;
    });
  });
  return answers.flat();
}

export function encodeFetch({ maxWaitMs, minBytes, maxBytes, partitions, rackId }: FetchRequest): Buffer {
  // Session 0 with epoch -1 is a full fetch outside of any fetch session.
  const writer = new ProtocolWriter().int32(-1).int32(maxWaitMs).int32(minBytes).int32(maxBytes).int8(READ_COMMITTED).int32(0).int32(NO_EPOCH);
  writer.array(groupByTopic(partitions), (_, { topic, items }) => {
    writer.string(topic).array(items, (__, item) => {
      writer.int32(item.partition).int32(NO_EPOCH).long(item.offset).long(-1).int32(item.maxBytes);
    });
  });
  return writer.int32(0).string(rackId ?? "").bytes;
}

export function decodeFetch(payload: Buffer): FetchAnswer {
  const reader = new ProtocolReader(payload);
  reader.int32();
  const errorCode = reader.int16();
  reader.int32();
  const topics = reader.array(() => {
    const topic = reader.string() ?? "";
    return reader.array(() => decodePartition(reader, topic));
  });
  return { errorCode, partitions: topics.flat() };
}

function decodePartition(reader: ProtocolReader, topic: string): WireFetchedPartition {
  return {
    topic,
    partition: reader.int32(),
    errorCode: reader.int16(),
    highWatermark: reader.long(),
    lastStableOffset: reader.long(),
    logStartOffset: reader.long(),
    abortedTransactions: reader.array(() => ({ producerId: reader.int64(), firstOffset: reader.long() })),
    preferredReplica: reader.int32(),
    records: reader.bytes(),
  };
}
