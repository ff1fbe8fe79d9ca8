/** Groups of a table of several partitions: its changes go through a topic to the task that has their group. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isLeft } from "fp-ts/lib/Either.js";
import t from "tap";
import { armFailpoints, defineTopology, disarmFailpoints, openInstance, type Serde, serde, stepsBoundToOnePartition, type Topology, TopologyError, validate } from "@iot-topology/core";
import { collect, collectConnector, memoryLog } from "@iot-topology/core/testing";
import { crashingRun, randomRecords, type ScheduledRecord, straightRun } from "./crash-schedule.ts";
import { randomOf, seedOf } from "./crashes.ts";

interface Device {
  readonly site: string | null;
  readonly load: number;
}
interface Sum {
  readonly n: number;
  readonly load: number;
}
const sites = (repartition: boolean, load: Serde<number> = serde.integer()): Topology =>
  defineTopology("sites", (b) => {
    const devices = b.table("in", { store: "devices", value: serde.json<Device>() });
    const group = ({ site, load }: Device) => ({ key: site, value: load });
    (repartition ? devices.groupBy(group, { repartition: "by-site", value: load }) : devices.groupBy(group))
      .aggregate("sums", { value: serde.json<Sum>(), init: () => ({ n: 0, load: 0 }), add: ({ n, load }, more) => ({ n: n + 1, load: load + more }), subtract: ({ n, load }, less) => ({ n: n - 1, load: load - less }) })
      .toStream()
      .map((sum, { key }) => ({ key, ...sum }))
      .sink(collect("out"));
  });
const partsOf = (topology: Topology) => {
  const plan = validate(topology);
  if (isLeft(plan)) throw new Error(JSON.stringify(plan.left));
  return plan.right.subTopologies;
};

function totals(records: readonly ScheduledRecord[]): Map<string, Sum> {
  const rows = new Map(records.map(([, key, value]) => [key, value as Device | null]));
  const sums = new Map<string, Sum>();
  for (const row of rows.values()) {
    if (row === null || row.site === null) continue;
    const { n, load } = sums.get(row.site) ?? { n: 0, load: 0 };
    sums.set(row.site, { n: n + 1, load: load + row.load });
  }
  return sums;
}
function lastOf(values: readonly unknown[]): Map<string, Sum> {
  const last = new Map((values as (Sum & { key: string })[]).map(({ key, n, load }) => [key, { n, load }]));
  return new Map([...last].filter(([, { n }]) => n > 0));
}
const sorted = <T>(map: Map<string, T>): [string, T][] => [...map].sort(([a], [b]) => (a < b ? -1 : 1));

t.test("without a repartition the groups are bound to one partition, with it they are a part of their own", (t) => {
  t.same(partsOf(sites(false)).map((part) => [part.name, stepsBoundToOnePartition(part)]), [["in", ["sums"]]]);
  t.same(partsOf(sites(true)).map((part) => [part.name, stepsBoundToOnePartition(part)]), [["in", []], ["by-site", []]]);
  t.end();
});

t.test("changes go through whole: the same rows, in the same order and with the same times", (t) => {
  const seed = seedOf(t);
  const random = randomOf(seed);
  for (let round = 0; round < 10; round++) {
    const records = randomRecords(random, ["in"], 120, (n) => ({ site: random() < 0.1 ? null : "xyz"[Math.floor(random() * 3)], load: n }));
    const rows = (topology: Topology) => straightRun(topology, records).rows("out").map(({ key, value, timestamp }) => [key, value, timestamp]);
    t.strictSame(rows(sites(true)), rows(sites(false)));
    const driver = crashingRun(sites(true), records, random);
    t.strictSame(driver.rows("out").map(({ key, value, timestamp }) => [key, value, timestamp]), rows(sites(true)));
  }
  t.end();
});

t.test("over four partitions, with kills in between, totals are those of the rows at the end", async (t) => {
  t.teardown(disarmFailpoints);
  const seed = seedOf(t);
  const random = randomOf(seed);
  const dir = mkdtempSync(join(tmpdir(), "iot-topology-groups-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const log = memoryLog();
  await log.ensureTopic("in", { partitions: 4 });
  const sink = collectConnector();
  const records = Array.from({ length: 2_000 }, (_, n): ScheduledRecord => {
    const value = random() < 0.1 ? null : { site: random() < 0.1 ? null : `s${Math.floor(random() * 9)}`, load: n };
    return ["in", `d${Math.floor(random() * 60)}`, value, n];
  });
  await t.rejects(openInstance(sites(false), { log, connectors: [sink], stateDir: null }), { code: "TOPIC_MISMATCH", cure: /repartition/ });
  let fired = 0;
  const points = ["commit.before-write", "commit.after-write", "commit.before-seal", "commit.after-committed"];
  for (const [round, point] of [...points, ""].entries()) {
    const from = round * 400;
    await log.append("in", records.slice(from, from + 400).map(([, key, value, timestamp]) => ({ key: Buffer.from(key as string), value: value === null ? null : Buffer.from(JSON.stringify(value)), timestamp })));
    if (point !== "") {
      armFailpoints(`${point}=${3 + round}`, (name) => {
        fired++;
        throw new TopologyError("TASK_FAILED", `crash at ${name}`);
      });
    }
    const instance = await openInstance(sites(true), { log, connectors: [sink], stateDir: dir, commitRecordsMax: 30, commitIntervalMs: 2 });
    instance.run();
    if (point === "") await instance.drain();
    else await instance.drain().catch(() => {});
    if (point === "") t.equal(instance.status().tasks.length, 8);
    disarmFailpoints();
    await instance.stop();
  }
  t.equal(fired, 4);
  t.strictSame(sorted(lastOf(sink.values("out"))), sorted(totals(records)));
});

t.test("changes that another serde wrote stop the task rather than be misread", async (t) => {
  const log = memoryLog();
  const run = async (topology: Topology, connector = collectConnector()): Promise<unknown> => {
    const instance = await openInstance(topology, { log, connectors: [connector], stateDir: null });
    instance.run();
    const failed = await instance.drain().then(() => undefined, (error: unknown) => error);
    await instance.stop();
    return failed;
  };
  await log.ensureTopic("in", { partitions: 1 });
  await log.append("in", [{ key: Buffer.from("a"), value: Buffer.from('{"site":"x","load":1}'), timestamp: 1 }]);
  t.equal(await run(sites(true)), undefined);
  t.match(await run(sites(true, serde.float64())), { code: "TOPIC_MISMATCH" });
});
