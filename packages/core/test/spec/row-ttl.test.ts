/** Rows that end: `ttl` of tables and totals, in stream time. */
import t from "tap";
import { defineTopology, serde } from "@iot-topology/core";
import { collect, type TestDriver, testDriver } from "@iot-topology/core/testing";
import { crashingRun, randomRecords, straightRun } from "./crash-schedule.ts";
import { randomOf, seedOf } from "./crashes.ts";

const integer = serde.json<number>();
const out = (driver: TestDriver, target = "out") => driver.rows(target).map(({ key, value, timestamp }) => [key, value, timestamp]);
const table = (ttl: number) => defineTopology("ttl", (b) => b.table("in", { store: "rows", value: integer, ttl }).toStream().sink(collect("out")));

t.test("a row that was not updated for its ttl is deleted by the record that brings stream time there, with the time at which it ended", (t) => {
  const driver = straightRun(table(10), [["in", "a", 1, 100], ["in", "b", 2, 103], ["in", "a", 3, 105], ["in", "c", 4, 114], ["in", "c", 5, 115], ["in", "c", 6, 140]]);
  t.same(out(driver), [["a", 1, 100], ["b", 2, 103], ["a", 3, 105], ["b", null, 113], ["c", 4, 114], ["a", null, 115], ["c", 5, 115], ["c", null, 125], ["c", 6, 140]]);
  t.end();
});

t.test("rows end in the order of their times, and a row that an older update replaced ends by that", (t) => {
  const driver = straightRun(table(10), [["in", "a", 1, 109], ["in", "b", 2, 108], ["in", "a", 3, 101], ["in", "c", 4, 200]]);
  t.same(out(driver).slice(3), [["a", null, 111], ["b", null, 118], ["c", 4, 200]]);
  t.end();
});

t.test("an update that would have ended already is dropped and counted, a deletion is taken at any time", (t) => {
  const driver = straightRun(table(10), [["in", "a", 1, 100], ["in", "b", 2, 91], ["in", "b", 2, 90], ["in", "a", null, 50]]);
  t.same(out(driver), [["a", 1, 100], ["b", 2, 91], ["a", null, 50]]);
  t.same(driver.counters().dropped, { expired: 1 });
  t.end();
});

t.test("a total that ended begins anew, and steps behind it subtract it", (t) => {
  const topology = defineTopology("totals", (b) => {
    const counts = b.source("in").decode(integer).groupByKey().count("n", { ttl: 10 });
    counts.toStream().sink(collect("out"));
    counts.groupBy((n) => ({ key: "all", value: n })).reduce("sum", { value: integer }, { add: (sum, n) => sum + n, subtract: (sum, n) => sum - n }).toStream().sink(collect("sum"));
    b.source("other").decode(integer).toTable("others", { value: integer, ttl: 5 }).toStream().sink(collect("others"));
  });
  const driver = straightRun(topology, [["in", "a", 1, 1], ["in", "a", 1, 5], ["in", "b", 1, 8], ["in", "a", 1, 15]]);
  t.same(out(driver), [["a", 1, 1], ["a", 2, 5], ["b", 1, 8], ["a", null, 15], ["a", 1, 15]]);
  t.same(out(driver, "sum").at(-1), ["all", 2, 15]);
  t.end();
});

t.test("rows end as the rule says, with crashes or without", (t) => {
  const seed = seedOf(t);
  const random = randomOf(seed);
  for (let round = 0; round < 30; round++) {
    const ttl = 5 + Math.floor(random() * 40);
    const records = randomRecords(random, ["in"], 200, (n) => n);
    const straight = straightRun(table(ttl), records);
    const driver = crashingRun(table(ttl), records, random);
    t.strictSame(out(driver), out(straight));
    t.strictSame(driver.counters().dropped, straight.counters().dropped);
    let streamTime = Number.NEGATIVE_INFINITY;
    const rows = new Map<string, { value: unknown; timestamp: number }>();
    const stepwise = testDriver(table(ttl));
    for (const [topic, key, value, timestamp] of records) {
      streamTime = Math.max(streamTime, timestamp);
      const ended = [...rows].filter(([, row]) => row.timestamp + ttl <= streamTime).map(([own, row]) => [own, null, row.timestamp + ttl] as const);
      for (const [own] of ended) rows.delete(own);
      const expected: (readonly unknown[])[] = ended.sort(([a, , x], [b, , y]) => x - y || (a < b ? -1 : 1));
      if (value === null) rows.delete(key as string);
      else if (timestamp + ttl > streamTime) rows.set(key as string, { value, timestamp });
      if (value === null || timestamp + ttl > streamTime) expected.push([key, value, timestamp]);
      stepwise.pipe(topic, { key, value: value === null ? null : JSON.stringify(value), timestamp });
      t.strictSame(stepwise.read("out").map((row) => [row.key, row.value, row.timestamp]), expected);
    }
  }
  t.end();
});
