/** Aggregates of a table's rows: what a row was is subtracted, what it became is added. */
import t from "tap";
import { defineTopology, serde } from "@iot-topology/core";
import { collect, type TestDriver } from "@iot-topology/core/testing";
import { crashingRun, randomRecords, straightRun } from "./crash-schedule.ts";
import { randomOf, seedOf } from "./crashes.ts";

interface Device {
  readonly site: string | null;
  readonly load: number;
}
const device = serde.json<Device>();
const out = (driver: TestDriver, target = "out") => driver.rows(target).map(({ key, value, timestamp }) => [key, value, timestamp]);

t.test("a row that stays in its group makes one change, a row that moves makes two: the group it left first", (t) => {
  const topology = defineTopology("order", (b) =>
    b.table("in", { store: "devices", value: device })
      .groupBy(({ site, load }) => ({ key: site, value: load }))
      .aggregate("log", { value: serde.string(), init: () => "", add: (log, load) => `${log}+${load}`, subtract: (log, load) => `${log}-${load}` })
      .toStream()
      .sink(collect("out")));
  const driver = straightRun(topology, [
    ["in", "a", { site: "x", load: 1 }, 10],
    ["in", "a", { site: "x", load: 4 }, 20],
    ["in", "a", { site: "y", load: 2 }, 15],
    ["in", "a", null, 30],
    ["in", "a", null, 31],
    ["in", "b", { site: null, load: 2 }, 5],
  ]);
  t.same(out(driver), [
    ["x", "+1", 10],
    ["x", "+1-1+4", 20],
    ["x", "+1-1+4-4", 20],
    ["y", "+2", 15],
    ["y", "+2-2", 30],
  ]);
  t.end();
});

t.test("count and reduce follow moves and deletions, and null from a reduce deletes the total", (t) => {
  const topology = defineTopology("sums", (b) => {
    const group = b.table("in", { store: "devices", value: device }).groupBy(({ site, load }) => ({ key: site, value: load }));
    group.count("devices-a-site").toStream().sink(collect("n"));
    group.reduce("load-a-site", { value: serde.json<number>() }, { add: (sum, load) => sum + load, subtract: (sum, load) => (sum === load ? null : sum - load) }).toStream().sink(collect("sum"));
  });
  const driver = straightRun(topology, [["in", "a", { site: "x", load: 1 }, 1], ["in", "b", { site: "x", load: 5 }, 2], ["in", "a", { site: "y", load: 1 }, 3], ["in", "b", null, 4]]);
  t.same(out(driver, "n"), [["x", 1, 1], ["x", 2, 2], ["x", 1, 3], ["y", 1, 3], ["x", 0, 4]]);
  t.same(out(driver, "sum"), [["x", 1, 1], ["x", 6, 2], ["x", 5, 3], ["y", 1, 3], ["x", null, 4]]);
  t.end();
});

t.test("a row whose group cannot be told leaves the group it was in, and counts again once it can be told", (t) => {
  const topology = defineTopology("refused", (b) =>
    b.table("in", { store: "devices", value: device })
      .groupBy(({ site, load }) => {
        if (load < 0) throw new Error("no such load");
        return { key: site, value: load };
      }, { onError: "skip" })
      .count("n").toStream().sink(collect("out")));
  const driver = straightRun(topology, [["in", "a", { site: "x", load: 1 }, 1], ["in", "a", { site: "x", load: -1 }, 2], ["in", "a", { site: "x", load: 2 }, 3]]);
  t.same(out(driver), [["x", 1, 1], ["x", 0, 2], ["x", 1, 3]]);
  t.equal(driver.counters().skipped, 1);
  t.end();
});

t.test("an aggregate's function that throws fails the task, since its total would be wrong from then on", (t) => {
  const topology = defineTopology("failing", (b) =>
    b.table("in", { store: "devices", value: device })
      .groupBy(({ site, load }) => ({ key: site, value: load }), { onError: "skip" })
      .reduce("sum", { value: serde.json<number>() }, { add: () => { throw new Error("no sum"); }, subtract: (sum) => sum })
      .toStream().sink(collect("out")));
  t.throws(() => straightRun(topology, [["in", "a", { site: "x", load: 1 }, 1], ["in", "b", { site: "x", load: 1 }, 1]]), { code: "TASK_FAILED" });
  t.end();
});

t.test("totals are those of the rows at the end, with crashes or without", (t) => {
  const seed = seedOf(t);
  const random = randomOf(seed);
  const topology = defineTopology("random", (b) =>
    b.table("in", { store: "devices", value: device })
      .filter(({ load }) => load % 3 !== 0)
      .groupBy(({ site, load }) => ({ key: site, value: load }))
      .aggregate("sums", { value: serde.json<{ n: number; load: number }>(), init: () => ({ n: 0, load: 0 }), add: (sum, load) => ({ n: sum.n + 1, load: sum.load + load }), subtract: (sum, load) => ({ n: sum.n - 1, load: sum.load - load }) })
      .toStream()
      .sink(collect("out")));
  for (let round = 0; round < 20; round++) {
    const records = randomRecords(random, ["in"], 150, (n) => ({ site: "xyz"[Math.floor(random() * 3)], load: n }));
    const straight = straightRun(topology, records);
    const driver = crashingRun(topology, records, random);
    t.strictSame(out(driver), out(straight));
    const rows = new Map<string | null, Device>();
    for (const [, key, value] of records) rows.set(key, value as Device);
    const expected = new Map<string, { n: number; load: number }>();
    for (const row of rows.values()) {
      if (row === null || row.load % 3 === 0) continue;
      const sum = expected.get(row.site as string) ?? { n: 0, load: 0 };
      expected.set(row.site as string, { n: sum.n + 1, load: sum.load + row.load });
    }
    const last = new Map(straight.rows("out").map(({ key, value }) => [key, value as { n: number }]));
    t.strictSame([...last].filter(([, { n }]) => n > 0).sort(), [...expected].sort());
  }
  t.end();
});
