import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { armFailpoints, type ClusterLog, defineTopology, disarmFailpoints, openInstance, serde, type SourceLog, type Topology, TopologyError } from "@iot-topology/core";
import { collect, type CollectConnector, collectConnector, memoryCluster, memoryLog } from "@iot-topology/core/testing";
import { type ScheduledRecord, straightRun } from "../spec/crash-schedule.ts";
import { randomOf, seedOf } from "../spec/crashes.ts";

interface Order {
  readonly customer: string | null;
  readonly n: number;
}
const TARGETS = ["joined", "named", "sums", "recent", "versions"];

/** Every kind of store that tables have, in one task. */
const tables: Topology = defineTopology("tables", (b) => {
  const orders = b.table("orders", { store: "orders", value: serde.json<Order>() });
  const notes = b.table("notes", { store: "notes", value: serde.json<string>() });
  orders.outerJoin(notes, (order, note) => `${order?.n ?? null}|${note}`, { store: "joined", value: serde.string() }).toStream().sink(collect("joined"));
  orders.leftJoinByForeignKey(notes, ({ n }, note) => `${n}|${note}`, { name: "by-customer", foreignKey: ({ customer }) => customer }).toStream().sink(collect("named"));
  orders.groupBy(({ customer, n }) => ({ key: customer, value: n })).reduce("sums", { value: serde.integer() }, { add: (sum, n) => sum + n, subtract: (sum, n) => sum - n }).toStream().sink(collect("sums"));
  b.source("visits").decode(serde.json<number>()).groupByKey().count("recent", { ttl: 150 }).toStream().sink(collect("recent"));
  b.table("prices", { store: "prices", value: serde.integer(), history: 200 }).toStream().sink(collect("versions"));
});

function recordsOf(seed: number, count: number): ScheduledRecord[] {
  const random = randomOf(seed);
  const pick = (): string => `k${Math.floor(random() * 25)}`;
  return Array.from({ length: count }, (_, n): ScheduledRecord => {
    const topic = ["orders", "notes", "visits"][Math.floor(random() * 3)] as string;
    if (topic === "visits") return [topic, pick(), 1, n];
    if (random() < 0.15) return [topic, pick(), null, n];
    return [topic, pick(), topic === "notes" ? `N${n}` : { customer: random() < 0.2 ? null : pick(), n }, n];
  });
}
const append = async (log: SourceLog, records: readonly ScheduledRecord[]): Promise<void> => {
  for (const topic of new Set(records.map(([name]) => name))) {
    await log.append(topic, records.filter(([name]) => name === topic).map(([, key, value, timestamp]) => ({ key: Buffer.from(key as string), value: value === null ? null : Buffer.from(JSON.stringify(value)), timestamp })));
  }
};
const rowsOf = (sink: CollectConnector) => Object.fromEntries(TARGETS.map((target) => [target, sink.rows(target).map(({ key, value, timestamp }) => [key, value, timestamp])]));
const expectedOf = (records: readonly ScheduledRecord[]) => {
  const driver = straightRun(tables, records);
  return Object.fromEntries(TARGETS.map((target) => [target, driver.rows(target).map(({ key, value, timestamp }) => [key, value, timestamp])]));
};

t.test("tables on disk go on after kills at every step of a commit, and make the rows of a run without", async (t) => {
  t.teardown(disarmFailpoints);
  const seed = seedOf(t);
  const dir = mkdtempSync(join(tmpdir(), "iot-topology-tables-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const log = memoryLog();
  for (const topic of ["orders", "notes", "visits", "prices"]) await log.ensureTopic(topic, { partitions: 1 });
  const records = recordsOf(seed, 1_500);
  await append(log, records);
  const sink = collectConnector();
  let fired = 0;
  for (const point of ["commit.before-seal", "commit.before-write", "commit.after-write", "commit.after-committed", "commit.before-write", ""]) {
    if (point !== "") {
      armFailpoints(`${point}=4`, (name) => {
        fired++;
        throw new TopologyError("TASK_FAILED", `crash at ${name}`);
      });
    }
    // A cache far smaller than the keys: rows come from the disk.
    const instance = await openInstance(tables, { log, connectors: [sink], stateDir: dir, commitRecordsMax: 40, commitIntervalMs: 2, cacheEntriesMax: 20 });
    instance.run();
    if (point === "") await instance.drain();
    else await instance.drain().catch(() => {});
    disarmFailpoints();
    await instance.stop();
  }
  t.equal(fired, 5);
  t.strictSame(rowsOf(sink), expectedOf(records));
});

t.test("on a cluster a task's tables are restored from its changelog by the process that takes it over", async (t) => {
  const seed = seedOf(t);
  const cluster = memoryCluster();
  t.teardown(() => cluster.close());
  const feeder: ClusterLog = cluster.connect();
  await feeder.createTopics(["orders", "notes", "visits", "prices"].map((topic) => ({ topic, partitions: 1 })));
  const records = recordsOf(seed, 1_200);
  const sink = collectConnector();
  for (const [from, to] of [[0, 400], [400, 800], [800, 1_200]] as const) {
    await append(feeder, records.slice(from, to));
    const instance = await openInstance(tables, { log: cluster.connect(), connectors: [sink], stateDir: null, commitRecordsMax: 50, commitIntervalMs: 2, cacheEntriesMax: 20, sessionTimeoutMs: 1_000 });
    instance.run();
    await instance.drain();
    await instance.stop();
  }
  t.strictSame(rowsOf(sink), expectedOf(records));
});
