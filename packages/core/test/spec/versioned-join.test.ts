/** Joins of a stream with a versioned table: as of the record's own time, and after a grace for rows that come late. */
import t from "tap";
import { defineTopology, serde, type Topology, type TopologyBuilder, validate } from "@iot-topology/core";
import { collect, testDriver } from "@iot-topology/core/testing";
import { isLeft } from "fp-ts/lib/Either.js";
import { headersText, seedOf, withCrashes } from "./crashes.ts";

const text = serde.json<string>();
const joined = (left: string, right: string | null): string => `${left}|${String(right)}`;
type Piped = readonly [topic: "l" | "r", key: string | null, value: string | null, timestamp: number];
const sides = (b: TopologyBuilder, history = 20) => ({ left: b.source("l").decode(text), right: b.table("r", { store: "rows", value: text, history }) });
const held = (grace: number, history = 20): Topology =>
  defineTopology("held", (b) => { const { left, right } = sides(b, history); left.leftJoin(right, joined, { name: "j", grace, value: text }).sink(collect("out")); });

const run = (topology: Topology, records: readonly Piped[]) => {
  const driver = testDriver(topology);
  // Each row with the place of the record that made it leave.
  const out: unknown[] = [];
  records.forEach(([topic, key, value, timestamp], place) => {
    driver.pipe(topic, { key, value: value === null ? null : JSON.stringify(value), timestamp });
    for (const row of driver.read("out")) out.push([place, row.key, row.value, row.timestamp]);
  });
  return { driver, out };
};

t.test("a record meets the version of its own time: from a version's time on, up to the next one's, as far back as the history", (t) => {
  const topology = defineTopology("as-of", (b) => { const { left, right } = sides(b); left.leftJoin(right, joined).sink(collect("out")); });
  const { out } = run(topology, [
    ["r", "a", "R10", 10], ["r", "a", "R20", 20], ["l", "a", "L9", 9], ["l", "a", "L10", 10], ["l", "a", "L19", 19], ["l", "a", "L20", 20], ["r", "a", "R15", 15], ["l", "a", "L16", 16],
    ["r", "a", null, 30], ["l", "a", "L29", 29], ["l", "a", "L30", 30], ["r", "b", "B", 38], ["l", "a", "L17", 17], ["l", "a", "L18", 18], ["r", "x", "X", 100], ["l", "b", "L38", 38],
  ]);
  t.same(out.map((row) => (row as unknown[])[2]), ["L9|null", "L10|R10", "L19|R10", "L20|R20", "L16|R15", "L29|R20", "L30|null", "L17|null", "L18|R15", "L38|B"]);
  t.end();
});

t.test("tables that are derived without a store are met as of the record's time too", (t) => {
  const topology = defineTopology("derived", (b) => { const { left, right } = sides(b); left.join(right.mapValues((row) => row.toLowerCase()).filter((row) => row !== "r20"), joined).sink(collect("out")); });
  const { out } = run(topology, [["r", "a", "R10", 10], ["r", "a", "R20", 20], ["l", "a", "L1", 19], ["l", "a", "L2", 20]]);
  t.same(out, [[2, "a", "L1|r10", 19]]);
  t.end();
});

t.test("with grace records wait for late rows, and leave in the order of time, then key, then arrival", (t) => {
  const { out } = run(held(5), [
    ["l", "b", "L12", 12], ["l", "a", "L12", 12], ["l", "a", "L10", 10], ["l", "a", "L12 too", 12], ["r", "a", "R11", 11], ["l", "a", null, 90], ["l", "c", "L17", 17], ["l", "a", "L9", 9], ["l", "c", "L30", 30],
  ]);
  t.same(out, [
    [6, "a", "L10|null", 10], [6, "a", "L12|R11", 12], [6, "a", "L12 too|R11", 12], [6, "b", "L12|null", 12],
    // What the grace has passed waits for nothing; a record without a value moves no time.
    [7, "a", "L9|null", 9], [8, "c", "L17|null", 17],
  ]);
  t.end();
});

t.test("a left join with grace takes records without a key, which stop Kafka Streams", (t) => {
  const { out, driver } = run(held(5), [["l", null, "L1", 10], ["l", null, "L2", 10], ["l", "a", "L3", 10], ["l", "a", "L4", 20], ["r", "a", "R", 1], ["l", null, "L5", 1]]);
  t.same(out, [[3, null, "L1|null", 10], [3, null, "L2|null", 10], [3, "a", "L3|null", 10], [5, null, "L5|null", 1]]);
  t.same(driver.counters().dropped, {});
  t.end();
});

t.test("crashes at random places change nothing", async (t) => {
  const seed = seedOf(t);
  let now = 0;
  await withCrashes(t, held(8, 30), seed, (random) => {
    now += Math.floor(random() * 3);
    const side = random() < 0.5 ? "l" : "r";
    return { topic: side, key: random() < 0.1 ? null : "abc"[Math.floor(random() * 3)] as string, value: random() < 0.1 ? null : JSON.stringify(`${side}${Math.floor(random() * 1_000)}`), timestamp: Math.max(0, now - Math.floor(random() ** 3 * 20)) };
  });
});

t.test("headers wait with their records, over a crash too", async (t) => {
  const driver = testDriver(defineTopology("headers", (b) => {
    const { left, right } = sides(b);
    left.leftJoin(right, joined, { name: "j", grace: 5, value: text }).map((value, { headers }) => `${value} ${headersText(headers)}`).sink(collect("out"));
  }));
  driver.pipe("l", { key: "a", value: '"L"', timestamp: 1, headers: [{ key: "trace", value: Buffer.from("7") }, { key: "none", value: null }] });
  await driver.commit();
  driver.crash();
  driver.pipe("l", { key: "a", value: '"M"', timestamp: 10 });
  t.same(driver.values("out"), ["L|null trace=7,none=null"]);
});

t.test("a grace needs a table of versions, with a history that is at least as long", (t) => {
  const problemsOf = (grace: number, history?: number) => {
    const result = validate(defineTopology("x", (b) => {
      const right = b.table("r", history === undefined ? { store: "rows", value: text } : { store: "rows", value: text, history });
      b.source("l").decode(text).join(right, joined, { name: "j", grace, value: text }).sink(collect("out"));
    }));
    return isLeft(result) ? result.left.map(({ rule, step, cure }) => [rule, step, cure !== ""]) : [];
  };
  const wrong = [["JOIN_INVALID", "j", true]];
  t.same(problemsOf(5), wrong);
  t.same(problemsOf(-1, 10), wrong);
  t.same(problemsOf(11, 10), wrong);
  t.same(problemsOf(10, 10), []);
  t.end();
});
