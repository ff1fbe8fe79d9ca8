import { ByteWriter, TopologyError, topicPartitionName, writeFrame } from "@iot-topology/core";
import type { ClusterLog, LogRecord, ProducerRecord, Transaction, TransactionBatch } from "@iot-topology/core";

/** The clients that every test of the adapter runs with. */
export const clients = ["kafkajs", "platformatic"] as const;

const LIMITS = { recordsMax: 10_000, bytesMax: 8 << 20 };

/** Frames of records. */
export function framed(records: readonly ProducerRecord[]): Buffer {
  const writer = new ByteWriter();
  for (const record of records) writeFrame(writer, record);
  return writer.take();
}

/** Values without keys for one partition. */
export function valuesFor(topic: string, partition: number, values: readonly string[]): TransactionBatch {
  return { topic, frames: framed(values.map((value) => ({ key: null, value, timestamp: 1_000 }))), recordCount: values.length, partition };
}

/** What a call failed with. */
export async function failureOf(work: Promise<unknown>): Promise<TopologyError> {
  const error = await work.then(() => undefined, (cause: unknown) => cause);
  if (error instanceof TopologyError) return error;
  throw new Error(`a TopologyError was due, not ${String(error)}`, { cause: error });
}

/** Reads a partition from its start to its end, as it is when the last open transaction is over. */
export async function readAll(log: ClusterLog, topic: string, partition = 0, endWanted = 0): Promise<LogRecord[]> {
  const all: LogRecord[] = [];
  const deadline = Date.now() + 40_000;
  let { start: next, end } = await log.offsets(topic, partition);
  while (next < Math.max(end, endWanted)) {
    if (Date.now() > deadline) throw new Error(`${topic}-${partition} was not read beyond ${next}: ${Math.max(end, endWanted)} was due`);
    const { records, nextOffset } = await log.fetch(topic, partition, next, LIMITS);
    all.push(...records);
    if (nextOffset === next) await new Promise((resolve) => setTimeout(resolve, 10));
    next = nextOffset;
    ({ end } = await log.offsets(topic, partition));
  }
  return all;
}

/** A record's value as text. */
export const textOf = (record: LogRecord): string => record.value?.toString() ?? "null";

/**
 * Copies numbers into a topic as the engine does: each commit is a transaction of the numbers and of the position behind them, and after a failure a new producer is opened
 * and the position read again. Gives the number of failures.
 */
export async function copyNumbers(log: ClusterLog, at: { readonly id: string; readonly group: string; readonly topic: string; readonly partitions: number; readonly count: number; readonly step: number; readonly onCommit?: (next: number) => Promise<void> | void }): Promise<number> {
  const { id, group, topic, partitions, count, step } = at;
  const place = [{ topic, partition: 0 }];
  let failures = 0;
  for (;;) {
    try {
      const producer = await log.openProducer(id);
      let next = (await log.committedOffsets(group, place)).get(topicPartitionName(topic, 0)) ?? 0;
      while (next < count) {
        const numbers = Array.from({ length: Math.min(step, count - next) }, (_, index) => next + index);
        const batches = Array.from({ length: partitions }, (_, partition) => valuesFor(topic, partition, numbers.map(String)));
        next += numbers.length;
        const transaction: Transaction = { batches, group, positions: [{ topic, partition: 0, offset: next }] };
        await producer.commit(transaction);
        await at.onCommit?.(next);
      }
      return failures;
    } catch (error) {
      if (!(error instanceof TopologyError) || !error.retriable || ++failures > 200) throw error;
    }
  }
}
