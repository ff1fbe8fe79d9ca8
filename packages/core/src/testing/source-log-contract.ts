import { ByteWriter, TopologyError, partitionOfKey, writeFrame } from "../model/index.ts";
import type { LogRecord, ProducerRecord } from "../model/index.ts";
import type { SourceLog } from "../port/index.ts";
import { FrameRun } from "../task/record-run.ts";

/** The assertions that a contract suite needs; those of tap's `t` fit. */
export interface ContractTest {
  equal(actual: unknown, expected: unknown, ...message: [] | [string]): unknown;
  same(actual: unknown, expected: unknown, ...message: [] | [string]): unknown;
  ok(value: unknown, ...message: [] | [string]): unknown;
  rejects(promise: Promise<unknown>, expected: { readonly code: string }): unknown;
}

/** Makes a named test. */
export type ContractRunner = (name: string, body: (t: ContractTest) => Promise<void>) => unknown;

/** Makes an empty log for one test; the suite closes it. */
export type MakeLog = () => Promise<SourceLog>;

const ALL = { recordsMax: 1_000_000, bytesMax: 1 << 30 };

function recordOf(key: string | null, value: string | null, timestamp = 1_000): ProducerRecord {
  return { key, value, timestamp };
}

/** Reads a partition from an offset to its end, in fetches of the given limits. */
export async function readPartition(log: SourceLog, topic: string, partition: number, from = 0, limits: { recordsMax: number; bytesMax: number } = ALL): Promise<LogRecord[]> {
  const all: LogRecord[] = [];
  for (let next = from; ; ) {
    const { records, nextOffset, endOffset } = await log.fetch(topic, partition, next, limits);
    all.push(...records);
    if (nextOffset >= endOffset) return all;
    if (nextOffset === next) throw new Error(`a fetch of ${topic}-${partition} at ${next} stands still before the end at ${endOffset}`);
    next = nextOffset;
  }
}

/**
 * What every {@link SourceLog} keeps. Run it against an implementation:
 *
 * ```ts
 * sourceLogContract((name, body) => t.test(name, body), async () => memoryLog());
 * ```
 */
export function sourceLogContract(test: ContractRunner, makeLog: MakeLog): void {
  const suite = (name: string, body: (t: ContractTest, log: SourceLog) => Promise<void>): void => {
    test(name, async (t) => {
      const log = await makeLog();
      try {
        await body(t, log);
      } finally {
        await log.close();
      }
    });
  };
  topics(suite);
  records(suite);
  fetches(suite);
  producers(suite);
}

type Suite = (name: string, body: (t: ContractTest, log: SourceLog) => Promise<void>) => void;

function topics(suite: Suite): void {
  suite("a topic is made once and keeps its number of partitions", async (t, log) => {
    t.equal(await log.partitionCount("a"), undefined);
    await log.ensureTopic("a", { partitions: 3 });
    await log.ensureTopic("a", { partitions: 3 });
    t.equal(await log.partitionCount("a"), 3);
    await t.rejects(log.ensureTopic("a", { partitions: 4 }), { code: "TOPIC_MISMATCH" });
    t.equal(await log.partitionCount("a"), 3);
  });
  suite("a topic that does not exist takes and gives nothing", async (t, log) => {
    await t.rejects(log.append("none", [recordOf("k", "v")]), { code: "TOPIC_NOT_FOUND" });
    await t.rejects(log.offsets("none", 0), { code: "TOPIC_NOT_FOUND" });
    await t.rejects(log.fetch("none", 0, 0, ALL), { code: "TOPIC_NOT_FOUND" });
    t.equal(await log.partitionCount("none"), undefined);
  });
}

function records(suite: Suite): void {
  suite("a record comes back with its key, value, headers, timestamp and place", async (t, log) => {
    await log.ensureTopic("a", { partitions: 1 });
    await log.append("a", [
      { key: "clé", value: "wörth", timestamp: 1_767_225_600_123, headers: [{ key: "h", value: Buffer.from([0, 255]) }, { key: "h", value: null }] },
      { key: Buffer.from([0, 0, 0, 0]), value: Buffer.from([0xff, 0xfe]), timestamp: 0 },
      { key: null, value: null, timestamp: -1 },
      { key: "", value: "", timestamp: 5 },
    ]);
    const found = await readPartition(log, "a", 0);
    t.same(found.map((record) => [record.topic, record.partition, record.offset]), [["a", 0, 0], ["a", 0, 1], ["a", 0, 2], ["a", 0, 3]]);
    t.same(found.map((record) => record.timestamp), [1_767_225_600_123, 0, -1, 5]);
    t.same(found.map((record) => record.key), [Buffer.from("clé"), Buffer.alloc(4), null, Buffer.alloc(0)]);
    t.same(found.map((record) => record.value), [Buffer.from("wörth"), Buffer.from([0xff, 0xfe]), null, Buffer.alloc(0)]);
    t.same(found[0]?.headers.map((header) => [header.key, header.value]), [["h", Buffer.from([0, 255])], ["h", null]]);
    t.same(found[1]?.headers, []);
  });
  suite("the caller may reuse its buffers once an append has resolved", async (t, log) => {
    await log.ensureTopic("a", { partitions: 1 });
    const value = Buffer.from("first");
    await log.append("a", [{ key: null, value, timestamp: 1 }]);
    value.write("later");
    t.equal((await readPartition(log, "a", 0))[0]?.value?.toString(), "first");
  });
  suite("keys choose partitions as Kafka's murmur2 does, and a given partition is kept", async (t, log) => {
    await log.ensureTopic("a", { partitions: 5 });
    const keys = Array.from({ length: 100 }, (_, index) => `device-${index}`);
    await log.append("a", keys.map((key) => recordOf(key, key)));
    await log.append("a", [{ ...recordOf("device-0", "given"), partition: 4 }]);
    for (let partition = 0; partition < 5; partition++) {
      const expected = keys.filter((key) => partitionOfKey(Buffer.from(key), 5) === partition);
      if (partition === 4) expected.push("given");
      t.same((await readPartition(log, "a", partition)).map((record) => record.value?.toString()), expected, `partition ${partition}`);
    }
    await t.rejects(log.append("a", [recordOf("x", "x"), { ...recordOf("k", "v"), partition: 5 }]), { code: "TOPIC_MISMATCH" });
    t.equal((await Promise.all([0, 1, 2, 3, 4].map((partition) => log.offsets("a", partition)))).reduce((sum, { end }) => sum + end, 0), 101, "all or none");
  });
  suite("records without a key spread over the partitions, append by append", async (t, log) => {
    await log.ensureTopic("a", { partitions: 4 });
    for (let index = 0; index < 8; index++) await log.append("a", [recordOf(null, "x"), recordOf(null, "y")]);
    for (let partition = 0; partition < 4; partition++) t.ok((await log.offsets("a", partition)).end > 0, `partition ${partition} got some`);
  });
  suite("frames are appended as the records they hold", async (t, log) => {
    await log.ensureTopic("a", { partitions: 3 });
    const given: ProducerRecord[] = [
      recordOf("k1", "v1", 11),
      { ...recordOf("k2", null, 12), partition: 2 },
      { key: Buffer.from("k3"), value: Buffer.from("v3"), timestamp: 13, headers: [{ key: "a", value: Buffer.from("b") }] },
    ];
    const writer = new ByteWriter();
    for (const record of given) writeFrame(writer, record);
    t.same(await log.appendFrames("a", writer.take(), 3), { repeated: false, recordCount: 3 });
    const found: LogRecord[] = [];
    for (let partition = 0; partition < 3; partition++) found.push(...(await readPartition(log, "a", partition)));
    found.sort((a, b) => a.timestamp - b.timestamp);
    t.same(found.map((record) => [record.key?.toString(), record.value?.toString() ?? null, record.timestamp]), [["k1", "v1", 11], ["k2", null, 12], ["k3", "v3", 13]]);
    t.equal(found[1]?.partition, 2);
    t.equal(found[0]?.partition, partitionOfKey(Buffer.from("k1"), 3));
    t.same(found[2]?.headers.map((header) => [header.key, header.value?.toString()]), [["a", "b"]]);
  });
}

const textsOf = ({ topic, partition, offset, timestamp, key, value, headers }: LogRecord): unknown[] => [topic, partition, offset, timestamp, key?.toString(), value?.toString(), headers];

function fetches(suite: Suite): void {
  suite("fetches of any size give each record once, in order", async (t, log) => {
    await log.ensureTopic("a", { partitions: 1 });
    let number = 0;
    for (const count of [1, 700, 3, 40, 1]) {
      await log.append("a", Array.from({ length: count }, () => recordOf(`k${number}`, `${"x".repeat(number % 50)}${number++}`)));
    }
    for (const limits of [{ recordsMax: 1, bytesMax: 1 << 20 }, { recordsMax: 97, bytesMax: 1 << 20 }, { recordsMax: 10_000, bytesMax: 1 }, { recordsMax: 10_000, bytesMax: 500 }, ALL]) {
      const found = await readPartition(log, "a", 0, 0, limits);
      t.same(found.map((record) => record.offset), Array.from({ length: number }, (_, index) => index), JSON.stringify(limits));
      t.ok(found.every((record, index) => record.key?.toString() === `k${index}` && record.value?.toString().endsWith(String(index)) === true));
    }
    const middle = await log.fetch("a", 0, 333, { recordsMax: 5, bytesMax: 1 << 20 });
    t.same(middle.records.map((record) => record.offset), [333, 334, 335, 336, 337]);
    t.equal(middle.nextOffset, 338);
    t.equal(middle.endOffset, number);
    t.equal((await log.fetch("a", 0, 10, { recordsMax: 5, bytesMax: 1 << 20 })).records[0]?.offset, 10, "backwards too");
  });
  suite("frames of any limits hold the records that a fetch gives, from any offset on", async (t, log) => {
    if (log.fetchFrames === undefined) return;
    await log.ensureTopic("a", { partitions: 1 });
    let number = 0;
    for (const count of [1, 300, 3, 40]) await log.append("a", Array.from({ length: count }, () => recordOf(`k${number}`, `${"x".repeat(number % 50)}${number++}`)));
    const wanted = await readPartition(log, "a", 0, 0, ALL);
    for (const limits of [{ recordsMax: 1, bytesMax: 1 << 20 }, { recordsMax: 97, bytesMax: 1 << 20 }, { recordsMax: 10_000, bytesMax: 1 }, ALL]) {
      for (const from of [0, 1, 150, 301, number - 1]) {
        const found: LogRecord[] = [];
        for (let next = from; next < number; ) {
          const { batches, nextOffset, endOffset } = await log.fetchFrames("a", 0, next, limits);
          const run = new FrameRun("a", 0, batches, next);
          t.equal(run.left, nextOffset - next);
          for (let record = run.next(); record !== undefined; record = run.next()) found.push(record);
          t.equal(endOffset, number);
          next = nextOffset;
        }
        t.same(found.map(textsOf), wanted.slice(from).map(textsOf), `${JSON.stringify(limits)} from ${from}`);
      }
    }
    t.same(await log.fetchFrames("a", 0, number, ALL), { batches: [], nextOffset: number, endOffset: number });
    await t.rejects(log.fetchFrames("a", 0, number + 1, ALL), { code: "OFFSET_OUT_OF_RANGE" });
  });
  suite("records before an offset can be dropped, all of them too, and offsets go on", async (t, log) => {
    await log.ensureTopic("a", { partitions: 2 });
    for (const value of ["x", "y", "z"]) await log.append("a", [{ ...recordOf("k", value), partition: 1 }]);
    await log.deleteRecordsBefore("a", 1, 2);
    t.same(await log.offsets("a", 1), { start: 2, end: 3 });
    t.same((await readPartition(log, "a", 1, 2)).map((record) => record.value?.toString()), ["z"]);
    await t.rejects(log.fetch("a", 1, 1, ALL), { code: "OFFSET_OUT_OF_RANGE" });
    await log.deleteRecordsBefore("a", 1, 1);
    await t.rejects(log.deleteRecordsBefore("a", 1, 4), { code: "OFFSET_OUT_OF_RANGE" });
    await log.deleteRecordsBefore("a", 1, 3);
    t.same(await log.offsets("a", 1), { start: 3, end: 3 });
    await log.append("a", [{ ...recordOf("k", "new"), partition: 1 }]);
    t.same((await readPartition(log, "a", 1, 3)).map((record) => [record.offset, record.value?.toString()]), [[3, "new"]]);
    t.same(await log.offsets("a", 0), { start: 0, end: 0 });
  });
  suite("a fetch at the end gives nothing at once, and one outside is refused", async (t, log) => {
    await log.ensureTopic("a", { partitions: 1 });
    t.same(await log.fetch("a", 0, 0, ALL), { records: [], nextOffset: 0, endOffset: 0 });
    await log.append("a", [recordOf("k", "v")]);
    t.same(await log.fetch("a", 0, 1, ALL), { records: [], nextOffset: 1, endOffset: 1 });
    t.same(await log.offsets("a", 0), { start: 0, end: 1 });
    await t.rejects(log.fetch("a", 0, 2, ALL), { code: "OFFSET_OUT_OF_RANGE" });
  });
  suite("each append is told, until the listener is taken away", async (t, log) => {
    await log.ensureTopic("a", { partitions: 1 });
    let told = 0;
    const stop = log.onAppend(() => told++);
    await log.append("a", [recordOf("k", "v")]);
    t.equal(told, 1);
    stop();
    await log.append("a", [recordOf("k", "v")]);
    t.equal(told, 1);
  });
  suite("appends made at the same time are each whole and each there", async (t, log) => {
    await log.ensureTopic("a", { partitions: 2 });
    await Promise.all(Array.from({ length: 20 }, (_, call) => log.append("a", Array.from({ length: 10 }, (_, index) => recordOf("same", `${call}.${index}`)))));
    const found = [...(await readPartition(log, "a", 0)), ...(await readPartition(log, "a", 1))].map((record) => record.value?.toString() ?? "");
    t.equal(new Set(found).size, 200);
    for (let at = 0; at < 200; at += 10) t.same(found.slice(at, at + 10).map((value) => value.split(".")[1]), ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
  });
}

function producers(suite: Suite): void {
  suite("a producer's repeat adds nothing, a gap and a lower epoch are refused, a higher epoch starts anew", async (t, log) => {
    await log.ensureTopic("a", { partitions: 2 });
    await log.ensureTopic("b", { partitions: 1 });
    const send = async (topic: string, producerId: string, epoch: number, sequence: number): Promise<boolean> =>
      (await log.append(topic, [recordOf("k", `${producerId}.${epoch}.${sequence}`)], { producerId, epoch, sequence })).repeated;
    t.equal(await send("a", "p", 1, 1), false);
    t.equal(await send("a", "p", 1, 2), false);
    t.equal(await send("a", "p", 1, 2), true);
    t.equal(await send("a", "p", 1, 1), true);
    t.equal(await send("b", "p", 1, 1), false, "sequences are a topic's own");
    t.equal(await send("a", "q", 1, 1), false, "and a producer's own");
    await t.rejects(send("a", "p", 1, 4), { code: "PRODUCER_OUT_OF_ORDER" });
    await t.rejects(send("a", "new", 1, 2), { code: "PRODUCER_OUT_OF_ORDER" });
    t.equal(await send("a", "p", 2, 1), false);
    await t.rejects(send("a", "p", 1, 3), { code: "PRODUCER_FENCED" });
    const found = [...(await readPartition(log, "a", 0)), ...(await readPartition(log, "a", 1))].map((record) => record.value?.toString());
    t.same(found, ["p.1.1", "p.1.2", "q.1.1", "p.2.1"]);
  });
  suite("a refusal is a TopologyError that names its place", async (t, log) => {
    const error = await log.append("none", [recordOf("k", "v")]).then(() => undefined, (cause: unknown) => cause);
    t.ok(error instanceof TopologyError);
    t.ok((error as TopologyError).place?.includes("none"));
  });
}
