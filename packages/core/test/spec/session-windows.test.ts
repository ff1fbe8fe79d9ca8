/** Session windows over keys: what Kafka Streams' SessionWindows do. */
import t from "tap";
import { defineTopology, serde, session, type Windowed } from "@iot-topology/core";
import { collect, type TestDriver, testDriver } from "@iot-topology/core/testing";

const topology = (emit: "update" | "close" = "update", retention?: number) =>
  defineTopology("sessions", (b) => {
    const windows = b.source("in").decode(serde.json<number>()).groupByKey().windowed(session(5, { grace: 3 }), { emit, ...(retention === undefined ? {} : { retention }) })
      .aggregate("lists", { value: serde.string(), init: () => "", add: (total, value) => `${total},${value}`, merge: (total, other) => `${total}|${other}` });
    windows.toStream().sink(collect("out"));
    windows.late.sink(collect("late"));
  });
const pipe = (driver: TestDriver, records: readonly (readonly [string, number | null, number])[]): void => driver.pipe("in", ...records.map(([key, value, timestamp]) => ({ key, value, timestamp })));
const out = (driver: TestDriver): string[] =>
  driver.read("out").map(({ value, timestamp }) => {
    const { key, window_start: start, window_end: end, value: total } = value as Windowed<unknown>;
    return `${key}[${start},${end}]=${total}@${timestamp}`;
  });

t.test("records at most a gap apart are one session; a merge takes back the sessions that it brings together, the oldest first", (t) => {
  const driver = testDriver(topology());
  pipe(driver, [["a", 1, 10], ["a", 2, 15], ["a", 3, 21]]);
  t.same(out(driver), ["a[10,10]=,1@10", "a[10,10]=null@10", "a[10,15]=|,1,2@15", "a[21,21]=,3@21"]);
  pipe(driver, [["a", 4, 18], ["a", 5, 18]]);
  t.same(out(driver), ["a[10,15]=null@15", "a[21,21]=null@21", "a[10,21]=||,1,2|,3,4@21", "a[10,21]=null@21", "a[10,21]=|||,1,2|,3,4,5@21"]);
  t.end();
});

t.test("a second record at the very time of a session changes it without taking it back", (t) => {
  const driver = testDriver(topology());
  pipe(driver, [["a", 1, 10], ["a", 2, 10]]);
  t.same(out(driver), ["a[10,10]=,1@10", "a[10,10]=|,1,2@10"]);
  t.end();
});

t.test("late is what would be in a closed session, even if it could have been merged with that", (t) => {
  const driver = testDriver(topology());
  pipe(driver, [["a", 1, 10], ["b", 2, 18], ["a", 3, 10]]);
  t.same(out(driver).filter((row) => row.startsWith("a")), ["a[10,10]=,1@10", "a[10,10]=|,1,3@10"], "at end, gap and grace the session is still found");
  pipe(driver, [["b", 4, 19], ["a", 5, 10], ["a", 6, 11]]);
  t.same(out(driver).filter((row) => row.startsWith("a")), ["a[11,11]=,6@11"], "a closed session never changes: a record that is not late itself starts another one");
  t.same(driver.values("late"), [5]);
  t.end();
});

t.test("what is kept for longer does not change what records do", (t) => {
  const records = [["a", 1, 10], ["b", 2, 18], ["a", 3, 10], ["b", 4, 19], ["a", 5, 10], ["a", 6, 11], ["c", 7, 500]] as const;
  for (const emit of ["update", "close"] as const) {
    const [short, long] = [testDriver(topology(emit)), testDriver(topology(emit, 100_000))];
    pipe(short, records);
    pipe(long, records);
    t.same(out(long), out(short));
  }
  t.end();
});

t.test("on close, each session is sent once, by end, start and key, and nothing is taken back", (t) => {
  const driver = testDriver(topology("close"));
  pipe(driver, [["a", 1, 10], ["a", 2, 14], ["b", 3, 20], ["b", 4, 21], ["c", 5, 22]]);
  t.same(out(driver), []);
  pipe(driver, [["c", 6, 23]]);
  t.same(out(driver), ["a[10,14]=|,1,2@14"]);
  pipe(driver, [["b", 7, 22], ["c", 8, 900]]);
  t.same(out(driver), ["b[20,22]=||,3,4,7@22", "c[22,23]=|,5,6@23"]);
  t.end();
});

t.test("a count merges by adding, a reduce by its function; of nulls alone a reduce makes nothing", (t) => {
  const driver = testDriver(
    defineTopology("sums", (b) => {
      const group = b.source("in").decode(serde.json<number>()).groupByKey().windowed(session(5, { grace: 100 }));
      group.count("n").toStream().sink(collect("n"));
      group.reduce("sum", { value: serde.json<number>() }, (total, value) => total + (value ?? 0)).toStream().sink(collect("out"));
    }),
  );
  pipe(driver, [["a", 1, 10], ["a", 2, 20], ["a", 4, 15], ["b", null, 30]]);
  t.same(driver.values("n").map((row) => (row as Windowed<number>).value), [1, 1, null, null, 3, 1]);
  t.same(out(driver), ["a[10,10]=1@10", "a[20,20]=2@20", "a[10,10]=null@10", "a[20,20]=null@20", "a[10,20]=7@20", "b[30,30]=null@30"]);
  t.end();
});
