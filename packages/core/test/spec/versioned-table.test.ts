/** Versioned tables: rows with their former versions. */
import t from "tap";
import { defineTopology, serde } from "@iot-topology/core";
import { collect, type TestDriver } from "@iot-topology/core/testing";
import { crashingRun, randomRecords, straightRun } from "./crash-schedule.ts";
import { randomOf, seedOf } from "./crashes.ts";

const integer = serde.json<number>();
const out = (driver: TestDriver, target = "out") => driver.rows(target).map(({ key, value, timestamp }) => [key, value, timestamp]);

t.test("versions that come out of order are forwarded, and those older than the history are dropped and counted", (t) => {
  const topology = defineTopology("versions", (b) => b.table("in", { store: "rows", value: integer, history: 20 }).filter((n) => n > 0).toStream().sink(collect("out")));
  const driver = straightRun(topology, [["in", "a", 1, 10], ["in", "a", 2, 20], ["in", "a", 3, 15], ["in", "a", null, 12], ["in", "a", 4, 20], ["in", "b", 5, 50], ["in", "a", 6, 29], ["in", "a", 7, 30]]);
  t.same(out(driver), [["a", 1, 10], ["a", 2, 20], ["a", 3, 15], ["a", null, 12], ["a", 4, 20], ["b", 5, 50], ["a", 7, 30]]);
  t.same(driver.counters().dropped, { expired: 1 });
  t.end();
});

t.test("a versioned store answers as of any moment of its history, and a deletion hides a row from its time on", (t) => {
  const topology = defineTopology("history", (b) => b.table("in", { store: "rows", value: integer, history: 20 }).toStream().sink(collect("out")));
  const driver = straightRun(topology, [["in", "a", 1, 10], ["in", "a", null, 25], ["in", "a", 3, 20], ["in", "b", 4, 30]]);
  const asOf = (moment: number) => driver.store("rows").get("a", moment)?.value ?? null;
  t.same([9, 10, 19, 20, 24, 25, 30].map(asOf), [null, 1, 1, 3, 3, null, null]);
  t.equal(driver.store("rows").get("a"), undefined);
  t.same(driver.store("rows").range(), [{ key: "b", value: 4, timestamp: 30 }]);
  driver.pipe("in", { key: "b", value: 5, timestamp: 40 });
  void driver.commit();
  t.same([19, 20].map(asOf), [null, 3]);
  t.end();
});

t.test("a deletion that comes before the row that it deletes hides it, which Kafka Streams forgets", (t) => {
  const topology = defineTopology("early", (b) => {
    const rows = b.table("in", { store: "rows", value: integer, history: 50 });
    b.source("asked").decode(integer).leftJoin(rows, (moment, row) => [moment, row]).sink(collect("out"));
  });
  const driver = straightRun(topology, [["in", "a", null, 40], ["in", "a", 1, 35], ["asked", "a", 36, 36], ["asked", "a", 40, 40], ["asked", "a", 60, 60]]);
  t.same(driver.values("out"), [[36, 1], [40, null], [60, null]]);
  t.equal(driver.store("rows").get("a"), undefined);
  t.end();
});

t.test("totals and joins are of the newest versions, and a stream can be a versioned table too", (t) => {
  const topology = defineTopology("newest", (b) => {
    const left = b.source("left").decode(integer).toTable("lefts", { value: integer, history: 100 });
    const right = b.table("right", { store: "rights", value: integer, history: 100 });
    left.groupBy((n) => ({ key: "all", value: n })).reduce("sum", { value: integer }, { add: (sum, n) => sum + n, subtract: (sum, n) => sum - n }).toStream().sink(collect("sum"));
    left.mapValues((n) => n * 10).join(right, (l, r) => l + r).toStream().sink(collect("joined"));
  });
  const driver = straightRun(topology, [["left", "a", 1, 10], ["right", "a", 5, 12], ["left", "a", 2, 8], ["left", "a", 3, 20], ["right", "a", 7, 11]]);
  t.same(out(driver, "sum"), [["all", 1, 10], ["all", 3, 20]]);
  t.same(out(driver, "joined"), [["a", 15, 12], ["a", 35, 20]]);
  t.same(driver.counters().dropped, { "out-of-order": 2 });
  t.end();
});

t.test("changes are the same with crashes or without", (t) => {
  const seed = seedOf(t);
  const random = randomOf(seed);
  const topology = defineTopology("random", (b) => {
    const table = b.table("in", { store: "rows", value: integer, history: 25 });
    table.toStream().sink(collect("out"));
    table.groupBy((n) => ({ key: `m${n % 3}`, value: n })).count("n").toStream().sink(collect("counts"));
  });
  for (let round = 0; round < 20; round++) {
    const records = randomRecords(random, ["in"], 150, (n) => n);
    const straight = straightRun(topology, records);
    const driver = crashingRun(topology, records, random);
    t.strictSame(out(driver), out(straight));
    t.strictSame(out(driver, "counts"), out(straight, "counts"));
    t.strictSame(driver.counters().dropped, straight.counters().dropped);
  }
  t.end();
});
