import t from "tap";
import { Deadline } from "../../src/kafka/attempt.ts";
import { encodeBatches } from "../../src/kafka/batch-encoder.ts";
import { codecOf } from "../../src/kafka/compression.ts";
import { type PartitionBatches, Sequences, produceBatches } from "../../src/kafka/produce.ts";
import { type FakeBrokers, TOPIC, fakeBrokers } from "./fake-wire.ts";
import { failureOf, framed } from "./fixture.ts";

const NOT_LEADER = 6;
const identity = { transactionalId: "id", producerId: 5n, epoch: 1 };
const sequenceOf = (batch: Buffer): number => batch.readInt32BE(53);

/** Batches for partitions 0, 1 and 2, `count` records each. */
function parts(count = 1, batchBytesMax = 900_000): PartitionBatches[] {
  return [0, 1, 2].map((partition) => {
    const frames = framed(Array.from({ length: count }, (_, index) => ({ key: null, value: `${partition}.${index}`.padEnd(50), timestamp: 1 })));
    const batches = encodeBatches(frames, { topic: TOPIC, partitions: 3, partition, recordCount: count, keyless: 0, batchBytesMax, codec: codecOf("none") }).get(partition) ?? [];
    return { topic: TOPIC, partition, batches };
  });
}

const send = (fake: FakeBrokers, all: readonly PartitionBatches[], sequences = new Sequences(), deadlineMs = 5_000): Promise<ReadonlyMap<string, number>> =>
  produceBatches(fake.router, all, { identity, sequences, purpose: "produce-0", deadline: new Deadline(deadlineMs), timeoutMs: 100 });

t.test("a partition that moves to a broker that has answered already is sent there, and the others are not sent again", async (t) => {
  const fake = fakeBrokers();
  fake.onProduce = (broker, partition) => {
    if (broker !== 1 || partition !== 0) return { baseOffset: partition * 100 };
    fake.leaders = [2, 2, 3];
    return NOT_LEADER;
  };
  t.same([...(await send(fake, parts()))].sort(), [["t-0", 1], ["t-1", 101], ["t-2", 201]]);
  t.same([...fake.produced].sort(), ["1: 0", "2: 0", "2: 1", "3: 2"]);
  await fake.close();
});

t.test("partitions of one broker go in one request, and the one that is refused goes again alone", async (t) => {
  const fake = fakeBrokers();
  fake.leaders = [1, 1, 1];
  let refusals = 2;
  fake.onProduce = (_, partition) => (partition === 1 && refusals-- > 0 ? 19 : { baseOffset: 7 });
  t.same([...(await send(fake, parts()))].sort(), [["t-0", 8], ["t-1", 8], ["t-2", 8]]);
  t.same(fake.produced, ["1: 0 1 2", "1: 1", "1: 1"]);
  await fake.close();
});

t.test("a lost answer is asked for again with the same sequence number, and a repeat counts as done", async (t) => {
  const fake = fakeBrokers();
  fake.leaders = [1, 1, 1];
  const appended = new Map<string, number>();
  let cuts = 1;
  fake.onProduce = (_, partition, batch) => {
    const key = `${partition}/${sequenceOf(batch)}`;
    const isRepeat = appended.has(key);
    appended.set(key, (appended.get(key) ?? 0) + 1);
    if (cuts-- > 0) return "cut";
    return isRepeat && partition === 2 ? 46 : { baseOffset: sequenceOf(batch) };
  };
  const sequences = new Sequences();
  t.match(await failureOf(send(fake, parts(), sequences)), { code: "KAFKA_REFUSED", retriable: true }, "a repeat whose offset nobody knows is not passed on as done");
  t.same([...appended.keys()].sort(), ["0/0", "1/0", "2/0"], "no sequence number was used twice over");
  await fake.close();
});

t.test("batches of a partition follow each other, with sequence numbers that count its records", async (t) => {
  const fake = fakeBrokers();
  const seen: number[][] = [[], [], []];
  fake.onProduce = (_, partition, batch) => {
    const own = seen[partition] as number[];
    if (partition === 2 && own.length === 1 && own[0] === 0 && fake.produced.length < 6) return 19;
    own.push(sequenceOf(batch));
    return { baseOffset: sequenceOf(batch) };
  };
  const sequences = new Sequences();
  t.same([...(await send(fake, parts(100, 1_000), sequences))].sort(), [["t-0", 100], ["t-1", 100], ["t-2", 100]]);
  for (const own of seen) {
    t.ok(own.length > 5, `${own.length} batches`);
    t.same(own, [...own].sort((a, b) => a - b), "in order");
    t.equal(own[0], 0);
  }
  t.same([...(await send(fake, parts(1), sequences))].map(([, next]) => next), [101, 101, 101], "the next transaction goes on from there");
  await fake.close();
});

t.test("what asking again does not change ends it at once, and what does not change by itself ends at the deadline", async (t) => {
  const fake = fakeBrokers();
  fake.onProduce = (_, partition) => (partition === 1 ? 47 : { baseOffset: 0 });
  t.match(await failureOf(send(fake, parts())), { code: "PRODUCER_FENCED", retriable: false, place: "t-1" });
  fake.onProduce = () => 10;
  t.match(await failureOf(send(fake, parts())), { code: "PAYLOAD_TOO_LARGE", retriable: false });
  fake.onProduce = () => 45;
  t.match(await failureOf(send(fake, parts())), { code: "KAFKA_REFUSED", retriable: true }, "a new producer gets on");
  fake.onProduce = () => 19;
  t.match(await failureOf(send(fake, parts(), new Sequences(), 300)), { code: "KAFKA_TIMEOUT", retriable: true });
  fake.onProduce = () => "cut";
  t.match(await failureOf(send(fake, parts(), new Sequences(), 300)), { code: "KAFKA_TIMEOUT", retriable: true });
  await fake.close();
});
