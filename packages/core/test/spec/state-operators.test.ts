import fc from "fast-check";
import t from "tap";
import { avg, c, count, defineTopology, hours, max, min, minutes, record, sum, tumbling } from "@iot-topology/core";
import { collect, testDriver, type TestDriver } from "@iot-topology/core/testing";

const Event = record("Event", { id: c.string(), seq: c.uint64(), value: c.float64(), at: c.dateTime64(3, "UTC") });
const event = (id: string, seq: number | string, value = 0, at = 0, loadedAt = at) => ({ value: `{"id":${JSON.stringify(id)},"seq":${seq},"value":${value},"at":${at}}`, timestamp: loadedAt });
const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);
const ids = (driver: TestDriver, target: string) => driver.values(target).map((v) => `${(v as { id: string }).id}${(v as { seq: bigint }).seq}`);

const dedupBy = (options: object) =>
  testDriver(defineTopology("x", (b) => b.source("in").cast(Event, { timestamp: "at" }).dedup("seen", { by: ["id", "seq"], ...options } as never).sink(collect("out"))));

t.test("dedup passes the first of each identity, over commits and crashes", async (t) => {
  const driver = dedupBy({});
  driver.pipe("in", event("a", 1, 5), event("a", 1, 6), event("a", 2));
  await driver.commit();
  driver.pipe("in", event("a", 2), event("b", 1));
  driver.crash();
  // Uncommitted records are processed again, so b passes once.
  driver.pipe("in", event("a", 2), event("b", 1), event("b", 1));
  await driver.commit();
  t.same(ids(driver, "out"), ["a1", "a2", "b1"]);
  t.equal((driver.values("out")[0] as { value: number }).value, 5, "the first in the log stands");
  t.equal(driver.counters().deduplicated, 3);
});

t.test("identities are told apart by field, not by their text run together", async (t) => {
  const Two = record("Two", { a: c.string(), b: c.string() });
  const driver = testDriver(defineTopology("x", (b) => b.source("in").cast(Two).dedup("seen", { by: ["a", "b"] }).sink(collect("out"))));
  for (const value of [{ a: "x", b: "yz" }, { a: "xy", b: "z" }, { a: "x1:", b: "" }, { a: "x", b: "1:" }]) driver.pipe("in", { value });
  await driver.commit();
  t.equal(driver.values("out").length, 4);
});

t.test("dedup within a time forgets an identity that is further apart, and routes what is too old to tell", async (t) => {
  const late: unknown[] = [];
  const driver = testDriver(
    defineTopology("x", (b) => {
      const unique = b.source("in").cast(Event, { timestamp: "at" }).dedup("seen", { by: ["id"], within: minutes(10) });
      unique.sink(collect("out"));
      unique.late.sink(collect("late"));
    }),
  );
  const at = (minute: number) => event("a", minute, 0, minutes(minute), hours(10));
  driver.pipe("in", at(60), at(65), at(70), at(71), at(58), at(82), at(80));
  await driver.commit();
  // 60 first; 65 and 70 within 10 of it; 71 is 11 behind 60, so first again; 58 is too old at stream time 71; 82 is 11 behind 71; 80 near 71 and 82.
  t.same(ids(driver, "out"), ["a60", "a71", "a82"]);
  t.same(ids(driver, "late"), ["a58"]);
  t.equal(late.length, 0);
  t.equal(driver.counters().late, 1);
  t.equal(driver.counters().deduplicated, 3);
});

t.test("dedup by sequence agrees with a set, for any order, 64-bit numbers included, over commits and crashes", async (t) => {
  const seed = 20_261_121;
  t.comment(`seed ${seed}`);
  const number = fc.oneof(fc.bigInt(0n, 40n), fc.bigInt(4_090n, 4_100n), fc.bigInt(0n, 20_000n), fc.bigInt(2n ** 64n - 5n, 2n ** 64n - 1n), fc.bigInt(2n ** 53n - 3n, 2n ** 53n + 3n));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.record({ id: fc.constantFrom("a", "b"), seq: number, then: fc.constantFrom("", "", "commit", "crash") }), { maxLength: 120 }), async (steps) => {
      const driver = testDriver(defineTopology("x", (b) => b.source("in").cast(Event).dedup("seen", { by: ["id"], sequence: "seq" }).sink(collect("out"))));
      const seen = new Set<string>();
      const expected: string[] = [];
      let open: string[] = [];
      const keep = () => {
        for (const name of open) if (!seen.has(name)) expected.push(name) && seen.add(name);
        open = [];
      };
      for (const { id, seq, then } of steps) {
        driver.pipe("in", event(id, String(seq)));
        open.push(`${id}${seq}`);
        if (then === "commit") {
          await driver.commit();
          keep();
        } else if (then === "crash") {
          driver.crash();
          open = [];
        }
      }
      await driver.commit();
      keep();
      t.same(ids(driver, "out"), expected);
    }),
    { seed, numRuns: 60 },
  );
});

const hourly = (grace: number | "unbounded") =>
  testDriver(
    defineTopology("x", (b) => {
      const windows = b
        .source("in")
        .cast(Event, { timestamp: "at" })
        .groupBy("id")
        .windowed(tumbling(hours(1), { grace }))
        .aggregate("hourly", { n: count(), low: min("value"), high: max("value"), total: sum("value"), mean: avg("value") });
      windows.sink(collect("out"));
      windows.late.sink(collect("late"));
    }),
  );

t.test("a tumbling window holds [start, end), and its row leaves once a commit", async (t) => {
  const driver = hourly(0);
  driver.pipe("in", event("a", 1, 3, 0), event("a", 2, 1, 3_599_999), event("a", 3, 8, 3_600_000));
  await driver.commit();
  t.same(driver.values("out"), [
    { id: "a", window_start: 0, window_end: 3_600_000, n: 2, low: 1, high: 3, total: 4, mean: 2, updates: 2 },
    { id: "a", window_start: 3_600_000, window_end: 7_200_000, n: 1, low: 8, high: 8, total: 8, mean: 8, updates: 1 },
  ]);
});

t.test("a record is late from the moment at which its window's end and grace have passed", async (t) => {
  const driver = hourly(1_000);
  driver.pipe("in", event("a", 1, 1, 0), event("a", 2, 1, 3_600_999), event("a", 3, 1, 5), event("a", 4, 1, 3_601_000), event("a", 5, 1, 6));
  await driver.commit();
  t.same(ids(driver, "late"), ["a5"]);
  t.equal(driver.counters().late, 1);
  t.match(driver.values("out"), [{ window_start: 0, n: 2 }, { window_start: 3_600_000, n: 2 }]);
});

t.test("an event time beyond its load time does not make the others late", async (t) => {
  const driver = hourly(0);
  driver.pipe("in", event("a", 1, 1, 10), event("wrong-clock", 2, 1, hours(1_000), 20), event("a", 3, 1, 30));
  await driver.commit();
  t.equal(driver.counters().late, 0);
});

t.test("aggregates equal a model's over any order of records, commits and crashes", async (t) => {
  const seed = 7_311;
  t.comment(`seed ${seed}`);
  const step = fc.record({ id: fc.constantFrom("a", "b", "c"), value: fc.integer({ min: -1_000, max: 1_000 }), at: fc.integer({ min: 0, max: hours(5) }), then: fc.constantFrom("", "", "", "commit", "crash") });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
      const driver = hourly("unbounded");
      const kept: { id: string; value: number; at: number }[] = [];
      let open: typeof kept = [];
      for (const { then, ...one } of steps) {
        driver.pipe("in", event(one.id, 0, one.value, one.at, hours(9)));
        open.push(one);
        if (then === "commit") await driver.commit().then(() => (kept.push(...open), (open = [])));
        if (then === "crash") driver.crash(), (open = []);
      }
      await driver.commit();
      kept.push(...open);
      const model = new Map<string, number[]>();
      for (const { id, value, at } of kept) {
        const name = `${id}@${at - (at % hours(1))}`;
        model.set(name, [...(model.get(name) ?? []), value]);
      }
      const last = new Map<string, { n: number; low: number; high: number; total: number; updates: number }>();
      let grew = true;
      for (const row of driver.values("out") as { id: string; window_start: number; n: number; low: number; high: number; total: number; updates: number }[]) {
        const name = `${row.id}@${row.window_start}`;
        if ((last.get(name)?.updates ?? 0) >= row.updates) grew = false;
        last.set(name, { n: row.n, low: row.low, high: row.high, total: row.total, updates: row.updates });
      }
      t.ok(grew, "updates of a window only grow");
      const expected = [...model].map(([name, values]): [string, object] => [name, { n: values.length, low: Math.min(...values), high: Math.max(...values), total: values.reduce((a, b) => a + b, 0), updates: values.length }]);
      t.same(new Map([...last].sort(byName)), new Map(expected.sort(byName)));
    }),
    { seed, numRuns: 60 },
  );
});

t.test("reduce combines the values of a group into one, and count counts them", async (t) => {
  const driver = testDriver(
    defineTopology("x", (b) => {
      const events = b.source("in").cast(Event, { timestamp: "at" });
      events.groupBy("id").reduce("greatest", Event, (total, value) => (value.value > total.value ? value : total)).sink(collect("greatest"));
      events.groupBy("id").count("counted").sink(collect("counted"));
    }),
  );
  driver.pipe("in", event("a", 1, 5), event("a", 2, 9), event("a", 3, 7));
  await driver.commit();
  driver.crash();
  driver.pipe("in", event("a", "18446744073709551615", 11));
  await driver.commit();
  t.match(driver.values("greatest"), [{ id: "a", value: { seq: 2n, value: 9 }, updates: 3 }, { id: "a", value: { seq: 18446744073709551615n, value: 11 }, updates: 4 }]);
  t.match(driver.values("counted"), [{ n: 3 }, { n: 4 }]);
});
