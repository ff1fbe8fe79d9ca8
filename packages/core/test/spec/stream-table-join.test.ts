/** Joins of a stream with a table: what Kafka Streams' KStream.join(KTable) does. */
import t from "tap";
import { defineTopology, serde, type TopologyBuilder, TopologyError } from "@iot-topology/core";
import { collect, testDriver } from "@iot-topology/core/testing";
import { seedOf, withCrashes } from "./crashes.ts";

const text = serde.json<string>();
const joined = (left: string, right: string | null): string => `${left}|${String(right)}`;
type Piped = readonly [topic: "l" | "r", key: string | null, value: string | null, timestamp: number];

const run = (build: (b: TopologyBuilder) => void, records: readonly Piped[]) => {
  const driver = testDriver(defineTopology("joins", build));
  for (const [topic, key, value, timestamp] of records) driver.pipe(topic, { key, value: value === null ? null : JSON.stringify(value), timestamp });
  return { driver, out: driver.rows("out").map(({ key, value, timestamp }) => [key, value, timestamp]) };
};
const sides = (b: TopologyBuilder) => ({ left: b.source("l").decode(text), right: b.table("r", { store: "rows", value: text }) });
const RECORDS: readonly Piped[] = [
  ["l", "a", "L1", 10], ["r", "a", "R1", 50], ["l", "a", "L2", 20], ["l", null, "L3", 21], ["l", "a", null, 22],
  ["r", "a", "R2", 5], ["l", "a", "L4", 60], ["r", "a", null, 61], ["l", "a", "L5", 62],
];

t.test("a record meets the row that its key has now, whatever the row's time, and keeps its own time", (t) => {
  const { driver, out } = run((b) => { const { left, right } = sides(b); left.join(right, joined).sink(collect("out")); }, RECORDS);
  t.same(out, [["a", "L2|R1", 20], ["a", "L4|R2", 60]]);
  t.same(driver.counters().dropped, { "null-key": 1, "null-value": 1 });
  t.end();
});

t.test("a left join meets null where there is no row, and passes records without a key", (t) => {
  const { driver, out } = run((b) => { const { left, right } = sides(b); left.leftJoin(right, joined).sink(collect("out")); }, RECORDS);
  t.same(out, [["a", "L1|null", 10], ["a", "L2|R1", 20], [null, "L3|null", 21], ["a", "L4|R2", 60], ["a", "L5|null", 62]]);
  t.same(driver.counters().dropped, { "null-value": 1 });
  t.end();
});

t.test("tables that are made of others are met as they are: filtered, mapped, aggregated", (t) => {
  const { out } = run((b) => {
    const { left, right } = sides(b);
    left.leftJoin(right.filter((row) => row !== "hidden"), joined).sink(collect("filtered"));
    left.leftJoin(right.mapValues((row) => row.toLowerCase()), joined).sink(collect("out"));
    left.leftJoin(left.groupByKey().count("counted"), (value, n) => `${value}|${String(n)}`).sink(collect("counts"));
  }, [["r", "a", "R1", 1], ["l", "a", "L1", 2], ["r", "a", "hidden", 3], ["l", "a", "L2", 4]]);
  t.same(out, [["a", "L1|r1", 2], ["a", "L2|hidden", 4]]);
  const { driver } = run((b) => {
    const { left, right } = sides(b);
    left.leftJoin(right.filter((row) => row !== "hidden"), joined).sink(collect("filtered"));
    left.leftJoin(left.groupByKey().count("counted"), (value, n) => `${value}|${String(n)}`).sink(collect("counts"));
  }, [["r", "a", "R1", 1], ["l", "a", "L1", 2], ["r", "a", "hidden", 3], ["l", "a", "L2", 4]]);
  t.same(driver.values("filtered"), ["L1|R1", "L2|null"]);
  t.same(driver.values("counts"), ["L1|1", "L2|2"], "the aggregate stands before the join in the topology, so it counts the record first");
  t.end();
});

t.test("a joiner that throws goes by the step's policy", (t) => {
  const { driver, out } = run((b) => {
    const { left, right } = sides(b);
    left.join(right, (value) => { if (value === "L2") throw new Error("no"); return value; }, { onError: "skip" }).sink(collect("out"));
  }, [["r", "a", "R", 1], ["l", "a", "L1", 2], ["l", "a", "L2", 3]]);
  t.same(out, [["a", "L1", 2]]);
  t.equal(driver.counters().skipped, 1);
  t.end();
});

t.test("crashes at random places change nothing", async (t) => {
  const seed = seedOf(t);
  const topology = defineTopology("joins", (b) => { const { left, right } = sides(b); left.leftJoin(right, joined).sink(collect("out")); });
  await withCrashes(t, topology, seed, (random) => {
    const side = random() < 0.5 ? "l" : "r";
    return { topic: side, key: random() < 0.1 ? null : "abc"[Math.floor(random() * 3)] as string, value: random() < 0.1 ? null : JSON.stringify(`${side}${Math.floor(random() * 1_000)}`), timestamp: Math.floor(random() * 100) };
  });
});

t.test("sides of different topologies and a grace without a store are refused", (t) => {
  let foreign: ReturnType<typeof sides> | undefined;
  defineTopology("other", (b) => void (foreign = sides(b)));
  t.throws(() => defineTopology("joins", (b) => sides(b).left.join(foreign!.right, joined)), { code: "PLAN_INVALID" });
  t.throws(() => defineTopology("joins", (b) => { const { left, right } = sides(b); left.join(right, joined, { grace: 5 } as never); }), TopologyError);
  t.end();
});
