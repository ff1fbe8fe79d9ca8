import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { TopologyError, openLevel, systemClock } from "@iot-topology/core";
import type { Clock, ProducerRecord } from "@iot-topology/core";
import { readPartition, sourceLogContract } from "@iot-topology/core/testing";
import { openEmbeddedLog } from "@iot-topology/connectors/embedded-log";
import type { EmbeddedLog } from "@iot-topology/connectors/embedded-log";

const root = mkdtempSync(join(tmpdir(), "iot-log-"));
t.teardown(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;
const newDir = (): string => join(root, String(folders++));

const recordsOf = (count: number, from = 0, size = 0): ProducerRecord[] =>
  Array.from({ length: count }, (_, index) => ({ key: `k${from + index}`, value: `${from + index}:${"x".repeat(size)}`, timestamp: 1_000 + from + index }));
const valuesOf = async (log: EmbeddedLog, topic = "a", partition = 0): Promise<string[]> =>
  (await readPartition(log, topic, partition)).map((record) => (record.value?.toString() ?? "").split(":")[0] as string);
const upTo = (count: number, from = 0): string[] => Array.from({ length: count }, (_, index) => String(from + index));

async function failureOf(work: Promise<unknown>): Promise<TopologyError> {
  const error = await work.then(() => undefined, (cause: unknown) => cause);
  if (error instanceof TopologyError) return error;
  throw new Error(`a TopologyError was due, not ${String(error)}`);
}

sourceLogContract((name, body) => t.test(name, body), () => openEmbeddedLog({ dir: newDir() }));

t.test("topics, records, producers and positions are there after reopening", async (t) => {
  const dir = newDir();
  let log = await openEmbeddedLog({ dir });
  await log.ensureTopic("a", { partitions: 1 });
  await log.ensureTopic("b", { partitions: 3 });
  await log.append("a", recordsOf(5), { producerId: "p", epoch: 2, sequence: 1 });
  await log.append("a", recordsOf(2, 5), { producerId: "p", epoch: 2, sequence: 2 });
  await log.commitPosition("group", "b", 2, 42);
  await log.close();
  await log.close();
  t.equal((await failureOf(log.append("a", recordsOf(1)))).code, "NOT_RUNNING");

  log = await openEmbeddedLog({ dir });
  t.equal(await log.partitionCount("b"), 3);
  t.strictSame(await valuesOf(log), upTo(7));
  t.equal((await log.append("a", recordsOf(2, 5), { producerId: "p", epoch: 2, sequence: 2 })).repeated, true);
  t.equal((await failureOf(log.append("a", recordsOf(1), { producerId: "p", epoch: 1, sequence: 3 }))).code, "PRODUCER_FENCED");
  t.equal(await log.position("group", "b", 2), 42);
  t.equal(await log.position("other", "b", 2), undefined);
  await log.append("a", recordsOf(1, 7));
  t.strictSame(await valuesOf(log), upTo(8), "offsets go on");
  const [a] = log.stats();
  t.match(a, { topic: "a", partitions: [{ partition: 0, start: 0, end: 8 }] });
  t.ok(a !== undefined && a.bytes > 0 && a.partitions[0]?.bytes === a.bytes);
  t.equal(await log.forgetProducers("p"), 1);
  t.equal((await log.append("a", recordsOf(1, 8), { producerId: "p", epoch: 1, sequence: 1 })).repeated, false, "a forgotten producer starts anew");
  await log.close();
});

t.test("large appends are stored in batches of bounded size, and read from any offset", async (t) => {
  const log = await openEmbeddedLog({ dir: newDir() });
  await log.ensureTopic("a", { partitions: 1 });
  await log.ensureTopic("spread", { partitions: 4 });
  await log.append("a", recordsOf(25_000));
  await log.append("a", recordsOf(40, 25_000, 100_000));
  for (const from of [0, 9_999, 10_000, 10_001, 24_999, 25_000, 25_017, 25_039]) {
    const { records } = await log.fetch("a", 0, from, { recordsMax: 3, bytesMax: 1 << 20 });
    t.equal(records[0]?.offset, from);
    t.equal(records[0]?.key?.toString(), `k${from}`);
  }
  t.strictSame(await valuesOf(log), upTo(25_040));
  await log.append("spread", Array.from({ length: 30_000 }, (_, index) => ({ key: null, value: String(index), timestamp: 1 })));
  t.strictSame(log.stats()[1]?.partitions.map(({ end }) => end).sort(), [0, 10_000, 10_000, 10_000], "a full batch of keyless records hands over to the next partition");
  await log.close();
});

t.test("a record over the limit is refused, names the limit, and nothing of its append is kept", async (t) => {
  const log = await openEmbeddedLog({ dir: newDir(), maxRecordBytes: 1_000 });
  await log.ensureTopic("a", { partitions: 1 });
  const error = await failureOf(log.append("a", [...recordsOf(2), ...recordsOf(1, 2, 2_000)]));
  t.equal(error.code, "PAYLOAD_TOO_LARGE");
  t.match(error.message, /1000/);
  t.match(error.cure, /maxRecordBytes/);
  await log.append("a", recordsOf(1, 3));
  t.strictSame(await valuesOf(log), ["3"]);
  await log.close();
});

t.test("topics cannot have any name or number of partitions", async (t) => {
  const log = await openEmbeddedLog({ dir: newDir() });
  for (const name of ["", "a b", "../x", "ä"]) t.equal((await failureOf(log.ensureTopic(name, { partitions: 1 }))).code, "USAGE", name);
  for (const partitions of [0, -1, 1.5, Number.NaN, 1e9]) t.equal((await failureOf(log.ensureTopic("a", { partitions }))).code, "USAGE", String(partitions));
  await Promise.all([log.ensureTopic("a", { partitions: 2 }), log.ensureTopic("a", { partitions: 2 })]);
  t.match((await failureOf(log.ensureTopic("a", { partitions: 3 }))).cure, /2 partitions/);
  await log.close();
});

t.test("records of several topics and a source's position are written together, and the position guards against a second reader", async (t) => {
  const dir = newDir();
  let log = await openEmbeddedLog({ dir });
  await log.ensureTopic("a", { partitions: 1 });
  await log.ensureTopic("b", { partitions: 1 });
  t.equal(log.sourcePosition("file"), undefined);
  const first = await log.appendWithPosition("file", Buffer.from("1"), [{ topic: "a", records: recordsOf(2) }, { topic: "b", records: recordsOf(3) }], { position: undefined });
  t.equal(first.recordCount, 5);
  const race = await Promise.allSettled([
    log.appendWithPosition("file", Buffer.from("2"), [{ topic: "a", records: recordsOf(1, 2) }], { position: Buffer.from("1") }),
    log.appendWithPosition("file", Buffer.from("2"), [{ topic: "a", records: recordsOf(1, 2) }], { position: Buffer.from("1") }),
  ]);
  t.strictSame(race.map(({ status }) => status), ["fulfilled", "rejected"], "in one group too");
  t.equal((await failureOf(log.appendWithPosition("file", Buffer.from("9"), [], { position: undefined }))).code, "PRODUCER_FENCED");
  t.equal((await failureOf(log.appendWithPosition("file", Buffer.from("9"), [{ topic: "a", records: recordsOf(1) }, { topic: "none", records: [] }]))).code, "TOPIC_NOT_FOUND");
  await log.close();
  log = await openEmbeddedLog({ dir });
  t.equal(log.sourcePosition("file")?.toString(), "2");
  t.strictSame(await valuesOf(log), upTo(3));
  t.strictSame(await valuesOf(log, "b"), upTo(3));
  const all: string[] = [];
  for await (const [id] of log.sourcePositions()) all.push(id);
  t.strictSame(all, ["file"]);
  await log.close();
});

t.test("retention removes whole batches from the start, by time and by size, and never protected ones", async (t) => {
  const dir = newDir();
  let nowMs = 2_000;
  const clock: Clock = { ...systemClock, now: () => nowMs };
  const options = { dir, clock, retention: { a: { ms: 1_000 }, b: { bytes: 5_000 } } };
  let log = await openEmbeddedLog(options);
  await log.ensureTopic("a", { partitions: 1 });
  await log.ensureTopic("b", { partitions: 1 });
  await log.ensureTopic("c", { partitions: 1 });
  for (let batch = 0; batch < 10; batch++) for (const topic of ["a", "b", "c"]) await log.append(topic, recordsOf(10, batch * 10, 90));
  t.strictSame(await log.retain(() => 0), { batches: 0, bytes: 0 }, "all is protected");
  const before = log.stats().map(({ bytes }) => bytes);
  nowMs = 1_000 + 39 + 1_000 + 1;
  const removed = await log.retain((topic) => (topic === "b" ? 25 : undefined));
  t.strictSame(log.stats().map(({ partitions }) => partitions[0]?.start), [40, 20, 0]);
  t.equal(removed.batches, 6);
  t.equal(removed.bytes, before.reduce((sum, bytes) => sum + bytes, 0) - log.stats().reduce((sum, { bytes }) => sum + bytes, 0));
  await log.retain();
  const [, b] = log.stats();
  t.ok(b !== undefined && b.bytes >= 5_000 && b.bytes < 5_000 + 1_300, `what is left is just over the bound: ${b?.bytes}`);
  const error = await failureOf(log.fetch("a", 0, 39, { recordsMax: 1, bytesMax: 1 }));
  t.equal(error.code, "OFFSET_OUT_OF_RANGE");
  t.match(error.message, /39.*40/);
  nowMs = 1e9;
  await log.retain();
  t.strictSame(await log.offsets("a", 0), { start: 100, end: 100 });
  await log.close();
  log = await openEmbeddedLog(options);
  t.strictSame(await log.offsets("a", 0), { start: 100, end: 100 }, "an empty partition keeps its end");
  await log.append("a", recordsOf(1, 100));
  t.equal((await readPartition(log, "a", 0, 100))[0]?.offset, 100);
  t.strictSame(await valuesOf(log, "c"), upTo(100));
  await log.close();
});

t.test("batches that are missing or changed inside LevelDB are named and never served", async (t) => {
  const dir = newDir();
  const log = await openEmbeddedLog({ dir });
  await log.ensureTopic("a", { partitions: 2 });
  for (let batch = 0; batch < 5; batch++) await log.append("a", recordsOf(10, batch * 10).map((record) => ({ ...record, partition: 1 })));
  await log.close();
  const tampered = async (change: (keys: Buffer[], values: Buffer[]) => { put?: [Buffer, Buffer]; del?: Buffer }): Promise<string> => {
    const copy = newDir();
    cpSync(dir, copy, { recursive: true });
    const level = await openLevel(copy);
    const keys: Buffer[] = [];
    const values: Buffer[] = [];
    for await (const [key, value] of level.entries({ gte: Buffer.from("b"), lt: Buffer.from("c") })) {
      keys.push(key);
      values.push(value);
    }
    const batch = level.newBatch();
    const { put, del } = change(keys, values);
    if (put !== undefined) batch.put(...put);
    if (del !== undefined) batch.del(del);
    await level.write(batch, { sync: true });
    await level.close();
    return copy;
  };
  for (const at of [0, 2, 4]) {
    const gone = await failureOf(openEmbeddedLog({ dir: await tampered((keys) => ({ del: keys[at] as Buffer })) }));
    t.equal(gone.code, "LOG_CORRUPT");
    t.equal(gone.place, `a-1:${at * 10}-${at * 10 + 9}`);
    t.ok((gone.cure ?? "").length > 0);
  }
  for (const position of [0, 1, 5, 9, 20, 45, 60, 200]) {
    const changed = await tampered((keys, values) => {
      const value = values[2] as Buffer;
      value[position] = (value[position] as number) ^ 16;
      return { put: [keys[2] as Buffer, value] };
    });
    const opened = await openEmbeddedLog({ dir: changed });
    t.equal((await opened.fetch("a", 1, 0, { recordsMax: 20, bytesMax: 1 << 20 })).records.length, 20, "what stands before is served");
    for (const from of [20, 25]) {
      const error = await failureOf(opened.fetch("a", 1, from, { recordsMax: 1, bytesMax: 1 }));
      t.equal(error.code, "LOG_CORRUPT");
      t.equal(error.place, "a-1:20-29");
    }
    t.equal((await opened.fetch("a", 1, 30, { recordsMax: 20, bytesMax: 1 << 20 })).records.length, 20, "what stands behind is served");
    await opened.close();
  }
});

t.test("a bit flipped in the files is found at opening", async (t) => {
  const dir = newDir();
  const log = await openEmbeddedLog({ dir });
  await log.ensureTopic("a", { partitions: 1 });
  for (let batch = 0; batch < 20; batch++) await log.append("a", recordsOf(100, batch * 100, 100));
  await log.close();
  const file = readdirSync(dir).find((name) => name.endsWith(".log") && statSync(join(dir, name)).size > 10_000) as string;
  const bytes = readFileSync(join(dir, file));
  bytes[5_000] = (bytes[5_000] as number) ^ 1;
  writeFileSync(join(dir, file), bytes);
  const error = await failureOf(openEmbeddedLog({ dir }));
  t.equal(error.code, "LOG_CORRUPT");
  t.match(error.place, new RegExp(`${file}:\\d+$`));
  t.match(error.cure, /copy/);
});

t.test("every fsync policy keeps what was appended through a kill of the process", async (t) => {
  for (const fsync of ["always", "interval", "never"]) {
    const dir = newDir();
    const script = `import { openEmbeddedLog } from "@iot-topology/connectors/embedded-log";
      const log = await openEmbeddedLog({ dir: ${JSON.stringify(dir)}, fsync: ${JSON.stringify(fsync)}, fsyncIntervalMs: 20 });
      await log.ensureTopic("a", { partitions: 1 });
      for (let sequence = 1; ; sequence++) {
        await log.append("a", Array.from({ length: 10 }, (_, index) => ({ key: null, value: String((sequence - 1) * 10 + index), timestamp: 1 })), { producerId: "p", epoch: 1, sequence });
        process.stdout.write(sequence + "\\n");
      }`;
    const child = spawn(process.execPath, ["--conditions=@iot-topology/source", "--input-type=module", "-e", script], { cwd: import.meta.dirname, stdio: ["ignore", "pipe", "inherit"] });
    let told = "";
    child.stdout.on("data", (chunk: Buffer) => {
      told += chunk.toString();
      if (told.length > 300) child.kill("SIGKILL");
    });
    const second = once(child.stdout, "data").then(() => failureOf(openEmbeddedLog({ dir })), () => undefined);
    await once(child, "exit");
    const error = await second;
    t.ok(error === undefined || error.code === "FOLDER_IN_USE" || error.code === "NOT_RUNNING", error?.code ?? "");
    const acknowledged = Number(told.trimEnd().split("\n").at(-1));
    const log = await openEmbeddedLog({ dir });
    const found = await valuesOf(log);
    t.ok(acknowledged > 10 && found.length >= acknowledged * 10, `${fsync}: ${found.length} records of at least ${acknowledged * 10}`);
    t.equal(found.length % 10, 0);
    t.strictSame(found, upTo(found.length));
    t.equal((await log.append("a", recordsOf(1), { producerId: "p", epoch: 1, sequence: found.length / 10 })).repeated, true, "the producer's sequence came with its records");
    await log.close();
  }
});
