/** Joins over several partitions: both sides need their topics' keys, chosen alike, and the same number of partitions. */
import t from "tap";
import { c, defineTopology, joinWindow, openInstance, type Plan, record, serde, type Stream, stepsBoundToOnePartition, type Topology, type TopologyBuilder, validate } from "@iot-topology/core";
import { collect, collectConnector, type MemoryLog, memoryLog, testDriver } from "@iot-topology/core/testing";
import { isLeft } from "fp-ts/lib/Either.js";

const text = serde.json<string>();
const Reading = record("Reading", { device: c.string(), site: c.string() });
const joined = (left: string, right: string): string => `${left}|${right}`;
const OPTIONS = { name: "j", within: joinWindow({ before: 100, after: 100, grace: 0 }), left: text, right: text };
const read = (b: TopologyBuilder, topic: string): Stream<string | null> => b.source(topic).decode(text);
const plain = { by: (value: string | null) => value, value: text };
const byValue = (partitioner: (key: string, value: string | null, partitionCount: number) => number) => ({ ...plain, partitions: 4, partitioner });

function planOf(build: (b: TopologyBuilder) => void): Plan {
  const result = validate(defineTopology("x", build));
  if (isLeft(result)) throw new Error(JSON.stringify(result.left));
  return result.right;
}
const bound = (build: (b: TopologyBuilder) => void): readonly string[] => planOf(build).subTopologies.flatMap(stepsBoundToOnePartition);
const lastLetter = (key: string, _value: unknown, partitions: number): number => (key.charCodeAt(key.length - 1) || 0) % partitions;

t.test("a join is right for any number of partitions where both sides have their topics' keys, and bound to one where a side was rekeyed", (t) => {
  t.same(bound((b) => read(b, "l").join(read(b, "r"), joined, OPTIONS).sink(collect("o"))), []);
  t.same(bound((b) => read(b, "l").rekey((value) => value).join(read(b, "r"), joined, OPTIONS).sink(collect("o"))), ["j"]);
  t.same(bound((b) => read(b, "l").join(read(b, "r").rekey((value) => value), joined, OPTIONS).sink(collect("o"))), ["j"]);
  t.same(bound((b) => read(b, "l").rekey((value) => value).join(b.table("r", { store: "rows", value: text }), joined, { name: "jt" }).sink(collect("o"))), ["jt"]);
  t.same(bound((b) => read(b, "l").repartition("again", plain).join(read(b, "r"), joined, OPTIONS).sink(collect("o"))), [], "the cure");
  t.end();
});

t.test("sides whose partitions are chosen by different rules are bound to one partition", (t) => {
  const bySite = (b: TopologyBuilder) => b.source("s").cast(Reading).repartition("sites", { by: ["site"], partitions: 4 }).map(({ site }) => site);
  t.same(bound((b) => read(b, "l").repartition("again", byValue(lastLetter)).join(read(b, "r").repartition("once", byValue(lastLetter)), joined, OPTIONS).sink(collect("o"))), []);
  t.same(bound((b) => read(b, "l").repartition("again", byValue(lastLetter)).join(read(b, "r").repartition("once", { by: (value) => value, value: text }), joined, OPTIONS).sink(collect("o"))), ["j"]);
  t.same(bound((b) => read(b, "l").repartition("again", byValue(() => 0)).merge(bySite(b)).groupByKey().count("n").toStream().sink(collect("o"))), ["n"]);
  t.same(bound((b) => read(b, "l").repartition("again", byValue(lastLetter)).groupByKey().count("n").toStream().sink(collect("o"))), []);
  t.end();
});

t.test("a partitioner needs a number of partitions, and a serde needs a key that a function gives", (t) => {
  const rules = (build: (b: TopologyBuilder) => void): unknown[] => {
    const result = validate(defineTopology("x", build));
    return isLeft(result) ? result.left.map(({ rule, step }) => [rule, step]) : [];
  };
  t.same(rules((b) => read(b, "l").repartition("again", { by: (value: string | null) => value, value: text, partitioner: lastLetter } as never).sink(collect("o"))), [["REPARTITION_INVALID", "again"]]);
  t.same(rules((b) => read(b, "l").repartition("again", { by: ["length"], value: text } as never).sink(collect("o"))), [["REPARTITION_INVALID", "again"]]);
  t.same(rules((b) => read(b, "l").repartition("again", { by: (value) => value } ).sink(collect("o"))), [["SCHEMA_REQUIRED", "again"]]);
  t.end();
});

t.test("values by a serde go through with null, keys by a function, and what has no key is dropped and counted", (t) => {
  const driver = testDriver(defineTopology("x", (b) => read(b, "l").repartition("again", { by: (value, { key }) => (value === "nobody" ? null : key), value: text, onError: "skip" }).sink(collect("o"))));
  driver.pipe("l", { key: "a", value: '"A"', timestamp: 7 }, { key: "a", value: '"nobody"', timestamp: 8 }, { key: "a", value: null, timestamp: 9 }, { key: null, value: '"B"', timestamp: 10 });
  t.same(driver.rows("o").map(({ key, value, timestamp }) => [key, value, timestamp]), [["a", "A", 7], ["a", null, 9]]);
  t.same(driver.counters().dropped, { "null-key": 2 });
  t.end();
});

t.test("a partitioner that gives no partition is refused by the step's policy", (t) => {
  const driver = testDriver(defineTopology("x", (b) => read(b, "l").repartition("again", { ...byValue((key) => (key === "far" ? 4 : key === "half" ? 0.5 : 3)), partitions: 4, onError: "skip" }).sink(collect("o"))));
  driver.pipe("l", { value: '"far"' }, { value: '"half"' }, { value: '"good"' });
  t.same(driver.values("o"), ["good"]);
  t.equal(driver.counters().skipped, 2);
  t.end();
});

async function run(topology: Topology, log: MemoryLog): Promise<unknown[]> {
  const connector = collectConnector();
  const instance = await openInstance(topology, { log, connectors: [connector], stateDir: null });
  instance.run();
  await instance.drain();
  await instance.stop();
  return [...connector.values("o")].sort();
}
async function filled(left: number, right: number): Promise<MemoryLog> {
  const log = memoryLog();
  await log.ensureTopic("l", { partitions: left });
  await log.ensureTopic("r", { partitions: right });
  for (let at = 0; at < 40; at++) {
    await log.append("l", [{ key: `somewhere ${at}`, value: JSON.stringify(`k${at % 8}`), timestamp: at }]);
    if (at < 8) await log.append("r", [{ key: `k${at}`, value: JSON.stringify(`row ${at}`), timestamp: at }]);
  }
  return log;
}
const EXPECTED = Array.from({ length: 40 }, (_, at) => `k${at % 8}|row ${at % 8}`).sort();

t.test("a repartition takes the number of partitions of the topic that it is joined with, and equal keys meet", async (t) => {
  const log = await filled(3, 5);
  const topology = defineTopology("x", (b) => read(b, "l").repartition("again", plain).join(read(b, "r"), joined, OPTIONS).sink(collect("o")));
  t.same(await run(topology, log), EXPECTED);
  t.equal(await log.partitionCount("x-again-repartition"), 5);
});

t.test("two repartitions with one partitioner meet in as many partitions as they ask for, where the partitioner says", async (t) => {
  const log = await filled(2, 3);
  const topology = defineTopology("x", (b) =>
    read(b, "l").repartition("again", byValue(lastLetter)).join(read(b, "r").repartition("once", { by: (_value, { key }) => key, value: text, partitions: 4, partitioner: lastLetter }), joined, OPTIONS).sink(collect("o")));
  t.same(await run(topology, log), EXPECTED);
  for (const name of ["again", "once"]) for (const { key, partition } of log.recordsOf(`x-${name}-repartition`)) t.equal(partition, lastLetter(String(key), null, 4), `${name}: ${String(key)}`);
});

t.test("topics of different numbers of partitions are refused when a join reads them, and so is a repartition that asks for another number", async (t) => {
  const log = await filled(2, 3);
  await t.rejects(run(defineTopology("x", (b) => read(b, "l").join(read(b, "r"), joined, OPTIONS).sink(collect("o"))), log), { code: "TOPIC_MISMATCH", cure: /repartition/ });
  const asks = defineTopology("y", (b) => read(b, "l").repartition("again", byValue(lastLetter)).join(read(b, "r"), joined, OPTIONS).sink(collect("o")));
  await t.rejects(run(asks, log), { code: "TOPIC_MISMATCH", message: /asks for 4 partitions/ });
  t.equal(await log.partitionCount("y-again-repartition"), undefined, "nothing was made");
  const rekeyed = defineTopology("z", (b) => read(b, "l").rekey((value) => value).join(b.table("r", { store: "rows", value: text }), joined, { name: "jt" }).sink(collect("o")));
  const same = await filled(3, 3);
  await t.rejects(run(rekeyed, same), { code: "TOPIC_MISMATCH", message: /jt would keep separate state/ });
});
