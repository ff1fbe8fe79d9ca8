/**
 * How the embedded log stands in LevelDB. Numbers in keys are big-endian, so that keys sort as their numbers do.
 *
 *   m                                             -> format version u32
 *   t name                                        -> topic id u32 | partitions u32 | created ms i64
 *   e topic id u32 | partition u32                -> first offset u64 | end offset u64 | bytes u64
 *   b topic id u32 | partition u32 | base u64 | count u32   -> record batch (batch.ts)
 *   p topic id u32 | producer id                  -> epoch u64 | sequence u64
 *   c topic id u32 | partition u32 | group        -> offset u64
 *   s source id                                   -> position of a source that is no log (opaque)
 *   f                                             -> counts the syncs of the policy `interval`
 *
 * A batch carries its own CRC; every other value is sealed (core's `sealedValue`). The base and count in a batch's key let the whole log be
 * checked for gaps by its keys.
 */
const u32 = (buffer: Buffer, at: number, value: number): number => buffer.writeUInt32BE(value, at);

function writeU64(buffer: Buffer, at: number, value: number): void {
  buffer.writeUInt32BE(Math.floor(value / 2 ** 32), at);
  buffer.writeUInt32BE(value >>> 0, at + 4);
}

export function readU64(buffer: Buffer, at: number): number {
  return buffer.readUInt32BE(at) * 2 ** 32 + buffer.readUInt32BE(at + 4);
}

export const FORMAT_KEY: Buffer = Buffer.from("m");
export const SYNC_KEY: Buffer = Buffer.from("f");
export const FORMAT_VERSION = 1;
export const BATCH_KEY_BYTES = 21;

export const topicKey = (name: string): Buffer => Buffer.from(`t${name}`);
export const sourceKey = (sourceId: string): Buffer => Buffer.from(`s${sourceId}`);

/** The range of all keys of a kind. */
export function kindRange(kind: string): { gte: Buffer; lt: Buffer } {
  const next = Buffer.from(kind);
  next[0] = (next[0] as number) + 1;
  return { gte: Buffer.from(kind), lt: next };
}

export function partitionKey(topicId: number, partition: number): Buffer {
  const key = Buffer.from("e00000000");
  u32(key, 1, topicId);
  u32(key, 5, partition);
  return key;
}

export function batchKey(topicId: number, partition: number, base: number, count: number): Buffer {
  const key = Buffer.allocUnsafe(BATCH_KEY_BYTES);
  key[0] = 0x62;
  u32(key, 1, topicId);
  u32(key, 5, partition);
  writeU64(key, 9, base);
  u32(key, 17, count);
  return key;
}

export interface BatchPlace {
  readonly topicId: number;
  readonly partition: number;
  readonly base: number;
  readonly count: number;
}

export function readBatchKey(key: Buffer): BatchPlace {
  return { topicId: key.readUInt32BE(1), partition: key.readUInt32BE(5), base: readU64(key, 9), count: key.readUInt32BE(17) };
}

function scoped(kind: string, topicId: number, name: string, partition?: number): Buffer {
  const length = partition === undefined ? 5 : 9;
  const key = Buffer.alloc(length + Buffer.byteLength(name));
  key.write(kind, 0, "latin1");
  u32(key, 1, topicId);
  if (partition !== undefined) u32(key, 5, partition);
  key.write(name, length, "utf8");
  return key;
}

export const producerKey = (topicId: number, producerId: string): Buffer => scoped("p", topicId, producerId);
export const producerIdOf = (key: Buffer): string => key.toString("utf8", 5);
export const positionKey = (topicId: number, partition: number, group: string): Buffer => scoped("c", topicId, group, partition);

/** Values of up to three 64-bit numbers. */
export function numbers(...values: readonly number[]): Buffer {
  const buffer = Buffer.allocUnsafe(values.length * 8);
  values.forEach((value, index) => writeU64(buffer, index * 8, value));
  return buffer;
}
