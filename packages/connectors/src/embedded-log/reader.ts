import { TopologyError } from "@iot-topology/core";
import type { FetchedFrames, FetchResult, FrameBatch, Level, LogRecord } from "@iot-topology/core";
import { type BatchCursor, type FetchBudget, decodeBatch, logCorrupt, openBatch, type StoredBatch } from "./batch.ts";
import { batchKey, readBatchKey } from "./key.ts";
import type { PartitionState } from "./state.ts";

// Half a megabyte is a batch of some thousand records, and a fetch takes one or two: what was read beyond them would be read again.
const READ_BYTES = 1 << 18;

function refuseOutside({ topic, partition, start, end }: PartitionState, fromOffset: number): void {
  if (fromOffset < start || fromOffset > end) {
    throw new TopologyError("OFFSET_OUT_OF_RANGE", `offset ${fromOffset} was asked for, and the log holds ${start} to ${end}`, {
      place: `${topic}-${partition}`,
      cure: fromOffset < start ? "retention removed it: reset the topology so that it starts from what is there" : "the log was replaced by an older copy: reset the topology",
    });
  }
}

/** Reads a partition from an offset on. Every batch is checked, and that it follows the one before it; what fails is never served. */
export async function fetchRecords(level: Level, state: PartitionState, fromOffset: number, limits: { readonly recordsMax: number; readonly bytesMax: number }): Promise<FetchResult> {
  refuseOutside(state, fromOffset);
  const { end } = state;
  const records: LogRecord[] = [];
  if (fromOffset === end) return { records, nextOffset: fromOffset, endOffset: end };
  const read: Read = { level, state, fromOffset, end, records, budget: { records: limits.recordsMax, bytes: limits.bytesMax } };
  const kept = state.cursor?.offset === fromOffset ? state.cursor : undefined;
  state.cursor = await readFrom(read, kept);
  const last = records.at(-1);
  return { records, nextOffset: last === undefined ? fromOffset : last.offset + 1, endOffset: state.end };
}

/** Batches on their way out, within limits that the last one may pass. */
interface Gathered {
  readonly batches: FrameBatch[];
  next: number;
  records: number;
  bytes: number;
}

/** The same in whole batches. */
export async function fetchBatches(level: Level, state: PartitionState, fromOffset: number, limits: { readonly recordsMax: number; readonly bytesMax: number }): Promise<FetchedFrames> {
  refuseOutside(state, fromOffset);
  const { topic, partition, end } = state;
  const gathered: Gathered = { batches: [], next: fromOffset, records: limits.recordsMax, bytes: limits.bytesMax };
  await gather(level, state, end, gathered);
  if (gathered.batches.length === 0 && fromOffset < end) {
    // The offset asked for stands inside a batch that starts before it.
    takeBatch(gathered, (await cursorInside(level, state, fromOffset)).batch);
    await gather(level, state, end, gathered);
  }
  if (gathered.next < end && !isFull(gathered)) throw logCorrupt(topic, partition, gathered.next, end - 1, "batches are missing");
  return { batches: gathered.batches, nextOffset: gathered.next, endOffset: state.end };
}

const isFull = ({ records, bytes }: Gathered): boolean => records <= 0 || bytes <= 0;

function takeBatch(gathered: Gathered, { base, count, bytes, framesAt }: StoredBatch): void {
  gathered.batches.push({ baseOffset: base, count, bytes, start: framesAt });
  gathered.records -= base + count - gathered.next;
  gathered.bytes -= bytes.length;
  gathered.next = base + count;
}

async function gather(level: Level, { topic, topicId, partition }: PartitionState, end: number, gathered: Gathered): Promise<void> {
  if (gathered.next >= end || isFull(gathered)) return;
  for await (const [key, value] of level.entries({ gte: batchKey(topicId, partition, gathered.next, 0), lt: batchKey(topicId, partition, end, 0), readBytes: READ_BYTES })) {
    const { base } = readBatchKey(key);
    if (base !== gathered.next) {
      if (gathered.batches.length === 0) return;
      throw logCorrupt(topic, partition, gathered.next, base - 1, "batches are missing");
    }
    takeBatch(gathered, openBatch(topic, key, value));
    if (isFull(gathered)) return;
  }
}

interface Read {
  readonly level: Level;
  readonly state: PartitionState;
  readonly fromOffset: number;
  /** What was durable when the fetch began; what comes behind it is not read yet. */
  readonly end: number;
  readonly records: LogRecord[];
  readonly budget: FetchBudget;
}

/** Reads until the budget or the end; gives the place inside a batch where it stopped. */
async function readFrom(read: Read, kept: BatchCursor | undefined): Promise<BatchCursor | undefined> {
  const { level, fromOffset, end, records, budget } = read;
  const { topic, topicId, partition } = read.state;
  let next = fromOffset;
  if (kept !== undefined) {
    const stopped = decodeBatch(topic, partition, kept, next, records, budget);
    next = kept.batch.base + kept.batch.count;
    if (stopped !== undefined || next >= end || budget.records <= 0) return stopped;
  }
  for await (const [key, value] of level.entries({ gte: batchKey(topicId, partition, next, 0), lt: batchKey(topicId, partition, end, 0), readBytes: READ_BYTES })) {
    const { base, count } = readBatchKey(key);
    if (base !== next) {
      // The offset asked for stands inside a batch that starts before it.
      if (next === fromOffset && kept === undefined) break;
      throw logCorrupt(topic, partition, next, base - 1, "batches are missing");
    }
    const stopped = decodeBatch(topic, partition, firstCursor(topic, key, value), next, records, budget);
    next = base + count;
    if (stopped !== undefined || budget.records <= 0) return stopped;
  }
  if (next >= end) return undefined;
  if (next !== fromOffset || kept !== undefined) throw logCorrupt(topic, partition, next, end - 1, "batches are missing");
  return readFrom(read, await cursorInside(level, read.state, fromOffset));
}

async function cursorInside(level: Level, state: PartitionState, offset: number): Promise<BatchCursor> {
  const { topic, topicId, partition } = state;
  const range = { gte: batchKey(topicId, partition, 0, 0), lt: batchKey(topicId, partition, offset, 0), reverse: true, limit: 1 };
  for await (const [key, value] of level.entries(range)) {
    const cursor = firstCursor(topic, key, value);
    if (cursor.batch.base + cursor.batch.count > offset) return cursor;
  }
  throw logCorrupt(topic, partition, offset, offset, "a batch is missing");
}

function firstCursor(topic: string, key: Buffer, value: Buffer): BatchCursor {
  const batch = openBatch(topic, key, value);
  return { offset: batch.base, batch, position: batch.framesAt };
}
