/** Several streams grouped by key into one total: what Kafka Streams' cogroup does. */
import t from "tap";
import { defineTopology, serde, session, tumbling, type Windowed } from "@iot-topology/core";
import { collect, type TestDriver, testDriver } from "@iot-topology/core/testing";
import { seedOf, withCrashes } from "./crashes.ts";

const integer = serde.json<number>();
const list = (name: string) => (total: string, value: number | null) => `${total},${name}${value}`;
const pipe = (driver: TestDriver, records: readonly (readonly [string, string | null, number | null, number])[]): void => {
  for (const [topic, key, value, timestamp] of records) driver.pipe(topic, { key, value, timestamp });
};
const plain = defineTopology("cogroup", (b) => {
  const clicks = b.source("clicks").decode(integer).groupByKey();
  const orders = b.source("orders").decode(integer).groupByKey();
  clicks.cogroup(list("c")).cogroup(orders, list("o")).aggregate("lists", { value: serde.string(), init: () => "" }).toStream().sink(collect("out"));
});

t.test("each stream adds to the one total of its key by a function of its own", (t) => {
  const driver = testDriver(plain);
  pipe(driver, [["clicks", "a", 1, 10], ["orders", "a", 2, 8], ["orders", "b", 3, 9], ["clicks", null, 4, 1], ["orders", "a", null, 1], ["clicks", "a", 5, 20]]);
  t.same(driver.rows("out").map(({ key, value, timestamp }) => [key, value, timestamp]), [["a", ",c1", 10], ["a", ",c1,o2", 10], ["b", ",o3", 9], ["a", ",c1,o2,c5", 20]]);
  t.same(driver.counters().dropped, { "null-key": 1, "null-value": 1 });
  t.end();
});

t.test("a group may be there twice", (t) => {
  const driver = testDriver(
    defineTopology("twice", (b) => {
      const group = b.source("in").decode(integer).groupByKey();
      group.cogroup(list("x")).cogroup(group, list("y")).aggregate("lists", { value: serde.string(), init: () => "" }).toStream().sink(collect("out"));
    }),
  );
  pipe(driver, [["in", "a", 1, 1]]);
  t.same(driver.values("out"), [",x1", ",x1,y1"]);
  t.end();
});

t.test("windowed, all streams share one stream time: no total is begun anew over one that is kept", (t) => {
  const driver = testDriver(
    defineTopology("windowed", (b) => {
      const clicks = b.source("clicks").decode(integer).groupByKey();
      const orders = b.source("orders").decode(integer).groupByKey();
      const windows = clicks.cogroup(list("c")).cogroup(orders, list("o")).windowed(tumbling(10, { grace: 5 })).aggregate("lists", { value: serde.string(), init: () => "" });
      windows.toStream().sink(collect("out"));
      windows.late.sink(collect("late"));
    }),
  );
  pipe(driver, [["clicks", "a", 1, 3], ["orders", "a", 2, 4], ["orders", "a", 3, 100], ["clicks", "a", 4, 5], ["clicks", "a", 5, 100], ["clicks", "a", null, 101]]);
  t.same(driver.values("out").map((row) => (row as Windowed<string>).value), [",c1", ",c1,o2", ",o3", ",o3,c5", ",o3,c5,cnull"]);
  t.same(driver.values("late"), [4]);
  t.end();
});

t.test("sessions of several streams are merged", (t) => {
  const driver = testDriver(
    defineTopology("sessions", (b) => {
      const clicks = b.source("clicks").decode(integer).groupByKey();
      const orders = b.source("orders").decode(integer).groupByKey();
      clicks.cogroup(list("c")).cogroup(orders, list("o")).windowed(session(5, { grace: 9 }), { emit: "close" })
        .aggregate("lists", { value: serde.string(), init: () => "", merge: (total, other) => `${total}|${other}` }).toStream().sink(collect("out"));
    }),
  );
  pipe(driver, [["clicks", "a", 1, 10], ["orders", "a", 2, 20], ["clicks", "a", 3, 15], ["orders", "b", 4, 90]]);
  t.same(driver.values("out"), [{ key: "a", window_start: 10, window_end: 20, value: "||,c1|,o2,c3" }].map((row) => ({ ...row, value: "|,c1|,o2,c3" })));
  t.end();
});

t.test("totals survive crashes", async (t) => {
  await withCrashes(t, plain, seedOf(t), (random, index) => ({ topic: random() < 0.5 ? "clicks" : "orders", key: `k${Math.floor(random() * 4)}`, value: index, timestamp: 100 + index }), { lives: 5, records: 120 });
});
