import { appendFileSync, cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { c, type ClusterLog, count, defineTopology, hours, openInstance, openSavepoint, readStoredOffsets, record, resetTopology, type SavepointManifest, type SourceLog, sum, type Topology, tumbling, writeSavepoint } from "@iot-topology/core";
import { collect, type CollectConnector, collectConnector, memoryCluster, memoryLog } from "@iot-topology/core/testing";

const Event = record("Event", { id: c.string(), seq: c.uint64(), value: c.float64(), at: c.dateTime64(3, "UTC") });

const build = (name: string, version: number, store: string): Topology =>
  defineTopology(name, { version }, (b) => {
    const unique = b.source("events").cast(Event, { timestamp: "at", partitionedBy: "id" }).dedup(store, { by: ["id", "seq"] });
    unique.sink(collect("history"));
    unique.groupBy("id").windowed(tumbling(hours(1), { grace: "unbounded" })).aggregate("hourly", { n: count(), total: sum("value") }).sink(collect("hourly"));
  });
const topology = build("plant", 1, "seen");

function folder(t: { teardown(end: () => void): void }): string {
  const dir = mkdtempSync(join(tmpdir(), "iot-topology-savepoint-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Events from one number to another, a third of them twice. */
function events(from: number, to: number) {
  const records: { key: string; value: string; timestamp: number }[] = [];
  for (let i = from; i < to; i++) {
    const value = JSON.stringify({ id: `d${i % 7}`, seq: i, value: i % 10, at: (i * 7_919) % hours(20) });
    for (let copy = 0; copy < (i % 3 === 0 ? 2 : 1); copy++) records.push({ key: `d${i % 7}`, value, timestamp: i });
  }
  return records;
}

async function runToEnd(log: SourceLog, stateDir: string, sink: CollectConnector, of: Topology = topology): Promise<void> {
  const instance = await openInstance(of, { log, connectors: [sink], stateDir, commitIntervalMs: 5, commitRecordsMax: 50 });
  instance.run();
  await instance.drain();
  await instance.stop();
}

/** What any right run over the events gives, whoever had which part of it. */
function check(t: { same(a: unknown, b: unknown, name: string): unknown }, sinks: readonly CollectConnector[], upTo: number): void {
  const seqs = sinks.flatMap((sink) => sink.values("history").map((value) => Number((value as { seq: bigint }).seq)));
  t.same(seqs.sort((a, b) => a - b), Array.from({ length: upTo }, (_, i) => i), "each event once, over both runs");
  const newest = new Map<string, { n: number; updates: number }>();
  for (const sink of sinks) {
    for (const value of sink.values("hourly")) {
      const row = value as { id: string; window_start: number; n: bigint; updates: bigint };
      const name = `${row.id}@${row.window_start}`;
      if (Number(row.updates) > (newest.get(name)?.updates ?? 0)) newest.set(name, { n: Number(row.n), updates: Number(row.updates) });
    }
  }
  t.same([...newest.values()].reduce((all, { n }) => all + n, 0), upTo, "windows go on where they stood");
}

t.test("on an embedded log the run goes on in another folder exactly once, with the same log", async (t) => {
  const root = folder(t);
  const log = memoryLog();
  await log.ensureTopic("events", { partitions: 3 });
  await log.append("events", events(0, 300));
  const [before, after] = [collectConnector(), collectConnector()];
  await runToEnd(log, join(root, "a"), before);
  const dir = join(root, "savepoints", "friday");
  const written = await writeSavepoint(topology, { log, stateDir: join(root, "a"), dir });
  t.same(written.tasks.map(({ id }) => id), ["events_0", "events_1", "events_2"]);
  t.same(new Map(written.tasks.flatMap(({ offsets }) => Object.entries(offsets))), await readStoredOffsets("plant", join(root, "a")), "the offsets are those of the state");
  await openSavepoint(topology, { log, stateDir: join(root, "b"), dir });
  await log.append("events", events(300, 400));
  await runToEnd(log, join(root, "b"), after);
  check(t, [before, after], 400);
});

t.test("behind a repartition the run goes on too, and what is not read there yet refuses a savepoint", async (t) => {
  const root = folder(t);
  const again = defineTopology("again", (b) => {
    const unique = b.source("events").cast(Event, { timestamp: "at", partitionedBy: "id" }).dedup("seen", { by: ["id", "seq"] });
    const byValue = unique.repartition("by-value", { by: ["value"] });
    byValue.sink(collect("history"));
    byValue.groupBy("value").count("values").sink(collect("values"));
  });
  const cluster = memoryCluster();
  t.teardown(() => cluster.close());
  for (const [name, log] of [["embedded", memoryLog()], ["cluster", cluster.connect()]] as const) {
    await log.ensureTopic("events", { partitions: 2 });
    await log.append("events", events(0, 200));
    const [before, after] = [collectConnector(), collectConnector()];
    const options = (stateDir: string, sink: CollectConnector) => ({ log, connectors: [sink], stateDir: join(root, name, stateDir) });
    await runToEnd(log, join(root, name, "a"), before, again);
    await writeSavepoint(again, { ...options("a", before), dir: join(root, name, "savepoint") });
    // On the embedded log the producers' sequences belong to the log and to the savepoint: it goes on with both.
    if (name === "cluster") await resetTopology(again, options("a", before));
    await openSavepoint(again, { ...options("b", after), dir: join(root, name, "savepoint") });
    await log.append("events", events(200, 300));
    await runToEnd(log, join(root, name, "b"), after, again);
    t.same(after.values("history").map((row) => Number((row as { seq: bigint }).seq)).sort((a, b) => a - b), Array.from({ length: 100 }, (_, i) => 200 + i), `${name}: each event once`);
    const counts = new Map((after.values("values") as { value: number; n: number; updates: number }[]).toSorted((a, b) => a.updates - b.updates).map(({ value, n }) => [value, n]));
    t.same([...counts.values()], Array.from({ length: 10 }, () => 30), `${name}: counts go on where they stood`);
    await log.append("again-by-value-repartition", [{ key: "1", value: "not read", timestamp: 1 }]);
    await t.rejects(writeSavepoint(again, { ...options("b", after), dir: join(root, name, "another") }), { code: "SAVEPOINT_REFUSED" });
  }
});

t.test("on a cluster stores and offsets are one transaction, and another cluster goes on exactly once", async (t) => {
  const root = folder(t);
  const dir = join(root, "savepoint");
  const [here, there] = [memoryCluster(), memoryCluster()];
  t.teardown(() => [here, there].forEach((cluster) => cluster.close()));
  const prepare = async (log: ClusterLog) => {
    await log.createTopics([{ topic: "events", partitions: 3 }]);
    await log.append("events", events(0, 300));
  };
  const old = here.connect();
  await prepare(old);
  const [before, after] = [collectConnector(), collectConnector()];
  await runToEnd(old, join(root, "a"), before);
  // From a machine without any local state.
  const written = await writeSavepoint(topology, { log: old, stateDir: join(root, "nothing"), dir });
  t.notOk(existsSync(join(root, "nothing")), "nothing is left where it was restored");
  t.same(written, await writeSavepoint(topology, { log: old, stateDir: join(root, "a"), dir: join(root, "again") }).then(({ createdAt: _, ...rest }) => ({ ...rest, createdAt: written.createdAt })), "local state and changelog give the same set");

  const next = there.connect();
  await prepare(next);
  await openSavepoint(topology, { log: next, stateDir: join(root, "b"), dir });
  const offsets = await next.committedOffsets("plant", [0, 1, 2].map((partition) => ({ topic: "events", partition })));
  t.same(offsets, new Map(written.tasks.flatMap((task) => Object.entries(task.offsets))));
  await t.rejects(openSavepoint(topology, { log: next, stateDir: join(root, "b"), dir }), { code: "SAVEPOINT_REFUSED", message: /there is state of this topology on the cluster already/ });
  await next.append("events", events(300, 400));
  await runToEnd(next, join(root, "b"), after);
  check(t, [before, after], 400);
});

t.test("what cannot be right is refused by name, and leaves nothing behind", async (t) => {
  const root = folder(t);
  const log = memoryLog();
  await log.ensureTopic("events", { partitions: 2 });
  await log.append("events", events(0, 60));
  const stateDir = join(root, "a");
  const instance = await openInstance(topology, { log, connectors: [collectConnector()], stateDir });
  instance.run();
  await instance.drain();
  const dir = join(root, "savepoint");
  await t.rejects(writeSavepoint(topology, { log, stateDir, dir }), { code: "FOLDER_IN_USE" }, "while it runs");
  await instance.stop();
  await t.rejects(writeSavepoint(topology, { log, stateDir: join(root, "elsewhere"), dir }), { code: "SAVEPOINT_REFUSED", message: /has no state here/ });
  t.notOk(existsSync(dir));
  t.same(readdirSync(root), ["a"], "nothing is left of an attempt");
  await writeSavepoint(topology, { log, stateDir, dir });
  await t.rejects(writeSavepoint(topology, { log, stateDir, dir }), { code: "SAVEPOINT_REFUSED", message: /not empty/ });
  const opened = (of: Topology, options: { log?: SourceLog; stateDir?: string; dir?: string }) => openSavepoint(of, { log, stateDir: join(root, "b"), dir, ...options });
  await t.rejects(opened(topology, { stateDir }), { code: "SAVEPOINT_REFUSED", message: /there is state of this topology already/ });
  await t.rejects(opened(build("other", 1, "seen"), {}), { code: "SAVEPOINT_INVALID", message: /is of the topology plant, not of other/ });
  await t.rejects(opened(build("plant", 2, "seen"), {}), { code: "SAVEPOINT_INVALID", message: /other steps/ });
  await t.rejects(opened(build("plant", 1, "renamed"), {}), { code: "SAVEPOINT_INVALID", message: /other steps/ });
  const cluster = memoryCluster();
  t.teardown(() => cluster.close());
  await t.rejects(opened(topology, { log: cluster.connect() }), { code: "SAVEPOINT_REFUSED", message: /taken on the embedded log, and its offsets mean nothing on Kafka/ });
  const [shorter, wider] = [memoryLog(), memoryLog()];
  await shorter.ensureTopic("events", { partitions: 2 });
  await wider.ensureTopic("events", { partitions: 3 });
  await t.rejects(opened(topology, { log: shorter }), { code: "OFFSET_OUT_OF_RANGE" }, "another log");
  await t.rejects(opened(topology, { log: wider }), { code: "SAVEPOINT_INVALID", message: /2 tasks of events, and its topics have 3 partitions/ });
  t.notOk(existsSync(join(root, "b", "plant")), "none of these left state behind");
});

t.test("a member of the group forbids it", async (t) => {
  const root = folder(t);
  const cluster = memoryCluster();
  t.teardown(() => cluster.close());
  const log = cluster.connect();
  await log.createTopics([{ topic: "events", partitions: 1 }]);
  const instance = await openInstance(topology, { log, connectors: [collectConnector()], stateDir: join(root, "a") });
  instance.run();
  await instance.drain();
  await t.rejects(writeSavepoint(topology, { log: cluster.connect(), stateDir: join(root, "b"), dir: join(root, "s") }), { code: "SAVEPOINT_REFUSED", message: /its group has 1 member/ });
  await instance.stop();
});

t.test("every flipped, missing or added byte is found before anything is changed", async (t) => {
  const root = folder(t);
  const log = memoryLog();
  await log.ensureTopic("events", { partitions: 1 });
  await log.append("events", events(0, 40));
  await runToEnd(log, join(root, "a"), collectConnector());
  const dir = join(root, "good");
  const manifest: SavepointManifest = await writeSavepoint(topology, { log, stateDir: join(root, "a"), dir });
  const file = manifest.tasks[0]?.file ?? "";
  const good = readFileSync(join(dir, file));
  const attempt = async (name: string, damage: (path: string) => void) => {
    const copy = join(root, "copy");
    cpSync(dir, copy, { recursive: true });
    damage(copy);
    await t.rejects(openSavepoint(topology, { log, stateDir: join(root, "b"), dir: copy }), { code: "SAVEPOINT_INVALID" }, name);
    t.notOk(existsSync(join(root, "b", "plant")), `${name}: nothing was made`);
    rmSync(copy, { recursive: true });
  };
  for (const at of [0, 9, 20, Math.floor(good.length / 2), good.length - 20, good.length - 1]) {
    await attempt(`flipped at ${at}`, (copy) => {
      const bytes = Buffer.from(good);
      bytes[at] = (bytes[at] ?? 0) ^ 0x10;
      writeFileSync(join(copy, file), bytes);
    });
  }
  await attempt("cut", (copy) => writeFileSync(join(copy, file), good.subarray(0, good.length - 30)));
  await attempt("longer", (copy) => appendFileSync(join(copy, file), "x"));
  await attempt("no manifest", (copy) => rmSync(join(copy, "manifest.json")));
  await attempt("a way out of the folder", (copy) => writeFileSync(join(copy, "manifest.json"), JSON.stringify({ ...manifest, tasks: [{ ...manifest.tasks[0], file: "../good/x.entries" }] })));
});
