/** Hopping windows over keys: what Kafka Streams' TimeWindows with advanceBy do. */
import t from "tap";
import { defineTopology, hopping, serde, type Windowed } from "@iot-topology/core";
import { collect, type TestDriver, testDriver } from "@iot-topology/core/testing";

const topology = (advance: number, emit: "update" | "close" = "update") =>
  defineTopology("hopping", (b) => {
    const windows = b.source("in").decode(serde.json<number>()).groupByKey().windowed(hopping(10, { advance, grace: 0 }), { emit }).aggregate("lists", { value: serde.string(), init: () => "", add: (total, value) => `${total},${value}` });
    windows.toStream().sink(collect("out"));
    windows.late.sink(collect("late"));
  });
const pipe = (driver: TestDriver, records: readonly (readonly [string, number, number])[]): void => driver.pipe("in", ...records.map(([key, value, timestamp]) => ({ key, value, timestamp })));
const out = (driver: TestDriver): string[] =>
  driver.read("out").map(({ value, timestamp }) => {
    const { key, window_start: start, window_end: end, value: total } = value as Windowed<string>;
    return `${key}[${start},${end})=${total}@${timestamp}`;
  });

t.test("a record counts in every window that holds it, the oldest first, and no window begins before the epoch", (t) => {
  const driver = testDriver(topology(5));
  pipe(driver, [["a", 1, 3], ["a", 2, 7], ["a", 3, 12]]);
  t.same(out(driver), ["a[0,10)=,1@3", "a[0,10)=,1,2@7", "a[5,15)=,2@7", "a[5,15)=,2,3@12", "a[10,20)=,3@12"]);
  t.end();
});

t.test("an advance that does not divide the size gives some records more windows than others", (t) => {
  const driver = testDriver(topology(3));
  pipe(driver, [["a", 4, 12], ["a", 5, 100]]);
  t.same(out(driver), ["a[3,13)=,4@12", "a[6,16)=,4@12", "a[9,19)=,4@12", "a[12,22)=,4@12", "a[93,103)=,5@100", "a[96,106)=,5@100", "a[99,109)=,5@100"]);
  t.end();
});

t.test("a record is late once, and only where all of its windows are closed", (t) => {
  const driver = testDriver(topology(5));
  pipe(driver, [["b", 1, 14], ["a", 2, 7], ["b", 3, 40], ["a", 4, 20]]);
  t.same(out(driver).filter((row) => row.startsWith("a")), ["a[5,15)=,2@7"]);
  t.same(driver.values("late"), [4]);
  t.equal(driver.counters().late, 1);
  t.end();
});

t.test("on close, every window of a jump is sent once, in order of start and key", (t) => {
  const driver = testDriver(topology(5, "close"));
  pipe(driver, [["b", 1, 12], ["a", 2, 11], ["z", 3, 1_000]]);
  t.same(out(driver), ["a[5,15)=,2@11", "b[5,15)=,1@12", "a[10,20)=,2@11", "b[10,20)=,1@12"]);
  pipe(driver, [["z", 3, 100_000]]);
  t.same(out(driver), ["z[995,1005)=,3@1000", "z[1000,1010)=,3@1000"]);
  t.end();
});
