/** Tumbling windows over keys: what Kafka Streams' TimeWindows do, change by change. */
import t from "tap";
import { defineTopology, serde, tumbling, type Windowed } from "@iot-topology/core";
import { collect, type TestDriver, testDriver } from "@iot-topology/core/testing";

const integer = serde.json<number>();
const list = { value: serde.json<string>(), init: () => "", add: (total: string, value: number | null) => `${total},${value}` };
const pipe = (driver: TestDriver, records: readonly (readonly [string | null, unknown, number])[]): void => driver.pipe("in", ...records.map(([key, value, timestamp]) => ({ key, value, timestamp })));
const out = (driver: TestDriver): unknown[] =>
  driver.read("out").map(({ value, timestamp }) => {
    const { key, window_start: start, window_end: end, value: total } = value as Windowed<unknown>;
    return [key, start, end, total, timestamp];
  });
const topology = (emit: "update" | "close" = "update") =>
  defineTopology("tumbling", (b) => {
    const windows = b.source("in").decode(integer).groupByKey().windowed(tumbling(10, { grace: 5 }), { emit }).aggregate("lists", list);
    windows.toStream().sink(collect("out"));
    windows.late.sink(collect("late"));
  });

t.test("each record changes its window, whose time is that of its last record", (t) => {
  const driver = testDriver(topology());
  pipe(driver, [["a", 1, 3], ["a", 2, 9], ["a", 3, 5], ["b", 4, 10], ["a", 5, 10]]);
  t.same(out(driver), [["a", 0, 10, ",1", 3], ["a", 0, 10, ",1,2", 9], ["a", 0, 10, ",1,2,3", 9], ["b", 10, 20, ",4", 10], ["a", 10, 20, ",5", 10]]);
  t.end();
});

t.test("a window takes records until the stream time reaches its end and the grace; later ones go to .late and are counted", (t) => {
  const driver = testDriver(topology());
  pipe(driver, [["a", 1, 3], ["b", 2, 14], ["a", 3, 4], ["b", 4, 15], ["a", 5, 5]]);
  t.same(out(driver).map((row) => (row as unknown[])[3]), [",1", ",2", ",1,3", ",2,4"]);
  t.same(driver.values("late"), [5]);
  t.equal(driver.counters().late, 1);
  t.end();
});

t.test("a record without a key, or from before the epoch, is dropped, and does not move the stream time", (t) => {
  const driver = testDriver(topology());
  pipe(driver, [["a", 1, 3], [null, 2, 900], ["a", 3, -1], ["a", 4, 4]]);
  t.same(out(driver).map((row) => (row as unknown[])[3]), [",1", ",1,4"]);
  t.same(driver.counters().dropped, { "null-key": 1, "before-epoch": 1 });
  t.end();
});

t.test("null values count, and a first null starts no total", (t) => {
  const driver = testDriver(
    defineTopology("nulls", (b) => {
      const group = b.source("in").decode(integer).groupByKey().windowed(tumbling(10, { grace: 5 }));
      group.count("n").toStream().sink(collect("n"));
      group.reduce("sum", { value: integer }, (total, value) => total + (value ?? 0)).toStream().sink(collect("out"));
    }),
  );
  pipe(driver, [["a", null, 1], ["a", 1, 2], ["a", null, 3]]);
  t.same(driver.values("n").map((row) => (row as Windowed<number>).value), [1, 2, 3]);
  t.same(out(driver), [["a", 0, 10, null, 1], ["a", 0, 10, 1, 2], ["a", 0, 10, 1, 3]]);
  t.end();
});

t.test("null from a function deletes the total, and the next record starts anew", (t) => {
  const driver = testDriver(
    defineTopology("deleting", (b) =>
      b.source("in").decode(integer).groupByKey().windowed(tumbling(10, { grace: 5 })).reduce("sum", { value: integer }, (total, value) => ((total + (value ?? 0)) % 5 === 0 ? null : total + (value ?? 0))).toStream().sink(collect("out"))),
  );
  pipe(driver, [["a", 2, 8], ["a", 3, 1], ["a", 4, 2]]);
  t.same(out(driver), [["a", 0, 10, 2, 8], ["a", 0, 10, null, 8], ["a", 0, 10, 4, 2]]);
  t.end();
});

t.test("a filter of windows makes deletions of what does not fit, and mapValues keeps them", (t) => {
  const driver = testDriver(
    defineTopology("filtered", (b) =>
      b.source("in").decode(integer).groupByKey().windowed(tumbling(10, { grace: 5 })).count("n").filterNot((n) => n === 2).mapValues((n, key) => `${key}${n}`).toStream().sink(collect("out"))),
  );
  pipe(driver, [["a", 1, 1], ["a", 1, 2], ["a", 1, 3]]);
  t.same(out(driver), [["a", 0, 10, "a1", 1], ["a", 0, 10, null, 2], ["a", 0, 10, "a3", 3]]);
  t.end();
});

t.test("on close, each window is sent once, in order of start and key, on the record that closes it, however far time jumps", (t) => {
  const driver = testDriver(topology("close"));
  pipe(driver, [["b", 1, 12], ["c", 2, 3], ["a", 3, 15], ["a", 4, 5], ["b", 5, 1]]);
  t.same(out(driver), [["c", 0, 10, ",2", 3]]);
  t.equal(driver.counters().late, 2);
  pipe(driver, [["z", 6, 9_000_000]]);
  t.same(out(driver), [["a", 10, 20, ",3", 15], ["b", 10, 20, ",1", 12]]);
  t.end();
});

t.test("a function that throws leaves the window as it was", (t) => {
  const driver = testDriver(
    defineTopology("throwing", (b) =>
      b.source("in").decode(integer).groupByKey().windowed(tumbling(10, { grace: 5 }))
        .aggregate("lists", { ...list, onError: "skip", add: (total, value) => { if (value === 2) throw new Error("two"); return `${total},${value}`; } })
        .toStream().sink(collect("out"))),
  );
  pipe(driver, [["a", 1, 1], ["a", 2, 2], ["a", 3, 3]]);
  t.same(out(driver), [["a", 0, 10, ",1", 1], ["a", 0, 10, ",1,3", 3]]);
  t.equal(driver.counters().skipped, 1);
  t.end();
});
