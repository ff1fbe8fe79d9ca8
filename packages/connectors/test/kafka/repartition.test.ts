/** A topology with a repartition on a real broker: two processes with different clients share its tasks, one leaves, and the topics hold what a plain loop makes of the records. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { c, count, defineTopology, type Instance, openInstance, record, resetTopology, sum, topic } from "@iot-topology/core";
import { openKafkaLog } from "@iot-topology/connectors/kafka";
import { kafkaBrokers } from "../../../../test/kafka/kafka-brokers.ts";
import { readAll, textOf } from "./fixture.ts";

t.setTimeout(180_000);

const Reading = record("Reading", { device: c.string(), site: c.string(), seq: c.uint32(), value: c.uint32() });
const Total = record("Total", { site: c.string(), n: c.uint32(), total: c.float64(), updates: c.uint32() });

/** Readings from one number to another, each third twice. */
function readings(from: number, to: number) {
  return Array.from({ length: to - from }, (_, index) => from + index).flatMap((seq) => {
    const one = { device: `d${seq % 13}`, site: `site-${seq % 5}`, seq, value: seq % 100 };
    return seq % 3 === 0 ? [one, one] : [one];
  });
}

t.test("state behind a repartition is right over processes that come and go, and what was processed is dropped from its topic", async (t) => {
  const kafka = await kafkaBrokers(t);
  if (kafka === undefined) return;
  const root = mkdtempSync(join(tmpdir(), "iot-topology-repartition-"));
  const [input, clean, totals, name] = ["readings", "clean", "totals", "plant"].map((what) => kafka.name(what)) as [string, string, string, string];
  const topology = defineTopology(name, (b) => {
    const unique = b.source(input).cast(Reading, { partitionedBy: "device" }).dedup("seen", { by: ["device", "seq"] });
    unique.sink(topic(clean, Reading, { key: ({ device }) => device }));
    unique.repartition("by-site", { by: ["site"], partitions: 3 }).groupBy("site").aggregate("a-site", { n: count(), total: sum("value") }).sink(topic(totals, Total, { key: ({ site }) => site }));
  });
  const logs = await Promise.all((["kafkajs", "platformatic", "platformatic"] as const).map((client) => openKafkaLog({ brokers: [...kafka.brokers], client })));
  const [first, second, feeder] = logs as [typeof logs[0], typeof logs[0], typeof logs[0]];
  const instances: Instance[] = [];
  t.teardown(async () => {
    for (const instance of instances) await instance.stop();
    await resetTopology(topology, { log: feeder, connectors: [], stateDir: null });
    for (const log of logs) await log.close();
    rmSync(root, { recursive: true, force: true });
  });
  await feeder.createTopics([{ topic: input, partitions: 2 }, { topic: clean, partitions: 1 }, { topic: totals, partitions: 1 }]);
  const feed = (from: number, to: number) => feeder.append(input, readings(from, to).map((value) => ({ key: value.device, value: JSON.stringify(value), timestamp: 1_700_000_000_000 + value.seq })));
  const start = async (log: typeof feeder, dir: string): Promise<Instance> => {
    const instance = await openInstance(topology, { log, connectors: [], stateDir: join(root, dir), commitRecordsMax: 200 });
    instances.push(instance);
    instance.run();
    return instance;
  };
  await feed(0, 2_000);
  const one = await start(first, "one");
  const two = await start(second, "two");
  await feed(2_000, 4_000);
  while (one.status().tasks.length + two.status().tasks.length < 5 || two.status().tasks.length < 2) await new Promise((resolve) => setTimeout(resolve, 50));
  await Promise.all([one.drain(), two.drain()]);
  await one.stop();
  await feed(4_000, 5_000);
  await two.drain();

  const seqs = (await readAll(feeder, clean)).map((found) => (JSON.parse(textOf(found)) as { seq: number }).seq);
  t.same(seqs.sort((a, b) => a - b), Array.from({ length: 5_000 }, (_, seq) => seq), "each reading once");
  const last = new Map((await readAll(feeder, totals)).map((found) => JSON.parse(textOf(found)) as { site: string; n: number; total: number }).map(({ site, n, total: all }) => [site, { n, all }] as const));
  const expected = Array.from({ length: 5 }, (_, site) => [`site-${site}`, { n: 1_000, all: Array.from({ length: 5_000 }, (_, seq) => (seq % 5 === site ? seq % 100 : 0)).reduce((sumSoFar, value) => sumSoFar + value, 0) }] as const);
  t.same([...last].sort(), expected, "the last total of each site is the model's");
  for (let partition = 0; partition < 3; partition++) {
    const place = `${name}-by-site-repartition`;
    // The last thing there may be the mark of a transaction, which nobody reads.
    const held = async (): Promise<number> => feeder.offsets(place, partition).then(({ start: from, end }) => end - from);
    for (let tries = 0; tries < 400 && (await held()) > 1; tries++) await new Promise((resolve) => setTimeout(resolve, 100));
    t.ok((await held()) <= 1, `partition ${partition} was emptied`);
  }
});
