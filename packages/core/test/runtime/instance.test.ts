import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { armFailpoints, c, count, defineTopology, disarmFailpoints, hours, type Instance, openInstance, record, resetTopology, sum, topic, type Topology, TopologyError, tumbling } from "@iot-topology/core";
import { collect, type CollectConnector, collectConnector, memoryLog } from "@iot-topology/core/testing";
import { checkPlant, Event, makeEvents } from "./plant-events.ts";

function folder(t: { teardown(end: () => void): void }): string {
  const dir = mkdtempSync(join(tmpdir(), "iot-topology-instance-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const topology: Topology = defineTopology("plant", (b) => {
  const dead = b.deadLetter("dead");
  dead.sink(collect("dead"));
  const unique = b.source("events").cast(Event, { timestamp: "at", partitionedBy: "id", onError: dead }).dedup("seen", { by: ["id", "seq"] });
  unique.sink(collect("history"));
  unique.groupBy("id").windowed(tumbling(hours(1), { grace: "unbounded" })).aggregate("hourly", { n: count(), total: sum("value") }).sink(collect("hourly"));
});

type Log = ReturnType<typeof memoryLog>;
const open = (log: Log, sink: CollectConnector, stateDir: string | null, more: object = {}): Promise<Instance> =>
  openInstance(topology, { log, connectors: [sink], stateDir, partitions: 3, commitRecordsMax: 300, commitIntervalMs: 5, ...more });

t.test("a topology over three partitions gives what the model gives, and nothing more when it is run again", async (t) => {
  const dir = folder(t);
  const log = memoryLog();
  const sink = collectConnector();
  const expected = makeEvents(6_000, 1);
  const first = await open(log, sink, dir);
  await log.append("events", expected.records);
  first.run();
  await first.drain();
  const { counters, tasks } = first.status();
  t.equal(tasks.length, 3);
  t.equal(counters.read, 6_000);
  t.equal(counters.read, (counters.written["history"] ?? 0) + counters.deduplicated + expected.nonsense);
  await first.stop();
  checkPlant(t, sink, expected, "first run");
  const batches = sink.batches.length;
  const second = await open(log, sink, dir);
  second.run();
  await second.drain();
  t.equal(second.status().counters.read, 6_000, "counters survive");
  await second.stop();
  t.equal(sink.batches.length, batches, "nothing is delivered twice");
});

t.test("rows that are many bytes are committed before there are many of them", async (t) => {
  const Note = record("Note", { id: c.string(), text: c.string() });
  const notes = defineTopology("notes", (b) => b.source("notes").cast(Note).sink(collect("notes")));
  const log = memoryLog();
  const sink = collectConnector();
  const text = "x".repeat(100_000);
  const instance = await openInstance(notes, { log, connectors: [sink], stateDir: folder(t), commitIntervalMs: 60_000 });
  await log.append("notes", Array.from({ length: 300 }, (_, index) => ({ key: null, value: JSON.stringify({ id: `n${index}`, text }), timestamp: 0 })));
  instance.run();
  await instance.drain();
  await instance.stop();
  t.equal(sink.rows("notes").length, 300);
  t.ok(sink.batches.length >= 3, `30 MB in ${sink.batches.length} batches`);
});

const STEPS = ["commit.before-seal", "commit.before-write", "commit.after-write", "commit.after-committed", "deliver.before-send", "deliver.after-send", "deliver.after-acknowledge"];

t.test("a crash at each step of the commit, at several times each, loses and doubles nothing", async (t) => {
  for (const [index, step] of STEPS.entries()) {
    const dir = folder(t);
    const log = memoryLog();
    const sink = collectConnector();
    const expected = makeEvents(9_000, 100 + index);
    await (await open(log, sink, dir)).stop();
    await log.append("events", expected.records);
    let fired = 0;
    for (const passage of [1, 4, 9]) {
      // In this process a crash is an exception that nothing handles but the instance's end: memory is dropped, the files stay.
      armFailpoints(`${step}=${passage}`, (name) => {
        fired++;
        throw new TopologyError("TASK_FAILED", `crash at ${name}`);
      });
      const instance = await open(log, sink, dir);
      instance.run();
      const outcome = await instance.drain().then(() => "done", (error: unknown) => (error as Error).message);
      t.match(outcome, /crash at/, `${step}: the fault came before the work was over`);
      disarmFailpoints();
      await instance.stop();
    }
    t.equal(fired, 3, `${step}: fired`);
    const last = await open(log, sink, dir);
    last.run();
    await last.drain();
    await last.stop();
    checkPlant(t, sink, expected, step);
  }
});

t.test("a sink that fails for a while is tried again until it works, and the input pauses meanwhile", async (t) => {
  let failures = 12;
  let arrived = 0;
  const sink = collectConnector({
    before: () => {
      if (failures-- > 0) throw new TopologyError("CLICKHOUSE_UNREACHABLE", "down", { retriable: true });
    },
    // The answer is lost although the rows arrived.
    after: () => {
      if (arrived++ % 3 === 0) throw new TopologyError("CLICKHOUSE_UNREACHABLE", "no answer", { retriable: true });
    },
  });
  const log = memoryLog();
  const expected = makeEvents(3_000, 3);
  const instance = await open(log, sink, null, { outboxBatchesMax: 2, clock: { now: () => Date.now(), sleep: () => new Promise((resolve) => setImmediate(resolve)) } });
  await log.append("events", expected.records);
  instance.run();
  await instance.drain();
  t.ok(failures < 0 && arrived > 3, "the faults fired");
  await instance.stop();
  checkPlant(t, sink, expected, "after failures");
});

t.test("a sink that refuses for good fails the instance, and nothing is lost", async (t) => {
  const dir = folder(t);
  let refuse = true;
  const sink = collectConnector({
    before: () => {
      if (refuse) throw new TopologyError("SINK_FAILED", "no such column");
    },
  });
  const log = memoryLog();
  const expected = makeEvents(1_000, 4);
  const first = await open(log, sink, dir);
  await log.append("events", expected.records);
  first.run();
  await t.rejects(first.drain(), { code: "SINK_FAILED" });
  t.equal(first.status().state, "failed");
  await first.stop();
  refuse = false;
  const second = await open(log, sink, dir);
  second.run();
  await second.drain();
  await second.stop();
  checkPlant(t, sink, expected, "after the cure");
});

t.test("flipped bits in the state are found, set aside and rebuilt from the log, without doubling what was delivered", async (t) => {
  let rebuilt = 0;
  for (const round of [1, 2, 3, 4, 5, 6]) {
    const dir = folder(t);
    const log = memoryLog();
    const sink = collectConnector();
    const expected = makeEvents(3_000, 40 + round);
    const first = await open(log, sink, dir);
    await log.append("events", expected.records.slice(0, 2_000));
    first.run();
    await first.drain();
    await first.stop();
    const task = join(dir, "plant", readdirSync(join(dir, "plant"))[0] ?? "");
    const file = readdirSync(task).filter((name) => /\.(ldb|log)$/.test(name)).map((name) => join(task, name)).sort((a, b) => statSync(b).size - statSync(a).size)[0] ?? "";
    const bytes = readFileSync(file);
    const at = Math.floor((bytes.length * round) / 7);
    bytes[at] = (bytes[at] as number) ^ (1 << round % 8);
    writeFileSync(file, bytes);
    await log.append("events", expected.records.slice(2_000));
    const errors: string[] = [];
    const second = await open(log, sink, dir, { logger: { debug() {}, info() {}, warn() {}, error: (_fields: object, message: string) => errors.push(message) } });
    second.run();
    await second.drain();
    await second.stop();
    if (errors.some((message) => message.includes("set aside"))) rebuilt++;
    checkPlant(t, sink, expected, `round ${round}`);
  }
  t.equal(rebuilt, 6, "every flip was found");
});

t.test("a lost state folder is rebuilt from the log", async (t) => {
  const dir = folder(t);
  const log = memoryLog();
  const sink = collectConnector();
  const expected = makeEvents(3_000, 77);
  const first = await open(log, sink, dir);
  await log.append("events", expected.records);
  first.run();
  await first.drain();
  await first.stop();
  rmSync(dir, { recursive: true });
  const second = await open(log, sink, dir);
  t.ok(second.status().tasks.every((task) => task.rebuilding));
  second.run();
  await second.drain();
  t.notOk(second.status().tasks.some((task) => task.rebuilding));
  await second.stop();
  checkPlant(t, sink, expected, "rebuilt");
});

t.test("a topic of the log as a sink gets each row once, and feeds another part of the topology", async (t) => {
  const dir = folder(t);
  const log = memoryLog();
  const sink = collectConnector();
  const chained = defineTopology("chained", (b) => {
    b.source("raw").cast(Event, { partitionedBy: "id" }).dedup("seen", { by: ["id", "seq"] }).sink(topic("clean", Event, { key: (v) => v.id }));
    b.source("clean").cast(Event, { name: "again" }).sink(collect("out"));
  });
  for (const step of ["commit.after-write=2", "deliver.after-send=3", ""]) {
    const instance = await openInstance(chained, { log, connectors: [sink], stateDir: dir, partitions: 2, commitRecordsMax: 50 });
    if (step === "commit.after-write=2") await log.append("raw", Array.from({ length: 500 }, (_, n) => ({ key: `k${n % 5}`, value: `{"id":"k${n % 5}","seq":${n % 400},"value":1,"at":1}`, timestamp: n })));
    if (step !== "") armFailpoints(step, (name) => { throw new TopologyError("TASK_FAILED", `crash at ${name}`); });
    instance.run();
    const outcome = await instance.drain().then(() => "done", () => "crashed");
    t.equal(outcome, step === "" ? "done" : "crashed");
    disarmFailpoints();
    await instance.stop();
  }
  const seqs = sink.values("out").map((v) => Number((v as { seq: bigint }).seq));
  t.same([...seqs].sort((a, b) => a - b), Array.from({ length: 400 }, (_, n) => n));
});

t.test("a lost state folder is told where a topic sink already holds its batches, rather than losing rows to repeats", async (t) => {
  const dir = folder(t);
  const log = memoryLog();
  const copying = defineTopology("copying", (b) => b.source("raw").cast(Event).sink(topic("copy", Event)));
  const first = await openInstance(copying, { log, connectors: [], stateDir: dir });
  await log.append("raw", [{ key: "a", value: '{"id":"a","seq":1,"value":1,"at":1}', timestamp: 1 }]);
  first.run();
  await first.drain();
  await first.stop();
  rmSync(dir, { recursive: true });
  await log.append("raw", [{ key: "a", value: '{"id":"a","seq":2,"value":1,"at":1}', timestamp: 1 }]);
  const second = await openInstance(copying, { log, connectors: [], stateDir: dir });
  second.run();
  await t.rejects(second.drain(), { code: "SINK_MISMATCH" });
  await second.stop();
});

t.test("a reset topology processes the log anew: its state is gone, and its topic sinks take its batches again", async (t) => {
  const dir = folder(t);
  const log = memoryLog();
  const copying = defineTopology("copying", (b) => b.source("raw").cast(Event).sink(topic("copy", Event)));
  const options = { log, connectors: [], stateDir: dir };
  const run = async (): Promise<number> => {
    const instance = await openInstance(copying, options);
    instance.run();
    await instance.drain();
    const [input] = instance.status().tasks[0]?.inputs ?? [];
    t.equal(input?.committed, input?.end, "what is drained is committed");
    await instance.stop();
    return log.recordsOf("copy").length;
  };
  await log.ensureTopic("raw", { partitions: 1 });
  await log.append("raw", [{ key: "a", value: '{"id":"a","seq":1,"value":1,"at":1}', timestamp: 1 }]);
  t.equal(await run(), 1);
  t.equal(await run(), 1);
  await resetTopology(copying, options);
  t.equal(await run(), 2);
});

t.test("state by fields that the topic is not keyed by is refused over several partitions, and a wrong key goes to the dead letters", async (t) => {
  const sink = collectConnector();
  const unkeyed = defineTopology("unkeyed", (b) => b.source("in").cast(Event).dedup("seen", { by: ["id"] }).sink(collect("out")));
  await t.rejects(openInstance(unkeyed, { log: memoryLog(), connectors: [sink], stateDir: null, partitions: 2 }), { code: "TOPIC_MISMATCH", message: /seen/ });
  const log = memoryLog();
  const instance = await open(log, sink, null);
  await log.append("events", [{ key: "other", value: '{"id":"d1","seq":1,"value":1,"at":1}', timestamp: 1 }]);
  instance.run();
  await instance.drain();
  await instance.stop();
  t.match(sink.values("dead"), [{ code: "KEY_MISMATCH", field: "id" }]);
});

t.test("a second instance on the same state folder is refused by name", async (t) => {
  const dir = folder(t);
  const log = memoryLog();
  const first = await open(log, collectConnector(), dir);
  await t.rejects(open(log, collectConnector(), dir), { code: "FOLDER_IN_USE" });
  await first.stop();
});
