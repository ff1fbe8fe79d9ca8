/** Asynchronous steps in running instances: drain, stop, crashes at each step of a call's life, alone and in a group. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { armFailpoints, defineTopology, disarmFailpoints, type InstanceOptions, openInstance, serde, topic, type Topology, TopologyError } from "@iot-topology/core";
import { collect, type CollectConnector, collectConnector, memoryCluster, memoryLog } from "@iot-topology/core/testing";

const integer = serde.json<number>();

function folder(t: { teardown(end: () => void): void }): string {
  const dir = mkdtempSync(join(tmpdir(), "iot-topology-async-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** What stands outside: it takes a while, fails now and then, and drops repeats of a key in its ledger. */
function service() {
  let calls = 0;
  const ledger = new Map<string, number>();
  return {
    ledger,
    get calls() {
      return calls;
    },
    ask: async (value: number, key: string): Promise<number> => {
      calls++;
      await new Promise((resolve) => setTimeout(resolve, (value * 7) % 4));
      ledger.set(key, value);
      if ((value + calls) % 29 === 0) throw new Error("busy");
      return value * 2;
    },
  };
}

function make(ask: ReturnType<typeof service>["ask"], ordered: boolean): Topology {
  return defineTopology("asking", (b) => {
    const out = b.source("in").decode(integer).flatMap((value) => (value === null ? [] : [value])).mapAsync("ask", (value, _record, { idempotencyKey }) => ask(value, idempotencyKey), { value: integer, concurrency: 8, ordered, retry: { attempts: 10, backoff: 1 } });
    out.sink(collect("out"), topic("doubled", integer));
    out.groupByKey().count("n").toStream().sink(collect("count"));
  });
}

const COUNT = 600;
const records = Array.from({ length: COUNT }, (_, value) => ({ key: `k${value % 12}`, value: String(value), timestamp: value }));

function check(t: { same: typeof import("tap").t.same; equal: typeof import("tap").t.equal; ok: typeof import("tap").t.ok }, sink: CollectConnector, asked: ReturnType<typeof service>, ordered: boolean): void {
  const rows = sink.rows("out");
  t.same(rows.map(({ value }) => value as number).sort((a, b) => a - b), records.map((_, value) => value * 2), "each result once");
  const partitions = Map.groupBy(rows, ({ partition }) => partition);
  if (ordered) for (const [partition, own] of partitions) t.same(own.map(({ value }) => value), [...own.map(({ value }) => value as number)].sort((a, b) => a - b), `partition ${partition} in order`);
  const counts = Map.groupBy(sink.rows("count"), ({ key }) => String(key));
  t.ok(counts.size === 12 && [...counts.values()].every((own) => own.length === COUNT / 12 && own.every(({ value }, index) => value === index + 1)), "what stands behind counted each once");
  t.equal(asked.ledger.size, COUNT, "each record has one idempotency key, over all its calls");
}

const open = (topology: Topology, log: InstanceOptions["log"], sink: CollectConnector, stateDir: string | null) =>
  openInstance(topology, { log, connectors: [sink], stateDir, createTopics: true, partitions: 3, commitRecordsMax: 40, commitIntervalMs: 5, sessionTimeoutMs: 1_000 });

t.test("drain waits for calls, and what is pending when an instance stops is called again at the next start", async (t) => {
  const [log, sink, asked, dir] = [memoryLog(), collectConnector(), service(), folder(t)];
  const signals: AbortSignal[] = [];
  let hangs = true;
  const topology = defineTopology("asking", (b) =>
    b.source("in").decode(integer).mapAsync("ask", (value, _record, { signal, idempotencyKey }) => {
      signals.push(signal);
      return hangs ? new Promise<number>(() => {}) : asked.ask(value ?? 0, idempotencyKey);
    }, { value: integer, concurrency: 2, pendingMax: 5, retry: { attempts: 10, backoff: 1 } }).sink(collect("out")));
  const first = await open(topology, log, sink, dir);
  await log.append("in", records.slice(0, 40));
  first.run();
  await new Promise((resolve) => setTimeout(resolve, 60));
  const { counters, tasks } = first.status();
  t.equal(counters.read, 15, "an input is not read on while as many are pending as may be");
  t.equal(tasks.length, 3);
  t.equal(signals.length, 6);
  await first.stop();
  t.ok(signals.every(({ aborted }) => aborted), "stop aborts what is under way");
  t.same(sink.values("out"), []);
  hangs = false;
  const second = await open(topology, log, sink, dir);
  second.run();
  await second.drain();
  t.same(sink.values("out").map(Number).sort((a, b) => a - b), records.slice(0, 40).map((_, value) => value * 2));
  await second.stop();
});

for (const ordered of [true, false]) {
  for (const point of ["call.before-call", "call.before-settle", "call.after-settle", "commit.before-write", "commit.after-write", "deliver.after-send"]) {
    t.test(`a crash at ${point}, several times, ${ordered ? "ordered" : "unordered"}: each result counts once`, async (t) => {
      const [log, sink, asked, dir] = [memoryLog(), collectConnector(), service(), folder(t)];
      const topology = make(asked.ask, ordered);
      await (await open(topology, log, sink, dir)).stop();
      await log.append("in", records);
      let fired = 0;
      for (const passage of [1, 3, 5]) {
        armFailpoints(`${point}=${passage}`, (name) => {
          fired++;
          throw new TopologyError("TASK_FAILED", `crash at ${name}`);
        });
        const instance = await open(topology, log, sink, dir);
        instance.run();
        t.match(await instance.drain().then(() => "done", (error: unknown) => (error as Error).message), /crash at/, "the fault came before the work was over");
        disarmFailpoints();
        await instance.stop();
      }
      t.equal(fired, 3, "each fault fired");
      const last = await open(topology, log, sink, dir);
      last.run();
      await last.drain();
      await last.stop();
      check(t, sink, asked, ordered);
      t.ok(asked.calls > COUNT, "some calls were made again");
    });
  }
}

t.test("in a group: a process dies with calls under way, another takes them over, and each result counts once", async (t) => {
  const cluster = memoryCluster();
  t.teardown(() => cluster.close());
  const [sink, asked] = [collectConnector(), service()];
  const topology = make(asked.ask, true);
  const feeder = cluster.connect();
  const dyingLog = cluster.connect();
  const dying = await open(topology, dyingLog, sink, null);
  dying.run();
  await feeder.append("in", records.slice(0, 300));
  while (dying.status().counters.commits < 6) await new Promise((resolve) => setTimeout(resolve, 5));
  t.ok(sink.values("out").length < COUNT, "it dies in the middle");
  cluster.crash(dyingLog);
  const next = await open(topology, cluster.connect(), sink, folder(t));
  next.run();
  await feeder.append("in", records.slice(300));
  while (next.status().tasks.length < 3) await new Promise((resolve) => setTimeout(resolve, 10));
  await next.drain();
  check(t, sink, asked, true);
  t.same(cluster.recordsOf("doubled").map(({ value }) => Number(value)).sort((a, b) => a - b), records.map((_, value) => value * 2), "the topic holds each result once");
  await next.stop();
});
