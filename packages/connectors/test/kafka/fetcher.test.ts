import t from "tap";
import { encodeBatches, sealBatch } from "../../src/kafka/batch-encoder.ts";
import { codecOf } from "../../src/kafka/compression.ts";
import { Fetcher, type FetcherOptions } from "../../src/kafka/fetcher.ts";
import { type FakeBrokers, TOPIC, fakeBrokers } from "./fake-wire.ts";
import { failureOf, framed } from "./fixture.ts";

const LIMITS = { recordsMax: 1_000, bytesMax: 1 << 20 };
const OPTIONS: FetcherOptions = { pollWaitMs: 20, partitionPollBytes: 1 << 16, pollBytesMax: 1 << 20, partitionBufferBytesMax: 4_000, bufferBytesMax: 10_000, interestMs: 60_000, deadlineMs: 3_000, requestTimeoutMs: 1_000, rack: undefined };

/** A batch of ten records from an offset on. */
function tenFrom(offset: number): Buffer {
  const frames = framed(Array.from({ length: 10 }, (_, index) => ({ key: null, value: `${offset + index}`.padEnd(80), timestamp: 1 })));
  const [batch] = encodeBatches(frames, { topic: TOPIC, partitions: 1, partition: 0, recordCount: 10, keyless: 0, batchBytesMax: 900_000, codec: codecOf("none") }).get(0) ?? [];
  if (batch === undefined) throw new Error("no batch");
  sealBatch(batch.bytes, { producerId: -1n, epoch: -1, sequence: -1, isTransactional: false });
  batch.bytes.writeBigInt64BE(BigInt(offset), 0);
  return batch.bytes;
}

/** A partition with so many records, ten a batch and a poll. */
const upTo = (end: number) => (_broker: number, { offset }: { readonly offset: number }) => ({ lastStableOffset: end, highWatermark: end, ...(offset < end ? { records: tenFrom(offset - (offset % 10)) } : {}) });

async function read(fetcher: Fetcher, count: number, partition = 0): Promise<number[]> {
  const offsets: number[] = [];
  for (let next = 0, turn = 0; offsets.length < count && turn < 2_000; turn++) {
    const { records, nextOffset } = await fetcher.fetch(TOPIC, partition, next, LIMITS);
    offsets.push(...records.map(({ offset }) => offset));
    if (nextOffset === next) await new Promise((resolve) => setTimeout(resolve, 1));
    next = nextOffset;
  }
  return offsets;
}
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
const settle = (ms = 80): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function withFetcher(body: (fake: FakeBrokers, fetcher: Fetcher) => Promise<void>, options: Partial<FetcherOptions> = {}): Promise<void> {
  const fake = fakeBrokers();
  const fetcher = new Fetcher(fake.router, { ...OPTIONS, ...options });
  try {
    await body(fake, fetcher);
  } finally {
    fetcher.close();
    await fake.close();
  }
}

t.test("a reader goes on where its partition's leader has moved to, over brokers that are gone and say nothing", async (t) => {
  await withFetcher(async (fake, fetcher) => {
    const serve = upTo(100);
    let moves = 0;
    fake.onFetch = (broker, part) => {
      if (part.offset === 30 && moves === 0) {
        moves++;
        fake.leaders = [2, 2, 3];
        return { errorCode: 6 };
      }
      if (part.offset === 60 && moves === 1) {
        moves++;
        fake.leaders = [3, 2, 3];
        return "cut";
      }
      return broker === fake.leaders?.[0] ? serve(broker, part) : { errorCode: 6 };
    };
    t.same(await read(fetcher, 100), numbers(100));
    t.equal(moves, 2);
    t.same([...new Set(fake.fetched.filter((line) => line.endsWith(" 0")))], ["1: 0", "2: 0", "3: 0"]);
  });
});

t.test("a replica that the leader names is read instead of it, and left when it does not hold what is wanted", async (t) => {
  await withFetcher(async (fake, fetcher) => {
    const serve = upTo(60);
    fake.onFetch = (broker, part, { rackId }) => {
      if (rackId !== "here") return { errorCode: 42 };
      if (broker === 1) return part.offset < 30 || part.offset >= 60 ? { preferredReplica: part.offset >= 60 ? -1 : 3, lastStableOffset: 60 } : serve(broker, part);
      return part.offset < 30 ? serve(broker, part) : { errorCode: 1 };
    };
    t.same(await read(fetcher, 60), numbers(60));
    t.ok(fake.fetched.includes("3: 0"));
  }, { rack: "here" });
});

t.test("no more is read ahead than the bounds say, and a reader that takes some gets more", async (t) => {
  await withFetcher(async (fake, fetcher) => {
    const polled = [0, 0, 0];
    const serve = upTo(10_000);
    fake.leaders = [1, 1, 1];
    fake.onFetch = (broker, part) => {
      polled[part.partition] = (polled[part.partition] ?? 0) + 1;
      return serve(broker, part);
    };
    for (const partition of [0, 1, 2]) await fetcher.fetch(TOPIC, partition, 0, { recordsMax: 1, bytesMax: 1 });
    await settle();
    const bytes = tenFrom(0).length;
    t.ok(polled.every((count) => count <= Math.ceil(4_000 / bytes)), `${polled.join()} polls of ${bytes} bytes`);
    t.ok(polled.reduce((sum, count) => sum + count * bytes, 0) < 10_000 + 3 * bytes, "nor in all");
    const before = polled[0] ?? 0;
    await settle();
    t.equal(polled[0], before, "it stands still");
    t.same(await read(fetcher, 500), numbers(500));
  });
});

t.test("an answer for a place that the reader has left is nobody's", async (t) => {
  await withFetcher(async (fake, fetcher) => {
    const serve = upTo(200);
    fake.onFetch = serve;
    await fetcher.fetch(TOPIC, 0, 0, { recordsMax: 5, bytesMax: 1 << 20 });
    for (const from of [150, 3, 77, 120]) {
      const { records, nextOffset } = await fetcher.fetch(TOPIC, 0, from, LIMITS);
      t.equal(records[0]?.offset, from);
      t.equal(nextOffset, (records.at(-1)?.offset ?? -2) + 1);
    }
  });
});

t.test("an offset that is not held is said with its place, once a read, and a later read may succeed", async (t) => {
  await withFetcher(async (fake, fetcher) => {
    fake.onFetch = () => ({ errorCode: 1 });
    t.match(await failureOf(fetcher.fetch(TOPIC, 0, 500, LIMITS)), { code: "OFFSET_OUT_OF_RANGE", place: "t-0", retriable: false });
    fake.onFetch = upTo(20);
    t.equal((await fetcher.fetch(TOPIC, 0, 0, LIMITS)).records[0]?.offset, 0);
    t.match(await failureOf(fetcher.fetch(TOPIC, 9, 0, LIMITS)), { code: "TOPIC_MISMATCH" });
  });
});

t.test("a partition without a leader is waited for, and the first read says at its deadline that none came", async (t) => {
  await withFetcher(async (fake, fetcher) => {
    fake.leaders = [-1, 2, 3];
    fake.onFetch = upTo(20);
    const reading = fetcher.fetch(TOPIC, 0, 0, LIMITS);
    await settle(30);
    fake.leaders = [2, 2, 3];
    t.equal((await reading).records[0]?.offset, 0);
    fake.leaders = [2, -1, 3];
    fake.router.cluster.forget(TOPIC);
    t.match(await failureOf(fetcher.fetch(TOPIC, 1, 0, LIMITS)), { code: "KAFKA_UNREACHABLE", retriable: true });
  }, { deadlineMs: 400 });
});

t.test("a batch that is larger than a poll asks for is asked for with more", async (t) => {
  await withFetcher(async (fake, fetcher) => {
    const whole = tenFrom(0);
    fake.onFetch = (_, { offset, maxBytes }) => ({ lastStableOffset: 10, records: offset < 10 ? whole.subarray(0, Math.min(maxBytes, whole.length)) : Buffer.alloc(0) });
    t.same(await read(fetcher, 10), numbers(10));
  }, { partitionPollBytes: 100 });
});
