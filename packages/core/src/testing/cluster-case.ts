/** What the cases of the suites for clustered logs share. */
import { ByteWriter, writeFrame } from "../model/index.ts";
import type { LogRecord, ProducerRecord } from "../model/index.ts";
import type { ClusterLog, Transaction, TransactionBatch, TransactionalProducer } from "../port/index.ts";
import type { ContractTest } from "./source-log-contract.ts";

/** Leaves a transaction open, as a process that dies does: its records are in the log, and nobody ends it. */
export type AbandonTransaction = (log: ClusterLog, producer: TransactionalProducer, transaction: Transaction) => Promise<void>;

/** Opens another client on the same cluster. */
export type MakeClient = () => Promise<ClusterLog>;

/** What a case of the suite gets. */
export interface ClusterCase {
  readonly log: ClusterLog;
  /** Another client, a process of its own; closed with the case. */
  readonly another: MakeClient;
  /** A name that no other case has. */
  readonly name: (what: string) => string;
  readonly abandon: AbandonTransaction;
  readonly sessionTimeoutMs: number;
}

/** Makes one test of the suite. */
export type ClusterSuite = (name: string, body: (t: ContractTest, at: ClusterCase) => Promise<void>) => void;

const WAIT_MS = 25_000;
/** Reads that are not limited. */
export const LIMITS: { readonly recordsMax: number; readonly bytesMax: number } = { recordsMax: 10_000, bytesMax: 8 << 20 };

/** Asks until it is so; rejects after a while. */
export async function untilSo(what: string, check: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + WAIT_MS; !(await check()); ) {
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Reads a partition until so many records have come. Fewer, and it rejects; more in the last read are given too. */
export async function readRecords(log: ClusterLog, topic: string, partition: number, count: number, from = 0): Promise<LogRecord[]> {
  const all: LogRecord[] = [];
  let next = from;
  await untilSo(`${count} records of ${topic}-${partition}`, async () => {
    const { records, nextOffset } = await log.fetch(topic, partition, next, LIMITS);
    all.push(...records);
    next = nextOffset;
    return all.length >= count;
  });
  return all;
}

/** A record's value as text. */
export const textOf = (record: LogRecord): string => record.value?.toString() ?? "null";
/** A record to be written. */
export const record = (key: string | Uint8Array | null, value: string | null, timestamp = 1_000): ProducerRecord => ({ key, value, timestamp });

/** Records of a topic as a transaction takes them. */
export function batchOf(topic: string, records: readonly ProducerRecord[], partition?: number): TransactionBatch {
  const writer = new ByteWriter();
  for (const each of records) writeFrame(writer, each);
  return { topic, frames: writer.take(), recordCount: records.length, ...(partition === undefined ? {} : { partition }) };
}

/** A transaction without positions. */
export const outputs = (...batches: TransactionBatch[]): Transaction => ({ batches, group: "", positions: [] });
