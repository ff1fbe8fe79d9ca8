import t from "tap";
import { c, defineTopology, openInstance, record } from "@iot-topology/core";
import { collect, collectConnector, manualClock, memoryLog } from "@iot-topology/core/testing";

const Event = record("Event", { id: c.string() });
const topology = defineTopology("draining", (b) => b.source("events").cast(Event).sink(collect("out")));

t.test("while a slow sink holds the input back, waiting for the end does not ask the log over and over", async (t) => {
  const clock = manualClock(1_000);
  const log = memoryLog();
  let asked = 0;
  const counted = { ...log, offsets: (name: string, partition: number) => (asked++, log.offsets(name, partition)) };
  const inner = collectConnector();
  const sink = { ...inner, open: async (...args: Parameters<typeof inner.open>) => (await inner.open(...args)).map((target) => ({ ...target, deliver: async (...batch: Parameters<typeof target.deliver>) => (await clock.sleep(5_000), target.deliver(...batch)) })) };
  await log.ensureTopic("events", { partitions: 1 });
  await log.append("events", Array.from({ length: 5 }, (_, n) => ({ key: "a", value: `{"id":"${n}"}`, timestamp: n })));
  const instance = await openInstance(topology, { log: counted, connectors: [sink], stateDir: null, clock, commitRecordsMax: 1, commitIntervalMs: 1, outboxBatchesMax: 1 });
  instance.run();
  const drained = instance.drain().then(() => true);
  let isDone: boolean = false;
  void drained.then((done) => (isDone = done));
  for (let seconds = 0; seconds < 60 && !isDone; seconds++) await clock.advance(1_000);
  t.equal(await drained, true);
  t.equal(inner.values("out").length, 5);
  t.ok(asked < 100, `the log was asked ${asked} times for its end in 25 s`);
  await instance.stop();
});
