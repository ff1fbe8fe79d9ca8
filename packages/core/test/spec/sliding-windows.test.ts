/** Sliding windows over keys: what Kafka Streams' SlidingWindows do. */
import t from "tap";
import { defineTopology, serde, sliding, type Windowed } from "@iot-topology/core";
import { collect, type TestDriver, testDriver } from "@iot-topology/core/testing";

const topology = (grace: number, emit: "update" | "close" = "update") =>
  defineTopology("sliding", (b) => {
    const windows = b.source("in").decode(serde.json<number>()).groupByKey().windowed(sliding(10, { grace }), { emit }).aggregate("lists", { value: serde.string(), init: () => "", add: (total, value) => `${total},${value}` });
    windows.toStream().sink(collect("out"));
    windows.late.sink(collect("late"));
  });
const pipe = (driver: TestDriver, records: readonly (readonly [string, number | null, number])[]): void => driver.pipe("in", ...records.map(([key, value, timestamp]) => ({ key, value, timestamp })));
const out = (driver: TestDriver): string[] =>
  driver.read("out").map(({ value, timestamp }) => {
    const { key, window_start: start, window_end: end, value: total } = value as Windowed<string>;
    return `${key}[${start},${end}]=${total}@${timestamp}`;
  });

t.test("there is a window that ends with each record, and one behind each record where others fall into it", (t) => {
  const driver = testDriver(topology(5));
  pipe(driver, [["a", 1, 20], ["a", 2, 25]]);
  t.same(out(driver), ["a[10,20]=,1@20", "a[21,31]=,2@25", "a[15,25]=,1,2@25"]);
  pipe(driver, [["a", 3, 30]]);
  t.same(out(driver), ["a[21,31]=,2,3@30", "a[26,36]=,3@30", "a[20,30]=,1,2,3@30"]);
  t.end();
});

t.test("a record out of order makes its own windows of what is there", (t) => {
  const driver = testDriver(topology(50));
  pipe(driver, [["a", 1, 30], ["a", 2, 50]]);
  out(driver);
  pipe(driver, [["a", 3, 40]]);
  t.same(out(driver), ["a[40,50]=,2,3@50", "a[31,41]=,3@40", "a[30,40]=,1,3@40", "a[41,51]=,2@50"]);
  pipe(driver, [["a", 4, 35]]);
  t.same(out(driver), ["a[31,41]=,3,4@40", "a[30,40]=,1,3,4@40", "a[25,35]=,1,4@35", "a[36,46]=,3@40"]);
  t.end();
});

t.test("records of the first difference after the epoch share a window", (t) => {
  const driver = testDriver(topology(50));
  pipe(driver, [["a", 1, 3], ["a", 2, 5]]);
  t.same(out(driver), ["a[0,10]=,1@3", "a[4,14]=,2@5", "a[0,10]=,1,2@5"]);
  t.end();
});

t.test("a window takes records until the stream time is greater than its end and the grace", (t) => {
  const driver = testDriver(topology(5));
  pipe(driver, [["b", 0, 25], ["a", 1, 20], ["b", 0, 26], ["a", 2, 10]]);
  t.same(out(driver).filter((row) => row.startsWith("a")), ["a[10,20]=,1@20"]);
  t.same(driver.values("late"), [2]);
  t.equal(driver.counters().late, 1);
  t.end();
});

t.test("a record without a value is dropped", (t) => {
  const driver = testDriver(topology(5));
  pipe(driver, [["a", 1, 20], ["a", null, 500], ["a", 2, 20]]);
  t.same(out(driver), ["a[10,20]=,1@20", "a[10,20]=,1,2@20"]);
  t.same(driver.counters().dropped, { "null-value": 1 });
  t.end();
});

t.test("on close, each window is sent once, when nothing can change it any more", (t) => {
  const driver = testDriver(topology(0, "close"));
  pipe(driver, [["a", 1, 20], ["a", 2, 20], ["a", 3, 12]]);
  t.same(out(driver), [], "at its end the window still takes records");
  pipe(driver, [["b", 4, 21]]);
  t.same(out(driver), ["a[10,20]=,1,2,3@20"]);
  pipe(driver, [["b", 5, 100_000]]);
  t.same(out(driver), ["b[11,21]=,4@21", "a[13,23]=,1,2@20"]);
  t.end();
});
