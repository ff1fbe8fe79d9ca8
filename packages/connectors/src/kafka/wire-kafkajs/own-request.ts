import type { WireConnection } from "../wire.ts";
import { ProtocolReader } from "../wire-protocol/reader.ts";
import { groupByTopic } from "../wire-protocol/topic-group.ts";
import { ProtocolWriter } from "../wire-protocol/writer.ts";

/**
 * Requests that kafkajs lacks. All three are flexible (KIP-482): kafkajs writes the older request header, so that the header's section of tagged fields is the
 * first byte of the body, and the one of the answer's header the first of the answer.
 */
export interface OwnApi {
  readonly key: number;
  readonly version: number;
  readonly name: string;
}

/** Kafkajs ends at version 4; 7 is the first that can ask for stable offsets, without which a commit's old offset may be read for some 17 ms after it. */
export const OFFSET_FETCH: OwnApi = { key: 9, version: 7, name: "OffsetFetch" };
export const DESCRIBE_TRANSACTIONS: OwnApi = { key: 65, version: 0, name: "DescribeTransactions" };
export const LIST_TRANSACTIONS: OwnApi = { key: 66, version: 0, name: "ListTransactions" };

/** TRANSACTIONAL_ID_NOT_FOUND. */
const NOT_FOUND = 105;

type OffsetFetchRequest = Parameters<WireConnection["offsetFetch"]>[0];
type OffsetFetchAnswer = Awaited<ReturnType<WireConnection["offsetFetch"]>>;
type TransactionAnswer = NonNullable<Awaited<ReturnType<WireConnection["describeTransaction"]>>>;

export function encodeOffsetFetch({ group, partitions }: OffsetFetchRequest): Buffer {
  const writer = new ProtocolWriter().tags().compactString(group);
  writer.compactArray(groupByTopic(partitions), (_, { topic, items }) => {
    writer.compactString(topic).compactArray(items, (__, item) => writer.int32(item.partition)).tags();
  });
  return writer.boolean(true).tags().bytes;
}

export function decodeOffsetFetch(payload: Buffer): OffsetFetchAnswer {
  const reader = flexible(payload);
  reader.int32();
  const topics = reader.compactArray(() => {
    const topic = reader.compactString() ?? "";
    const partitions = reader.compactArray(() => {
      const partition = reader.int32();
      const offset = reader.long();
      reader.int32();
      const answer = { topic, partition, offset, metadata: reader.compactString(), errorCode: reader.int16() };
      reader.tags();
      return answer;
    });
    reader.tags();
    return partitions;
  });
  return { positions: topics.flat(), errorCode: reader.int16() };
}

export function encodeListTransactions(): Buffer {
  const writer = new ProtocolWriter().tags();
  return writer.compactArray(["Ongoing"], (_, state) => writer.compactString(state)).compactArray([], () => undefined).tags().bytes;
}

export function decodeListTransactions(payload: Buffer): { readonly errorCode: number; readonly transactions: readonly { readonly transactionalId: string; readonly producerId: bigint }[] } {
  const reader = flexible(payload);
  reader.int32();
  const errorCode = reader.int16();
  reader.compactArray(() => reader.compactString());
  const transactions = reader.compactArray(() => {
    const transaction = { transactionalId: reader.compactString() ?? "", producerId: reader.int64() };
    reader.compactString();
    reader.tags();
    return transaction;
  });
  return { errorCode, transactions };
}

export function encodeDescribeTransactions(transactionalId: string): Buffer {
  const writer = new ProtocolWriter().tags();
  return writer.compactArray([transactionalId], (_, id) => writer.compactString(id)).tags().bytes;
}

export function decodeDescribeTransactions(payload: Buffer): TransactionAnswer {
  const reader = flexible(payload);
  reader.int32();
  const [answer] = reader.compactArray(() => {
    const errorCode = reader.int16();
    reader.compactString();
    const state = reader.compactString() ?? "";
    reader.int32();
    const startedAt = reader.long();
    const producerId = reader.int64();
    reader.int16();
    const partitions = reader.compactArray(() => {
      const topic = reader.compactString() ?? "";
      const numbers = reader.compactArray(() => reader.int32());
      reader.tags();
      return numbers.map((partition) => ({ topic, partition }));
    });
    reader.tags();
    return { errorCode, state, producerId, startedAt, partitions: partitions.flat() };
  });
  return answer ?? { errorCode: NOT_FOUND, state: "", producerId: -1n, startedAt: -1, partitions: [] };
}

function flexible(payload: Buffer): ProtocolReader {
  const reader = new ProtocolReader(payload);
  reader.tags();
  return reader;
}
