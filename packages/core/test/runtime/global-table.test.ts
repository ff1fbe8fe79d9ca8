import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { armFailpoints, defineTopology, disarmFailpoints, type Instance, openInstance, type ProducerRecord, serde, type SourceLog, type Topology, TopologyError } from "@iot-topology/core";
import { collect, type CollectConnector, collectConnector, memoryCluster, memoryLog } from "@iot-topology/core/testing";

const KEYS = 40;
const PARTITIONS_NAMES = 5;

function folder(t: { teardown(end: () => void): void }): string {
  const dir = mkdtempSync(join(tmpdir(), "iot-topology-global-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Two parts with the same global table. */
const topology: Topology = defineTopology("clicks", (b) => {
  const names = b.globalTable("names", { store: "names", value: serde.json<string>() });
  for (const source of ["one", "two"]) {
    b.source(source).decode(serde.json<number>()).join(names, (n, name) => `${n} ${name}`, { key: (n) => `k${n % KEYS}` }).sink(collect(`out-${source}`));
  }
});
const records = (values: readonly (readonly [string, unknown])[], timestamp = 1_000): ProducerRecord[] => values.map(([key, value]) => ({ key: Buffer.from(key), value: Buffer.from(JSON.stringify(value)), timestamp }));
const namesOf = (version: string) => records(Array.from({ length: KEYS }, (_, n) => [`k${n}`, `${version}${n}`]));
const clicks = (from: number, to: number) => records(Array.from({ length: to - from }, (_, n) => [`c${(from + n) % 17}`, from + n]), 10);
const expected = (from: number, to: number, version: string) => Array.from({ length: to - from }, (_, n) => `${from + n} ${version}${(from + n) % KEYS}`);
const rowsOf = (sink: CollectConnector) => ["out-one", "out-two"].map((target) => [...(sink.values(target) as string[])].sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10)));

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

async function prepare(log: SourceLog): Promise<void> {
  await log.ensureTopic("names", { partitions: PARTITIONS_NAMES });
  for (const source of ["one", "two"]) await log.ensureTopic(source, { partitions: source === "one" ? 3 : 2 });
}

t.test("each task reads all of a global table before the records that wait, and goes on where it was", async (t) => {
  const log = memoryLog();
  const sink = collectConnector();
  const dir = folder(t);
  await prepare(log);
  const open = (): Promise<Instance> => openInstance(topology, { log, connectors: [sink], stateDir: dir, commitRecordsMax: 50, commitIntervalMs: 5 });
  for (const source of ["one", "two"]) await log.append(source, clicks(0, 500));
  // Later in the log and in time than all clicks.
  await log.append("names", namesOf("a"));
  const first = await open();
  first.run();
  await first.drain();
  t.same(rowsOf(sink), [expected(0, 500, "a"), expected(0, 500, "a")]);
  t.same(first.status().tasks.map(({ inputs }) => inputs.length), [1, 1, 1, 1, 1].map((own) => own + PARTITIONS_NAMES));
  await log.append("names", namesOf("b"));
  await first.drain();
  for (const source of ["one", "two"]) await log.append(source, clicks(500, 900));
  await first.drain();
  await first.stop();
  t.same(rowsOf(sink)[0]?.slice(500), expected(500, 900, "b"));
  const second = await open();
  const before = second.status().counters.read;
  for (const source of ["one", "two"]) await log.append(source, clicks(900, 1_000));
  second.run();
  await second.drain();
  t.equal(second.status().counters.read - before, 200, "nothing of the table is read again");
  await second.stop();
  t.same(rowsOf(sink)[1]?.slice(900), expected(900, 1_000, "b"));
});

t.test("rows and positions of a global table are in the same commit as all else", async (t) => {
  t.teardown(disarmFailpoints);
  const dir = folder(t);
  const log = memoryLog();
  const sink = collectConnector();
  await prepare(log);
  for (const source of ["one", "two"]) await log.append(source, clicks(0, 300));
  await log.append("names", namesOf("a"));
  let fired = 0;
  for (const point of ["commit.before-write", "commit.after-write", "commit.before-seal", "commit.before-write", "commit.after-committed"]) {
    armFailpoints(`${point}=3`, (name) => {
      fired++;
      throw new TopologyError("TASK_FAILED", `crash at ${name}`);
    });
    const instance = await openInstance(topology, { log, connectors: [sink], stateDir: dir, commitRecordsMax: 40, commitIntervalMs: 2 });
    instance.run();
    await instance.drain().catch(() => {});
    disarmFailpoints();
    await instance.stop().catch(() => {});
  }
  t.ok(fired >= 3, `${fired} kills`);
  const last = await openInstance(topology, { log, connectors: [sink], stateDir: dir });
  last.run();
  await last.drain();
  await last.stop();
  t.same(rowsOf(sink), [expected(0, 300, "a"), expected(0, 300, "a")]);
});

t.test("on a cluster every process reads the whole table, and a task that moves takes its copy with it", async (t) => {
  const cluster = memoryCluster();
  t.teardown(() => cluster.close());
  const sink = collectConnector();
  const feeder = cluster.connect();
  await feeder.createTopics([{ topic: "names", partitions: PARTITIONS_NAMES }, { topic: "one", partitions: 4 }, { topic: "two", partitions: 2 }]);
  for (const source of ["one", "two"]) await feeder.append(source, clicks(0, 500));
  await feeder.append("names", namesOf("a"));
  const open = (): Promise<Instance> => openInstance(topology, { log: cluster.connect(), connectors: [sink], stateDir: null, commitRecordsMax: 60, commitIntervalMs: 5, sessionTimeoutMs: 1_000 });
  const first = await open();
  first.run();
  await first.drain();
  t.same(rowsOf(sink), [expected(0, 500, "a"), expected(0, 500, "a")]);
  await feeder.append("names", namesOf("b"));
  await first.drain();
  const second = await open();
  second.run();
  await until(() => first.status().tasks.length === 3 && second.status().tasks.length === 3);
  for (const source of ["one", "two"]) await feeder.append(source, clicks(500, 900));
  await Promise.all([first.drain(), second.drain()]);
  t.same(rowsOf(sink).map((rows) => rows.slice(500)), [expected(500, 900, "b"), expected(500, 900, "b")]);
  t.ok(second.status().tasks.every(({ inputs }) => inputs.filter(({ topic }) => topic === "names").length === PARTITIONS_NAMES));
  const committed = await feeder.committedOffsets("clicks", Array.from({ length: PARTITIONS_NAMES }, (_, partition) => ({ topic: "names", partition })));
  t.equal(committed.size, 0, "the group keeps no positions of the global topic");
  await first.stop();
  await feeder.append("names", namesOf("c"));
  await until(() => second.status().tasks.length === 6);
  await second.drain();
  for (const source of ["one", "two"]) await feeder.append(source, clicks(900, 1_000));
  await second.drain();
  await second.stop();
  t.same(rowsOf(sink).map((rows) => rows.slice(900)), [expected(900, 1_000, "c"), expected(900, 1_000, "c")]);
});

interface Device {
  readonly site: string;
  readonly n: number;
}

t.test("a join by foreign key with a global table is right over several partitions, whichever side changes and whatever is killed", async (t) => {
  t.teardown(disarmFailpoints);
  const joined = defineTopology("named", (b) => {
    const sites = b.globalTable("sites", { store: "sites", value: serde.json<string>() });
    const rows = b.table("devices", { store: "devices", value: serde.json<Device>() }).joinByForeignKey(sites, ({ n }, site, key) => ({ key, text: `${n} ${site}` }), { name: "by-site", foreignKey: ({ site }) => site });
    rows.toStream().sink(collect("out"));
  });
  const dir = folder(t);
  const log = memoryLog();
  const sink = collectConnector();
  await log.ensureTopic("sites", { partitions: 2 });
  await log.ensureTopic("devices", { partitions: 3 });
  const sites = new Map<string, string>();
  const devices = new Map<string, Device>();
  let fired = 0;
  for (const [round, point] of ["commit.before-write", "commit.after-write", "commit.before-seal", "commit.after-committed", ""].entries()) {
    for (let n = 0; n < 6; n++) sites.set(`s${n}`, `${round}/${n}`);
    for (let n = round * 20; n < round * 20 + 60; n++) devices.set(`d${n % 80}`, { site: `s${(n * 7 + round) % 6}`, n });
    await log.append("sites", records([...sites]));
    await log.append("devices", records([...devices]));
    if (point !== "") {
      armFailpoints(`${point}=3`, (name) => {
        fired++;
        throw new TopologyError("TASK_FAILED", `crash at ${name}`);
      });
    }
    const instance = await openInstance(joined, { log, connectors: [sink], stateDir: dir, commitRecordsMax: 25, commitIntervalMs: 2 });
    instance.run();
    if (point === "") await instance.drain();
    else await instance.drain().catch(() => {});
    disarmFailpoints();
    await instance.stop();
  }
  t.equal(fired, 4);
  const last = new Map((sink.values("out") as ({ readonly key: string; readonly text: string } | null)[]).flatMap((row) => (row === null ? [] : [[row.key, row.text] as const])));
  const wanted = new Map([...devices].map(([key, { site, n }]) => [key, `${n} ${sites.get(site)}`]));
  const sorted = (map: ReadonlyMap<string, string>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
  t.strictSame(sorted(last), sorted(wanted));
  const instance = await openInstance(joined, { log, connectors: [sink], stateDir: dir });
  instance.run();
  const before = sink.values("out").length;
  await log.append("sites", records([["s1", "new"]]));
  await instance.drain();
  await instance.stop();
  const named = [...devices].filter(([, { site }]) => site === "s1").map(([, { n }]) => `${n} new`);
  t.same((sink.values("out").slice(before) as { readonly text: string }[]).map(({ text }) => text).sort(), named.sort(), "one row for each device of the site, of whichever task");
  const places = sink.rows("out").map(({ topic, partition, offset, index }) => `${topic}/${partition}/${offset}/${index}`);
  t.equal(new Set(places).size, places.length, "no two rows have one place, though all tasks read the same record");
});

t.test("a global topic that does not exist is named, with what to do", async (t) => {
  const cluster = memoryCluster();
  t.teardown(() => cluster.close());
  const log = cluster.connect();
  await log.createTopics([{ topic: "one", partitions: 1 }, { topic: "two", partitions: 1 }]);
  await t.rejects(openInstance(topology, { log, connectors: [collectConnector()], stateDir: null }), { code: "TOPIC_NOT_FOUND", place: "names" });
  const instance = await openInstance(topology, { log, connectors: [collectConnector()], stateDir: null, createTopics: true, partitions: 3 });
  t.equal(await log.partitionCount("names"), 3);
  await instance.stop();
});
