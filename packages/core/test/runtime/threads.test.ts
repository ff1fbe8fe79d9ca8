/** Tasks in threads: the same results, exactly once, over stops, failures and crashes of the delivery. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { armFailpoints, disarmFailpoints, type Instance, type InstanceOptions, openInstance, type Topology, TopologyError } from "@iot-topology/core";
import { type CollectConnector, collectConnector, memoryCluster, memoryLog } from "@iot-topology/core/testing";
import { checkPlant, makeEvents } from "./plant-events.ts";
import { failing } from "./plant-module.ts";
import topology from "./plant-topology.ts";

type Log = ReturnType<typeof memoryLog>;
// Threads are started, on a machine that may do other work: a bound, not an expectation.
t.setTimeout(120_000);
const PLANT = new URL("./plant-topology.ts", import.meta.url);
const MODULE = new URL("./plant-module.ts", import.meta.url);

function folder(t: { teardown(end: () => void): void }): string {
  const dir = mkdtempSync(join(tmpdir(), "iot-topology-threads-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const open = (log: Log, sink: CollectConnector, stateDir: string | null, more: Partial<InstanceOptions> = {}, of: Topology = topology): Promise<Instance> =>
  openInstance(of, { log, connectors: [sink], stateDir, partitions: 4, commitRecordsMax: 300, commitIntervalMs: 5, threads: { count: 3, module: PLANT }, ...more });

function check(t: { same: typeof import("tap").t.same; equal: typeof import("tap").t.equal }, sink: CollectConnector, expected: ReturnType<typeof makeEvents>, label: string): void {
  checkPlant(t, sink, expected, label);
  const bySeq = new Map<string, number>();
  for (const { seq, n } of sink.values("a-seq") as { seq: bigint; n: number }[]) bySeq.set(String(seq), Math.max(bySeq.get(String(seq)) ?? 0, n));
  t.equal([...bySeq.values()].reduce((sum, n) => sum + n, 0), expected.seen.size, `${label}: what went through the repartition is counted once`);
}

t.test("Tasks spread over threads give what one thread gives, a stop and a start add nothing", async (t) => {
  const dir = folder(t);
  const log = memoryLog();
  const sink = collectConnector();
  const expected = makeEvents(6_000, 1);
  const first = await open(log, sink, dir);
  first.run();
  await log.append("events", expected.records.slice(0, 3_000));
  await first.drain();
  await log.append("events", expected.records.slice(3_000));
  await first.drain();
  const { counters, tasks, state } = first.status();
  t.equal(state, "running");
  t.same(tasks.map(({ id }) => id), ["events_0", "events_1", "events_2", "events_3", "by-seq_0", "by-seq_1"]);
  t.equal(tasks.length, 6);
  t.equal(counters.written["history"], expected.seen.size);
  t.equal(counters.read, 6_000 + expected.seen.size);
  await first.stop();
  t.equal(first.status().state, "stopped");
  check(t, sink, expected, "first run");
  const batches = sink.batches.length;
  for (const threads of [{ count: 2, module: MODULE, data: { kind: "plant" } }, { count: 1, module: PLANT }]) {
    const again = await open(log, sink, dir, { threads });
    again.run();
    await again.drain();
    t.equal(again.status().counters.read, 6_000 + expected.seen.size, "counters survive");
    await again.stop();
    t.equal(sink.batches.length, batches, "nothing is delivered twice");
  }
});

t.test("Stores are asked over threads", async (t) => {
  const log = memoryLog();
  const sink = collectConnector();
  const expected = makeEvents(2_000, 7);
  const instance = await open(log, sink, folder(t));
  t.teardown(() => instance.stop());
  await log.append("events", expected.records);
  instance.run();
  await instance.drain();
  const [name = "", window] = [...expected.hourly].find(([, { n }]) => n > 1) ?? [];
  const [id = "", start] = name.split("@");
  const rows = instance.query("hourly", { id }, { from: Number(start), to: Number(start) + 1 });
  t.match(rows, [{ id, window_start: Number(start), n: window?.n }]);
  t.match(instance.locate("hourly", { id }), [{ isLocal: true }]);
  t.throws(() => instance.query("none", { id }), { code: "STORE_NOT_FOUND" });
  t.throws(() => instance.query("hourly", {}), { code: "USAGE" });
  t.ok(instance.stores().length > 0);
});

t.test("A crash of the delivery at several moments loses and doubles nothing", async (t) => {
  for (const [index, step] of ["deliver.before-send", "deliver.after-send", "deliver.after-acknowledge"].entries()) {
    const dir = folder(t);
    const log = memoryLog();
    const sink = collectConnector();
    const expected = makeEvents(5_000, 100 + index);
    await (await open(log, sink, dir)).stop();
    await log.append("events", expected.records);
    for (const passage of [1, 7]) {
      armFailpoints(`${step}=${passage}`, (name) => {
        throw new TopologyError("TASK_FAILED", `crash at ${name}`);
      });
      const instance = await open(log, sink, dir);
      instance.run();
      t.match(await instance.drain().then(() => "done", (error: unknown) => (error as Error).message), /crash at/);
      disarmFailpoints();
      await instance.stop();
      t.equal(instance.status().state, "failed");
    }
    const last = await open(log, sink, dir);
    last.run();
    await last.drain();
    await last.stop();
    check(t, sink, expected, step);
  }
});

t.test("A step that throws in a thread fails the instance with its place, and the stop is clean", async (t) => {
  const dir = folder(t);
  const log = memoryLog();
  const sink = collectConnector();
  const { records } = makeEvents(2_000, 3);
  const threads = { count: 2, module: MODULE, data: { kind: "failing", at: 5 } };
  const instance = await open(log, sink, dir, { threads }, failing(5));
  await log.append("events", records);
  instance.run();
  const failure = await instance.failed;
  t.equal(failure.code, "TASK_FAILED");
  t.match(failure.message, /this one/);
  t.match(failure.place ?? "", /record events-\d at offset \d+/);
  t.equal(failure.message.split("cure:").length, 2, "said once");
  await t.rejects(instance.drain(), { code: "TASK_FAILED" });
  await instance.stop();
  const mended = await open(log, sink, dir, { threads: { ...threads, data: { kind: "failing", at: -1 } } }, failing(-1));
  mended.run();
  await mended.drain();
  await mended.stop();
  t.equal(mended.status().counters.read, 2_000);
});

t.test("What threads cannot do is refused before anything runs", async (t) => {
  const sink = collectConnector();
  const log = memoryLog();
  const wrong: readonly (readonly [string, Partial<InstanceOptions>, RegExp])[] = [
    ["another topology", { threads: { count: 2, module: MODULE, data: { kind: "failing" } } }, /another topology, plant-failing/],
    ["a module that throws", { threads: { count: 2, module: MODULE, data: { kind: "broken" } } }, /does not work/],
    ["a module that does not exist", { threads: { count: 2, module: new URL("./none.ts", import.meta.url) } }, /none/],
    ["a module without a topology", { threads: { count: 2, module: new URL("./plant-events.ts", import.meta.url) } }, /no topology as its default export/],
    ["half a thread", { threads: { count: 1.5, module: PLANT } }, /no number of threads/],
    ["a clock of its own", { clock: { now: () => 0, sleep: () => Promise.resolve() } }, /machine's clock/],
    ["a cluster", { log: memoryCluster().connect() }, /embedded log/],
  ];
  for (const [name, options, message] of wrong) {
    const outcome = await open(log, sink, null, options).then(() => undefined, (error: unknown) => error);
    t.match((outcome as Error | undefined)?.message, message, name);
  }
  const busy = folder(t);
  const first = await open(log, sink, busy);
  await t.rejects(open(log, sink, busy), { code: "FOLDER_IN_USE" });
  await first.stop();
});
