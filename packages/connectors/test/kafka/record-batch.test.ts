import { createRequire } from "node:module";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import t from "tap";
import { partitionOfKey } from "@iot-topology/core";
import type { LogRecord, ProducerRecord } from "@iot-topology/core";
import { BatchCursor } from "../../src/kafka/batch-decoder.ts";
import { type EncodeOptions, encodeBatches, sealBatch } from "../../src/kafka/batch-encoder.ts";
import { CommittedFilter } from "../../src/kafka/committed-filter.ts";
import { codecOf, decompress } from "../../src/kafka/compression.ts";
import { readLz4 } from "../../src/kafka/lz4.ts";
import { endOfBatches } from "../../src/kafka/partition-buffer.ts";
import { readSnappy } from "../../src/kafka/snappy.ts";
import { failureOf, framed } from "./fixture.ts";

const SEED = 20_261_121;
const ALL = { records: Infinity, bytes: Infinity };
const options = (recordCount: number, more: Partial<EncodeOptions> = {}): EncodeOptions => ({ topic: "a", partitions: 1, recordCount, keyless: 0, batchBytesMax: 900_000, codec: codecOf("none"), ...more });
const sender = { producerId: 4_000_000_001n, epoch: 7, sequence: 42, isTransactional: true };

/** One partition's batches as they would stand in its log from an offset on. */
function logOf(records: readonly ProducerRecord[], more: Partial<EncodeOptions> = {}, base = 0): Buffer {
  const batches = encodeBatches(framed(records), options(records.length, more)).get(0) ?? [];
  let next = base;
  return Buffer.concat(
    batches.map(({ bytes, count }) => {
      sealBatch(bytes, sender);
      bytes.writeBigInt64BE(BigInt(next), 0);
      next += count;
      return bytes;
    }),
  );
}

function read(bytes: Buffer, from = 0): LogRecord[] {
  const cursor = new BatchCursor("a", 0, bytes);
  const found: LogRecord[] = [];
  while (cursor.nextBatch()) cursor.read(from, found, { ...ALL });
  return found;
}

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const anyRecord = fc.record({
  key: fc.option(bytes),
  value: fc.option(bytes),
  timestamp: fc.oneof(fc.integer({ min: -1, max: 2_000_000_000 }), fc.integer({ min: 0, max: 8_640_000_000_000_000 })),
  headers: fc.array(fc.record({ key: fc.string({ maxLength: 20, unit: "grapheme" }), value: fc.option(bytes) }), { maxLength: 3 }),
});
const shown = (record: Pick<LogRecord, "key" | "value" | "timestamp" | "headers">): unknown => ({
  key: record.key?.toString("hex") ?? null,
  value: record.value?.toString("hex") ?? null,
  timestamp: record.timestamp,
  headers: record.headers.map(({ key, value }) => [key, value === null ? null : Buffer.from(value).toString("hex")]),
});

t.test("what is encoded is decoded as it was, in batches of any size and codec", async (t) => {
  for (const name of ["none", "gzip", "zstd"] as const) {
    fc.assert(
      fc.property(fc.array(anyRecord, { minLength: 1, maxLength: 40 }), fc.integer({ min: 100, max: 5_000 }), (records, batchBytesMax) => {
        const found = read(logOf(records, { codec: codecOf(name), batchBytesMax }, 2 ** 40));
        t.same(found.map(shown), records.map(shown), name);
        t.same(found.map(({ offset }) => offset - 2 ** 40), records.map((_, index) => index));
      }),
      { seed: SEED, numRuns: 60 },
    );
  }
});

t.test("where the broker stamps records when it appends them, that is their time", async (t) => {
  const stored = logOf([{ key: null, value: "a", timestamp: 5 }, { key: null, value: "b", timestamp: 9 }]);
  stored[22] = (stored[22] as number) | 8;
  stored.writeBigInt64BE(1_800_000_000_000n, 35);
  sealBatch(stored, sender);
  t.same(read(stored).map(({ timestamp }) => timestamp), [1_800_000_000_000, 1_800_000_000_000]);
});

t.test("kafkajs reads what we write, and we read what kafkajs writes", async (t) => {
  const require = createRequire(new URL("../../src/kafka/index.ts", import.meta.url));
  const from = (path: string): unknown => require(`../../../../node_modules/kafkajs/src/protocol/${path}`);
  type Theirs = { readonly offset: string; readonly key: Buffer | null; readonly value: Buffer | null; readonly timestamp: string; readonly headers: Record<string, Buffer> };
  const Decoder = from("decoder.js") as new (buffer: Buffer) => unknown;
  const decode = from("recordBatch/v0/decoder.js") as (decoder: unknown) => Promise<{ readonly producerId: string; readonly producerEpoch: number; readonly firstSequence: number; readonly inTransaction: boolean; readonly records: readonly Theirs[] }>;
  const { RecordBatch } = from("recordBatch/v0/index.js") as { RecordBatch: (batch: object) => Promise<{ readonly buffer: Buffer }> };
  const Record = from("recordBatch/record/v0/index.js") as (record: object) => unknown;

  const ours = logOf([
    { key: "k", value: "v", timestamp: 1_700_000_000_000, headers: [{ key: "h", value: Buffer.from("x") }] },
    { key: null, value: "w".repeat(20_000), timestamp: 1_700_000_000_500 },
    { key: "last", value: null, timestamp: 1_699_999_999_000 },
  ], {}, 5);
  const theirs = await decode(new Decoder(ours));
  t.same([theirs.producerId, theirs.producerEpoch, theirs.firstSequence, theirs.inTransaction], ["4000000001", 7, 42, true]);
  t.same(theirs.records.map((each) => [each.offset, each.key?.toString() ?? null, each.value?.length ?? null, each.timestamp]), [
    ["5", "k", 1, "1700000000000"],
    ["6", null, 20_000, "1700000000500"],
    ["7", "last", null, "1699999999000"],
  ]);
  t.same(theirs.records[0]?.headers["h"]?.toString(), "x");

  const written = await RecordBatch({ firstTimestamp: 1_000, maxTimestamp: 1_300, lastOffsetDelta: 1, producerId: "9", producerEpoch: 1, firstSequence: 3, records: [Record({ offsetDelta: 0, timestampDelta: 0, key: "a", value: "b", headers: { h: "i" } }), Record({ offsetDelta: 1, timestampDelta: 300, key: null, value: "c".repeat(500) })] });
  t.same(read(written.buffer).map(shown), [
    shown({ key: Buffer.from("a"), value: Buffer.from("b"), timestamp: 1_000, headers: [{ key: "h", value: Buffer.from("i") }] }),
    shown({ key: null, value: Buffer.from("c".repeat(500)), timestamp: 1_300, headers: [] }),
  ]);
});

t.test("records go to the partition of their key, or their own, or the given one", async (t) => {
  const keys = Array.from({ length: 200 }, (_, index) => `device-${index}`);
  const records = [...keys.map((key) => ({ key, value: key, timestamp: 1 })), { key: "device-0", value: "own", timestamp: 1, partition: 4 }, { key: null, value: "keyless", timestamp: 1 }];
  const sorted = encodeBatches(framed(records), options(records.length, { partitions: 5, keyless: 3 }));
  for (let partition = 0; partition < 5; partition++) {
    const expected = keys.filter((key) => partitionOfKey(Buffer.from(key), 5) === partition);
    if (partition === 4) expected.push("own");
    if (partition === 3) expected.push("keyless");
    const found: LogRecord[] = [];
    for (const { bytes: batch } of sorted.get(partition) ?? []) {
      sealBatch(batch, sender);
      found.push(...read(batch));
    }
    t.same(found.map(({ value }) => value?.toString()), expected, `partition ${partition}`);
  }
  t.same([...encodeBatches(framed(records), options(records.length, { partitions: 5, partition: 2 })).keys()], [2]);
  t.throws(() => encodeBatches(framed(records), options(records.length, { partitions: 4 })), { code: "TOPIC_MISMATCH" });
  t.throws(() => encodeBatches(framed(records), options(records.length - 1, { partitions: 5 })), RangeError);
});

t.test("batches end before they are larger than wanted, and a record that is larger stands alone", async (t) => {
  const records = Array.from({ length: 40 }, (_, index) => ({ key: null, value: Buffer.alloc(index % 10 === 5 ? 30_000 : 900, index), timestamp: 1 }));
  const batches = encodeBatches(framed(records), options(records.length, { batchBytesMax: 10_000 })).get(0) ?? [];
  for (const { bytes: batch, count } of batches) t.ok(batch.length <= 10_000 || count === 1, `${batch.length} bytes, ${count} records`);
  t.equal(batches.reduce((sum, { count }) => sum + count, 0), 40);
});

t.test("a batch that is cut short is left for later, and one that is damaged is refused", async (t) => {
  const whole = logOf([{ key: "k", value: "v".repeat(100), timestamp: 1 }], {}, 10);
  const two = Buffer.concat([whole, logOf([{ key: "k", value: "w", timestamp: 1 }], {}, 11)]);
  for (let length = 0; length <= two.length; length++) {
    const cut = two.subarray(0, length);
    t.equal(read(cut).length, length === two.length ? 2 : length >= whole.length ? 1 : 0);
    t.equal(endOfBatches(cut), length === two.length ? 12 : length >= whole.length ? 11 : undefined);
  }
  for (let at = 16; at < whole.length; at++) {
    const damaged = Buffer.from(whole);
    damaged[at] = (damaged[at] as number) ^ 0x40;
    const error = await failureOf(Promise.resolve().then(() => read(damaged)));
    t.equal(error.code, "LOG_CORRUPT");
    t.match(error.place, /^a-0 at 10/);
  }
});

t.test("a reader goes on inside a batch, within its budget and from its offset", async (t) => {
  const stored = logOf(Array.from({ length: 50 }, (_, index) => ({ key: null, value: String(index), timestamp: 1 })), { batchBytesMax: 300 }, 100);
  t.same(read(stored, 133).map(({ offset }) => offset), Array.from({ length: 17 }, (_, index) => 133 + index));
  const cursor = new BatchCursor("a", 0, stored);
  const found: number[] = [];
  for (let reads = 0; reads < 200; reads++) {
    if (!cursor.hasRecords && !cursor.nextBatch()) break;
    const some: LogRecord[] = [];
    cursor.read(0, some, { records: 3, bytes: 10_000 });
    t.ok(some.length <= 3);
    found.push(...some.map(({ offset }) => offset));
  }
  t.same(found, Array.from({ length: 50 }, (_, index) => 100 + index));
});

type Batch = Parameters<CommittedFilter["isDelivered"]>[0];
const batch = (producerId: bigint, offset: number, controlType = -1): Batch => ({ producerId, lastOffset: offset, controlType, isControl: controlType >= 0, isTransactional: producerId >= 0n });

t.test("the filter takes all transactions that have begun, in any order of the list, and ends one only with its own producer's marker", async (t) => {
  const filter = new CommittedFilter([{ producerId: 2n, firstOffset: 3 }, { producerId: 1n, firstOffset: 1 }, { producerId: 1n, firstOffset: 9 }]);
  const seen = [batch(-1n, 0), batch(1n, 2), batch(2n, 4), batch(3n, 5), batch(1n, 6, 0), batch(2n, 7), batch(1n, 8), batch(1n, 9), batch(3n, 10, 1), batch(2n, 11), batch(2n, 12, 0), batch(2n, 13), batch(1n, 14), batch(1n, 15, 0), batch(1n, 16)];
  t.same(seen.filter((each) => filter.isDelivered(each)).map(({ lastOffset }) => lastOffset), [0, 5, 8, 13, 16]);
});

t.test("transactions that began before the first batch of an answer are known from its start", async (t) => {
  const filter = new CommittedFilter([{ producerId: 1n, firstOffset: 10 }, { producerId: 2n, firstOffset: 4 }]);
  t.same([batch(1n, 50), batch(2n, 51), batch(3n, 52), batch(2n, 53, 0), batch(2n, 54), batch(1n, 55)].filter((each) => filter.isDelivered(each)).map(({ lastOffset }) => lastOffset), [52, 54]);
});

t.test("snappy and LZ4 are read: literals, copies that overlap, blocks of Java's stream", async (t) => {
  const raw = Buffer.from([11, 4 << 2 | 0, 0x61, 0x62, 0x63, 0x64, 0x65, 2 << 2 | 1, 1, 0]);
  t.throws(() => readSnappy(raw, 100), RangeError, "an offset of nothing at the end");
  // "abcde", then 6 bytes from 2 before the end: "deded" and one more.
  const overlapping = Buffer.from([11, 4 << 2, 0x61, 0x62, 0x63, 0x64, 0x65, 2 << 2 | 1, 2]);
  t.equal(readSnappy(overlapping, 100).toString(), "abcdedededede".slice(0, 11));
  const stream = Buffer.concat([Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]), Buffer.from([0, 0, 0, overlapping.length]), overlapping, Buffer.from([0, 0, 0, 3, 1, 0, 0x7a])]);
  t.equal(readSnappy(stream, 100).toString(), "abcdedededez");
  t.throws(() => readSnappy(overlapping, 10), RangeError, "the limit holds");
  const lz4 = Buffer.concat([Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]), Buffer.from([7, 0, 0, 0]), Buffer.from([0x22, 0x61, 0x62, 2, 0, 0x10, 0x7a]), Buffer.from([3, 0, 0, 0x80, 0x78, 0x78, 0x78]), Buffer.alloc(4)]);
  t.equal(readLz4(lz4, 100).toString(), "ababababzxxx");
  t.throws(() => readLz4(lz4, 5), RangeError, "the limit holds");
  for (let length = 0; length < lz4.length; length++) t.throws(() => readLz4(lz4.subarray(0, length), 100), RangeError, `cut at ${length}`);
});

t.test("a small batch that would fill the memory is refused", async (t) => {
  const bomb = gzipSync(Buffer.alloc(140 << 20));
  t.ok(bomb.length < 1 << 20);
  t.throws(() => decompress(1, bomb), RangeError);
  t.throws(() => decompress(6, bomb), /unknown codec/);
});
