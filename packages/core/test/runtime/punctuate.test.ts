/** Punctuators by wall clock in a running instance: without input, over restarts, alone and in a group. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { carries, defineTopology, type InstanceOptions, keyValueStore, openInstance, serde } from "@iot-topology/core";
import { collect, collectConnector, manualClock, memoryCluster, memoryLog } from "@iot-topology/core/testing";

const topology = defineTopology("clocked", (b) =>
  b.source("in").decode(serde.json<number>()).process("tick", {
    stores: [keyValueStore("ticks", { value: serde.integer() })],
    output: carries<readonly [count: number, time: number]>(),
    init(context) {
      context.schedule(1_000, "wall-clock", (time, { store, forward }) => {
        const count = (store("ticks").get("n") ?? 0) + 1;
        store("ticks").put("n", count);
        forward({ key: "P", value: [count, time] });
      });
    },
    process: () => {},
  }).sink(collect("out")));

const logs: readonly [string, () => { log: InstanceOptions["log"]; end: () => void }][] = [
  ["alone", () => ({ log: memoryLog(), end: () => {} })],
  ["in a group", () => {
    const cluster = memoryCluster();
    return { log: cluster.connect(), end: () => cluster.close() };
  }],
];

for (const [name, make] of logs) {
  t.test(`${name}: calls come at their time without input, are delivered, and go on where they were after a restart`, async (t) => {
    const dir = mkdtempSync(join(tmpdir(), "iot-topology-punctuate-"));
    t.teardown(() => rmSync(dir, { recursive: true, force: true }));
    const { log, end } = make();
    t.teardown(end);
    const sink = collectConnector();
    const open = (at: number) => {
      const clock = manualClock(at);
      return openInstance(topology, { log, connectors: [sink], stateDir: dir, createTopics: true, clock, stopTimeoutMs: 50 }).then((instance) => ({ instance, clock }));
    };
    const passes = async ({ clock }: Awaited<ReturnType<typeof open>>, wanted: number): Promise<void> => {
      for (let turn = 0; turn < 400 && sink.values("out").length < wanted; turn++) {
        await clock.advance(100);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    };
    const close = async ({ instance, clock }: Awaited<ReturnType<typeof open>>): Promise<void> => {
      let isClosed = false;
      const stopping = instance.stop().then(() => (isClosed = true));
      while (!isClosed) {
        await clock.advance(10);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      await stopping;
    };
    const first = await open(100_000);
    first.instance.run();
    await passes(first, 3);
    await close(first);
    const counts = (): number[] => (sink.values("out") as [number, number][]).map(([count]) => count);
    const before = counts();
    t.ok(before.length >= 3, "calls came");
    const second = await open(first.clock.now() + 5_500);
    second.instance.run();
    await passes(second, before.length + 2);
    await close(second);
    const all = counts();
    t.ok(all.length >= before.length + 2, "calls go on");
    t.same(all, all.map((_, index) => index + 1), "each counts once");
    const times = (sink.values("out") as [number, number][]).map(([, time]) => time);
    t.equal(times.every((time, index) => index === 0 || time > (times[index - 1] as number)), true, "at growing times");
  });
}
