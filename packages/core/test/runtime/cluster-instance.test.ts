import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { type ClusterLog, count, defineTopology, hours, type Instance, type Logger, openInstance, resetTopology, sum, topic, type Topology, TopologyError, tumbling } from "@iot-topology/core";
import { collect, type CollectConnector, collectConnector, memoryCluster } from "@iot-topology/core/testing";
import { checkPlant, Event, makeEvents } from "./plant-events.ts";

function folder(t: { teardown(end: () => void): void }): string {
  const dir = mkdtempSync(join(tmpdir(), "iot-topology-cluster-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const topology: Topology = defineTopology("plant", (b) => {
  const dead = b.deadLetter("dead");
  dead.sink(collect("dead"));
  const unique = b.source("events").cast(Event, { timestamp: "at", partitionedBy: "id", onError: dead }).dedup("seen", { by: ["id", "seq"] });
  unique.sink(collect("history"), topic("clean", Event, { key: ({ id }) => id }));
  unique.groupBy("id").windowed(tumbling(hours(1), { grace: "unbounded" })).aggregate("hourly", { n: count(), total: sum("value") }).sink(collect("hourly"));
});

function check(t: { same: typeof import("tap").t.same; equal: typeof import("tap").t.equal }, sink: CollectConnector, cluster: ReturnType<typeof memoryCluster>, expected: ReturnType<typeof makeEvents>): void {
  checkPlant(t, sink, expected, "on the cluster");
  const clean = cluster.recordsOf("clean").map(({ value }) => JSON.parse(String(value)) as { id: string; seq: number });
  t.same(clean.map(({ id, seq }) => `${id}/${seq}`).sort(), [...expected.seen].sort(), "the output topic holds each event once");
}

const open = (log: ClusterLog, sink: CollectConnector, stateDir: string | null, more: object = {}): Promise<Instance> =>
  openInstance(topology, { log, connectors: [sink], stateDir, createTopics: true, partitions: 4, commitRecordsMax: 100, commitIntervalMs: 5, sessionTimeoutMs: 1_000, ...more });


async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

t.test("two processes share the tasks, one leaves, and what comes out is the model's", async (t) => {
  const cluster = memoryCluster();
  t.teardown(() => cluster.close());
  const sink = collectConnector();
  const expected = makeEvents(6_000, 1, 17);
  const first = await open(cluster.connect(), sink, folder(t));
  first.run();
  const feeder = cluster.connect();
  await feeder.append("events", expected.records.slice(0, 2_000));
  const second = await open(cluster.connect(), sink, folder(t));
  second.run();
  await feeder.append("events", expected.records.slice(2_000, 4_000));
    await until(() => first.status().tasks.length === 2 && second.status().tasks.length === 2);
  await second.drain();
  for (const instance of [first, second]) {
    t.same(instance.stores().map(({ name, kind }) => [name, kind]), [["seen", "dedup"], ["hourly", "window"]]);
    for (let id = 0; id < 17; id++) {
      const [place] = instance.locate("hourly", { id: `d${id}` });
      const other = instance === first ? second : first;
      if (place?.isLocal !== true) t.throws(() => instance.query("hourly", { id: `d${id}` }), { code: "STORE_ELSEWHERE" }, "another process is named");
      const answer = (place?.isLocal === true ? instance : other).query("hourly", { id: `d${id}` }, { from: 0, to: hours(20) });
      t.ok(answer.length > 0 && answer.every((row) => row["id"] === `d${id}`), "one of them answers");
    }
    t.throws(() => instance.query("none", {}), { code: "STORE_NOT_FOUND" });
    t.throws(() => instance.query("hourly", {}), { code: "USAGE" });
  }
  t.equal(first.status().tasks.length, 2, "tasks are shared equally");
  t.equal(second.status().tasks.length, 2);
  await first.stop();
  await feeder.append("events", expected.records.slice(4_000));
  await second.drain();
  t.equal(second.status().tasks.length, 4, "the one that stays has all tasks");
  check(t, sink, cluster, expected);
  await second.stop();
});

t.test("a process that dies loses nothing and doubles nothing, whichever request it died in", async (t) => {
  for (const [operation, moment] of [["produce", "after"], ["end", "before"], ["end", "after"], ["offsets", "after"]] as const) {
    const cluster = memoryCluster();
    t.teardown(() => cluster.close());
    const sink = collectConnector();
    const expected = makeEvents(4_000, 7, 17);
    const feeder = cluster.connect();
    const dyingLog = cluster.connect();
    const dying = await open(dyingLog, sink, null);
    dying.run();
    await feeder.append("events", expected.records.slice(0, 2_000));
    await until(() => dying.status().counters.commits > 8);
    cluster.failNext(dyingLog, operation, moment, 2);
    await until(() => cluster.faultsLeft() === 0);
    cluster.crash(dyingLog);
    const next = await open(cluster.connect(), sink, folder(t));
    next.run();
    await feeder.append("events", expected.records.slice(2_000));
    await until(() => next.status().tasks.length === 4);
    await next.drain();
    check(t, sink, cluster, expected);
    await next.stop();
  }
});

t.test("a process that lost its group while a standby copy could not be opened comes back to it", { timeout: 30_000 }, async (t) => {
  const cluster = memoryCluster();
  t.teardown(() => cluster.close());
  const sink = collectConnector();
  const expected = makeEvents(3_000, 5, 17);
  const [feeder, ownLog] = [cluster.connect(), cluster.connect()];
  let isCut = false;
  const changelogCut: ClusterLog = {
    ...ownLog,
    offsets: (topic, partition) => (isCut && topic.endsWith("-changelog") ? Promise.reject(new TopologyError("KAFKA_TIMEOUT", "no answer", { retriable: true })) : ownLog.offsets(topic, partition)),
  };
  const refused: string[] = [];
  const logger: Logger = { debug() {}, info() {}, error() {}, warn: (_fields, message) => void refused.push(message) };
  const first = await open(changelogCut, sink, folder(t), { standbyReplicas: 1, logger });
  first.run();
  await feeder.append("events", expected.records.slice(0, 1_500));
  await until(() => first.status().tasks.length === 4 && first.status().counters.commits > 4);
  isCut = true;
  const second = await open(cluster.connect(), sink, folder(t), { standbyReplicas: 1 });
  second.run();
  // Its tasks that have moved are to be standby copies now, which cannot be opened; and the group takes it for dead before they can.
  await until(() => refused.some((message) => message.includes("could not be opened")));
  t.equal(cluster.expire(ownLog), 1);
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  isCut = false;
  await until(() => first.status().tasks.length === 2 && second.status().tasks.length === 2);
  await feeder.append("events", expected.records.slice(1_500));
  await Promise.all([first.drain(), second.drain()]);
  check(t, sink, cluster, expected);
  await first.stop();
  await second.stop();
});

t.test("a zombie that wakes up commits nothing and gets its share back", async (t) => {
  const cluster = memoryCluster();
  t.teardown(() => cluster.close());
  const sink = collectConnector();
  const expected = makeEvents(6_000, 3, 17);
  const feeder = cluster.connect();
  const zombieLog = cluster.connect();
  const zombie = await open(zombieLog, sink, folder(t));
  zombie.run();
  await feeder.append("events", expected.records.slice(0, 2_000));
  await until(() => zombie.status().counters.commits > 4);
  const other = await open(cluster.connect(), sink, folder(t));
  cluster.pause(zombieLog);
  other.run();
  await feeder.append("events", expected.records.slice(2_000, 4_000));
  await until(() => other.status().tasks.length === 4);
  cluster.resume(zombieLog);
  await feeder.append("events", expected.records.slice(4_000));
  await until(() => zombie.status().tasks.length === 2);
  // Each drains what it has itself: rows of the other may still be on their way.
  await Promise.all([other.drain(), zombie.drain()]);
  check(t, sink, cluster, expected);
  await zombie.stop();
  await other.stop();
});

t.test("a store is restored on another machine, a standby copy makes it short, and a cleaned changelog is enough", async (t) => {
  const cluster = memoryCluster();
  t.teardown(() => cluster.close());
  const sink = collectConnector();
  const expected = makeEvents(6_000, 5, 17);
  const feeder = cluster.connect();
  const first = await open(cluster.connect(), sink, folder(t), { standbyReplicas: 1, changelogSweepBytesMin: 20_000 });
  first.run();
  await feeder.append("events", expected.records.slice(0, 2_000));
  const second = await open(cluster.connect(), sink, folder(t), { standbyReplicas: 1, changelogSweepBytesMin: 20_000 });
  second.run();
  await feeder.append("events", expected.records.slice(2_000, 5_000));
  await until(() => (second.status().cluster?.standby.length ?? 0) === 2 && second.status().tasks.length === 2);
  await second.drain();
  const starts = await Promise.all([0, 1, 2, 3].map(async (partition) => (await feeder.offsets("plant-events-changelog", partition)).start));
  t.ok(starts.every((start) => start > 0), `changelogs are cleaned (they start at ${starts.join(", ")})`);
  await first.stop();
  await second.stop();
  const third = await open(cluster.connect(), sink, folder(t), { changelogSweepBytesMin: 20_000 });
  third.run();
  await feeder.append("events", expected.records.slice(5_000));
  await until(() => third.status().tasks.length === 4);
  await third.drain();
  check(t, sink, cluster, expected);
  await t.rejects(resetTopology(topology, { log: feeder, connectors: [sink], stateDir: null }), { code: "CONFIG_INVALID" }, "a running topology is not reset");
  await third.stop();
  await resetTopology(topology, { log: feeder, connectors: [sink], stateDir: null });
  t.equal(await feeder.partitionCount("plant-events-changelog"), undefined, "its changelogs are gone");
  t.equal((await feeder.committedOffsets("plant", [{ topic: "events", partition: 0 }])).size, 0, "and its offsets");
});
