/** Joins of two tables by their keys: inner, left, outer. */
import t from "tap";
import { defineTopology, serde } from "@iot-topology/core";
import { collect, type TestDriver, testDriver } from "@iot-topology/core/testing";
import { crashingRun, randomRecords, type ScheduledRecord, straightRun } from "./crash-schedule.ts";
import { randomOf, seedOf } from "./crashes.ts";

const text = serde.json<string>();
const out = (driver: TestDriver) => driver.rows("out").map(({ key, value, timestamp }) => [key, value, timestamp]);
const joined = (kind: "join" | "leftJoin" | "outerJoin", store?: string) =>
  defineTopology(kind, (b) => {
    const left = b.table("left", { store: "lefts", value: text });
    const right = b.table("right", { store: "rights", value: text });
    left[kind](right, (l: string | null, r: string | null) => `${l}|${r}`, store === undefined ? {} : { store, value: text }).toStream().sink(collect("out"));
  });
const RECORDS: readonly ScheduledRecord[] = [
  ["left", "a", "L1", 5],
  ["right", "a", "R1", 9],
  ["left", "a", "L2", 3],
  ["right", "a", "R1", 9],
  ["left", "a", null, 15],
  ["left", "a", null, 15],
  ["right", "a", null, 20],
  ["right", "a", null, 21],
  ["right", "b", "R2", 30],
  ["left", "b", "L3", 31],
  ["right", "b", null, 32],
];

t.test("an inner join has a row while both sides have one, and a change's time is the greater of both", (t) => {
  for (const store of [undefined, "joined"]) {
    t.same(out(straightRun(joined("join", store), RECORDS)), [["a", "L1|R1", 9], ["a", "L2|R1", 9], ["a", "L2|R1", 9], ["a", null, 15], ["a", null, 15], ["b", "L3|R2", 31], ["b", null, 32]]);
  }
  t.end();
});

t.test("a left join has a row for each left row", (t) => {
  for (const store of [undefined, "joined"]) {
    t.same(out(straightRun(joined("leftJoin", store), RECORDS)).filter(([key]) => key === "b"), [["b", "L3|R2", 31], ["b", "L3|null", 32]]);
  }
  t.same(out(straightRun(joined("leftJoin"), RECORDS.slice(0, 3))), [["a", "L1|null", 5], ["a", "L1|R1", 9], ["a", "L2|R1", 9]]);
  t.end();
});

t.test("an outer join has a row for each key of either side", (t) => {
  for (const store of [undefined, "joined"]) {
    t.same(out(straightRun(joined("outerJoin", store), RECORDS)).slice(-6), [["a", "null|R1", 15], ["a", "null|R1", 15], ["a", null, 20], ["b", "null|R2", 30], ["b", "L3|R2", 31], ["b", "L3|null", 32]]);
  }
  t.end();
});

t.test("the result can be grouped and joined again, with a store of its own or without", (t) => {
  for (const store of [undefined, "joined"]) {
    const topology = defineTopology("again", (b) => {
      const [left, right, third] = ["left", "right", "third"].map((name) => b.table(name, { store: name, value: serde.json<number>() }));
      const sums = left!.leftJoin(right!, (l, r) => l + (r ?? 0), store === undefined ? {} : { store, value: serde.json<number>() });
      sums.groupBy((sum) => ({ key: sum % 2 === 0 ? "even" : "odd", value: sum })).reduce("parity", { value: serde.json<number>() }, { add: (a, n) => a + n, subtract: (a, n) => a - n }).toStream().sink(collect("out"));
      sums.join(third!, (sum, n) => sum * n).toStream().sink(collect("products"));
    });
    const driver = straightRun(topology, [["left", "a", 2, 1], ["right", "a", 1, 2], ["third", "a", 10, 3], ["left", "b", 5, 4], ["left", "a", 4, 5], ["left", "b", null, 6]]);
    t.same(out(driver), [["even", 2, 1], ["even", 0, 2], ["odd", 3, 2], ["odd", 8, 4], ["odd", 10, 5], ["odd", 5, 6]]);
    t.same(driver.rows("products").map(({ value, timestamp }) => [value, timestamp]), [[30, 3], [50, 5]]);
  }
  t.end();
});

t.test("a row that cannot be joined goes by the policy, and is a deletion in the result", (t) => {
  const topology = defineTopology("refused", (b) => {
    const left = b.table("left", { store: "lefts", value: serde.json<number>() });
    const right = b.table("right", { store: "rights", value: serde.json<number>() });
    left.join(right, (l, r) => {
      if (r === 0) throw new Error("by zero");
      return l / r;
    }, { onError: "skip" }).toStream().sink(collect("out"));
  });
  const driver = straightRun(topology, [["left", "a", 6, 1], ["right", "a", 3, 2], ["right", "a", 0, 3], ["right", "a", 2, 4]]);
  t.same(out(driver), [["a", 2, 2], ["a", null, 3], ["a", 3, 4]]);
  t.equal(driver.counters().skipped, 1);
  t.end();
});

t.test("a table of another topology is refused", (t) => {
  let foreign: unknown;
  defineTopology("one", (b) => (foreign = b.table("in", { store: "s", value: text })));
  t.throws(() => defineTopology("two", (b) => b.table("in", { store: "s", value: text }).join(foreign as ReturnType<typeof b.table<string>>, (l) => l)), { code: "PLAN_INVALID" });
  t.end();
});

t.test("the result is that of both tables at each moment, with crashes or without", (t) => {
  const seed = seedOf(t);
  const random = randomOf(seed);
  for (let round = 0; round < 30; round++) {
    const kind = (["join", "leftJoin", "outerJoin"] as const)[round % 3] as "join";
    const topology = joined(kind, round % 2 === 0 ? "joined" : undefined);
    const records = randomRecords(random, ["left", "right"], 120, (n, topic) => `${topic}${n}`);
    const straight = straightRun(topology, records);
    const driver = crashingRun(topology, records, random);
    t.strictSame(out(driver), out(straight));
    const sides = { left: new Map<string, string>(), right: new Map<string, string>() };
    const model = new Map<string, string | null>();
    const result = new Map<string, unknown>();
    const stepwise = testDriver(topology);
    for (const [topic, key, value, timestamp] of records) {
      if (value === null) sides[topic as "left"].delete(key as string);
      else sides[topic as "left"].set(key as string, value as string);
      const [l, r] = [sides.left.get(key as string), sides.right.get(key as string)];
      const isThere = kind === "join" ? l !== undefined && r !== undefined : (kind as string) === "leftJoin" ? l !== undefined : l !== undefined || r !== undefined;
      model.set(key as string, isThere ? `${l ?? null}|${r ?? null}` : null);
      stepwise.pipe(topic, { key, value: value === null ? null : JSON.stringify(value), timestamp });
      for (const row of stepwise.read("out")) result.set(row.key as string, row.value);
      t.equal(result.get(key as string) ?? null, model.get(key as string) ?? null);
    }
  }
  t.end();
});
