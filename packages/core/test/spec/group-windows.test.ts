/** Groups of fields over hopping, sliding and session windows: columns of aggregates, at commits, on update, or once. */
import t from "tap";
import { avg, c, count, defineTopology, type GroupWindowOptions, hopping, max, min, record, session, sliding, sum, type TopologyBuilder, tumbling } from "@iot-topology/core";
import { collect, type TestDriver, testDriver } from "@iot-topology/core/testing";
import { seedOf, withCrashes } from "./crashes.ts";

const Reading = record("Reading", { device: c.string(), floor: c.int32(), value: c.float64(), at: c.dateTime64(3, "UTC") });
const columns = { n: count(), total: sum("value"), least: min("value"), most: max("value"), mean: avg("value") };
const groups = (b: TopologyBuilder) => b.source("in").cast(Reading, { timestamp: "at" }).groupBy("device", "floor");

const pipe = (driver: TestDriver, records: readonly (readonly [string, number, number])[]): void => driver.pipe("in", ...records.map(([device, value, at]) => ({ value: { device, floor: -1, value, at }, timestamp: at })));
const out = (driver: TestDriver): unknown[] => driver.read("out").map(({ value }) => value);
const row = (device: string, start: number, end: number, [n, total, least, most, mean]: readonly [number, number, number, number, number]) => ({ device, floor: -1, window_start: start, window_end: end, n, total, least, most, mean, updates: n });

t.test("at commits, each window that changed leaves once, as it is then", (t) => {
  const driver = testDriver(defineTopology("commit", (b) => groups(b).windowed(hopping(10, { advance: 5, grace: 5 })).aggregate("windows", columns).sink(collect("out"))));
  pipe(driver, [["a", 1, 7], ["a", 3, 8], ["b", 5, 12]]);
  t.same(out(driver), []);
  void driver.commit();
  t.same(out(driver), [row("a", 0, 10, [2, 4, 1, 3, 2]), row("a", 5, 15, [2, 4, 1, 3, 2]), row("b", 5, 15, [1, 5, 5, 5, 5]), row("b", 10, 20, [1, 5, 5, 5, 5])]);
  pipe(driver, [["a", 2, 9]]);
  void driver.commit();
  t.same(out(driver), [row("a", 0, 10, [3, 6, 1, 3, 2]), row("a", 5, 15, [3, 6, 1, 3, 2])]);
  t.end();
});

t.test("on update, a row leaves with every record, for tumbling windows too", (t) => {
  const driver = testDriver(defineTopology("update", (b) => groups(b).windowed(tumbling(10, { grace: 5 }), { emit: "update" }).count("windows").sink(collect("out"))));
  pipe(driver, [["a", 1, 7], ["a", 3, 8]]);
  t.same(out(driver), [1, 2].map((n) => ({ device: "a", floor: -1, window_start: 0, window_end: 10, n, updates: n })));
  t.end();
});

t.test("on close, a row leaves once, in order of start and group; late records go to .late", (t) => {
  const driver = testDriver(
    defineTopology("close", (b) => {
      const rows = groups(b).windowed(tumbling(10, { grace: 0 }), { emit: "close" }).aggregate("windows", columns);
      rows.sink(collect("out"));
      rows.late.map(({ value }) => value).sink(collect("late"));
    }),
  );
  pipe(driver, [["b", 1, 7], ["a", 3, 8], ["b", 2, 3], ["a", 9, 1_000], ["a", 4, 5]]);
  t.same(out(driver), [row("a", 0, 10, [1, 3, 3, 3, 3]), row("b", 0, 10, [2, 3, 1, 2, 1.5])]);
  t.same(driver.values("late"), [4]);
  t.end();
});

t.test("sliding windows share no totals: a window that begins with another's does not change it", (t) => {
  const driver = testDriver(defineTopology("sliding", (b) => groups(b).windowed(sliding(10, { grace: 100 }), { emit: "close" }).aggregate("windows", columns).sink(collect("out"))));
  pipe(driver, [["a", 1, 20], ["a", 3, 25], ["a", 5, 31], ["z", 0, 10_000]]);
  t.same(out(driver), [
    row("a", 10, 20, [1, 1, 1, 1, 1]),
    row("a", 15, 25, [2, 4, 1, 3, 2]),
    row("a", 21, 31, [2, 8, 3, 5, 4]),
    row("a", 26, 36, [1, 5, 5, 5, 5]),
  ]);
  t.end();
});

t.test("sessions merge every column, and leave when they are closed", (t) => {
  const driver = testDriver(defineTopology("sessions", (b) => groups(b).windowed(session(5, { grace: 20 })).aggregate("windows", columns).sink(collect("out"))));
  pipe(driver, [["a", 1, 10], ["a", 6, 20], ["b", 7, 21], ["a", 2, 15], ["z", 0, 10_000]]);
  t.same(out(driver), [row("a", 10, 20, [3, 9, 1, 6, 3]), row("b", 21, 21, [1, 7, 7, 7, 7])]);
  t.end();
});

t.test("a reduce goes over all windows, and merges sessions", (t) => {
  const driver = testDriver(
    defineTopology("reduce", (b) =>
      groups(b).windowed(session(5, { grace: 20 })).reduce("windows", Reading, (one, other) => (other.value > one.value ? other : one)).map(({ value, updates }) => [value.value, updates]).sink(collect("out"))),
  );
  pipe(driver, [["a", 1, 10], ["a", 6, 20], ["a", 2, 15], ["z", 0, 10_000]]);
  t.same(out(driver), [[6, 3]]);
  t.end();
});

t.test("rows are the same after crashes at random places", async (t) => {
  const seed = seedOf(t);
  const make = (random: () => number, index: number) => {
    const at = 1_000 + Math.max(0, index * 2 - Math.floor(random() * 30));
    return { topic: "in", value: { device: `d${Math.floor(random() * 4)}`, floor: 2, value: index, at }, timestamp: at };
  };
  for (const emit of ["update", "close"] as const) {
    await withCrashes(t, defineTopology("hopping", (b) => groups(b).windowed(hopping(20, { advance: 6, grace: 7 }), { emit }).aggregate("windows", columns).sink(collect("out"))), seed, make, { lives: 4 });
    await withCrashes(t, defineTopology("sliding", (b) => groups(b).windowed(sliding(12, { grace: 7 }), { emit }).aggregate("windows", columns).sink(collect("out"))), seed, make, { lives: 4 });
  }
  await withCrashes(t, defineTopology("sessions", (b) => groups(b).windowed(session(4, { grace: 7 })).aggregate("windows", columns).sink(collect("out"))), seed, make, { lives: 4 });
});

const options: GroupWindowOptions = { emit: "commit" };
t.test("rows that wait for a commit are forgotten with the crash that takes their records back", (t) => {
  const driver = testDriver(defineTopology("held", (b) => groups(b).windowed(sliding(10, { grace: 5 }), options).count("windows").sink(collect("out"))));
  pipe(driver, [["a", 1, 20]]);
  void driver.commit();
  t.equal(out(driver).length, 1);
  pipe(driver, [["a", 1, 25]]);
  driver.crash();
  void driver.commit();
  t.same(out(driver), []);
  pipe(driver, [["a", 1, 25]]);
  void driver.commit();
  t.same(out(driver).map((each) => (each as { n: number }).n).sort(), [1, 2]);
  t.end();
});
