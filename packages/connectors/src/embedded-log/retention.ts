import type { Level } from "@iot-topology/core";
import { openBatch } from "./batch.ts";
import type { Draft } from "./group-writer.ts";
import { batchKey, readBatchKey } from "./key.ts";
import type { PartitionState } from "./state.ts";

/** How long a topic's records are kept: whole batches go from the start, once either bound is passed. Absent bounds keep for ever. */
export interface Retention {
  /** Batches whose newest record timestamp is older than this many milliseconds go. */
  readonly ms?: number;
  /** A partition's oldest batches go while the rest is at least this large. */
  readonly bytes?: number;
}

/** The offset below which a partition's consumers need nothing any more; undefined protects nothing. */
export type ProtectedOffset = (topic: string, partition: number) => number | undefined;

/** What a pass of retention removed. */
export interface RetentionResult {
  readonly batches: number;
  readonly bytes: number;
}

interface Expired {
  readonly key: Buffer;
  readonly end: number;
  readonly bytes: number;
}

/** Batches looked at in one pass, so that a pass is bounded in memory and in the size of its write. */
const PASS_BATCHES_MAX = 1_000;

/** The oldest batches of a partition that may go now. */
export async function expiredBatches(level: Level, state: PartitionState, retention: Retention, nowMs: number, protectedFrom: number): Promise<Expired[]> {
  const expired: Expired[] = [];
  let rest = state.bytes;
  const range = { gte: batchKey(state.topicId, state.partition, state.start, 0), lt: batchKey(state.topicId, state.partition, state.end, 0) };
  for await (const [key, value] of level.entries(range)) {
    const { base, count } = readBatchKey(key);
    const { newest } = openBatch(state.topic, key, value);
    const isOld = retention.ms !== undefined && newest < nowMs - retention.ms;
    const isTooMuch = retention.bytes !== undefined && rest - value.length >= retention.bytes;
    if ((!isOld && !isTooMuch) || base + count > protectedFrom || expired.length >= PASS_BATCHES_MAX) break;
    rest -= value.length;
    expired.push({ key, end: base + count, bytes: value.length });
  }
  return expired;
}

/** Removes them, and moves the partition's start behind them. */
export function removeExpired(draft: Draft, state: PartitionState, expired: readonly Expired[]): RetentionResult {
  const partition = draft.partition(state);
  let bytes = 0;
  for (const batch of expired) {
    draft.batch.del(batch.key);
    bytes += batch.bytes;
    partition.start = batch.end;
  }
  partition.bytes -= bytes;
  return { batches: expired.length, bytes };
}
