/** Tables and aggregates a key: what Kafka Streams' KTable and KGroupedStream do, change by change. */
import t from "tap";
import { defineTopology, serde, topic } from "@iot-topology/core";
import { collect, testDriver } from "@iot-topology/core/testing";

const run = async (topology: ReturnType<typeof defineTopology>, records: readonly (readonly [string | null, unknown, number])[]) => {
  const driver = testDriver(topology);
  driver.pipe("in", ...records.map(([key, value, timestamp]) => ({ key, value, timestamp })));
  await driver.commit();
  return driver;
};
const out = (driver: Awaited<ReturnType<typeof run>>) => driver.rows("out").map(({ key, value, timestamp }) => [key, value, timestamp]);
const integer = serde.json<number>();

t.test("a table forwards every update, an older one too, and a tombstone of a key that it never had", async (t) => {
  const topology = defineTopology("table", (b) => b.table("in", { store: "latest", value: integer }).toStream().sink(collect("out")));
  const driver = await run(topology, [["a", 1, 20], ["a", 2, 5], ["a", 2, 5], ["b", null, 31], [null, 4, 40]]);
  t.same(out(driver), [["a", 1, 20], ["a", 2, 5], ["a", 2, 5], ["b", null, 31]]);
  t.same(driver.counters().dropped, { "null-key": 1 });
});

t.test("a filter of a table makes deletions of what fits no longer, and nothing of what never did", async (t) => {
  for (const store of [undefined, "kept"]) {
    const topology = defineTopology("filtered", (b) =>
      b.table("in", { store: "latest", value: integer })
        .filter((value) => value % 2 === 0, store === undefined ? {} : { store, value: integer })
        .mapValues((value, key) => `${key}${value}`)
        .toStream()
        .sink(collect("out")));
    t.same(out(await run(topology, [["a", 1, 1], ["a", 2, 2], ["a", 3, 3], ["a", null, 4]])), [["a", "a2", 2], ["a", null, 3]]);
  }
});

t.test("count, reduce and aggregate give a change a record, with the greatest time of the key", async (t) => {
  const topology = defineTopology("sums", (b) => {
    const group = b.source("in").decode(integer).groupByKey();
    group.count("n").toStream().sink(collect("n"));
    group.reduce("sum", { value: integer }, (total, value) => ((total + value) % 5 === 0 ? null : total + value)).toStream().sink(collect("sum"));
    group.aggregate("list", { value: serde.json<readonly number[]>(), init: () => [], add: (list, value) => [...list, value] }).toStream().sink(collect("list"));
  });
  const driver = await run(topology, [["a", 5, 10], ["a", 6, 8], ["b", 1, 9], ["a", 4, 20], ["a", 3, 6], [null, 1, 1], ["a", null, 2]]);
  const of = (name: string) => driver.rows(name).map(({ key, value, timestamp }) => [key, value, timestamp]);
  t.same(of("n"), [["a", 1, 10], ["a", 2, 10], ["b", 1, 9], ["a", 3, 20], ["a", 4, 20]]);
  t.same(of("sum"), [["a", 5, 10], ["a", 11, 10], ["b", 1, 9], ["a", null, 20], ["a", 3, 6]]);
  t.same(of("list").at(-1), ["a", [5, 6, 4, 3], 20]);
  t.same(driver.counters().dropped, { "null-key": 3, "null-value": 3 });
});

t.test("a total that is changed in place is refused instead of stored", async (t) => {
  const topology = defineTopology("mutating", (b) =>
    b.source("in").decode(integer).groupByKey().aggregate("list", { value: serde.json<number[]>(), init: () => [], add: (list, value) => (list.push(value), list), onError: "skip" }).toStream().sink(collect("out")));
  const driver = await run(topology, [["a", 5, 10]]);
  t.same(out(driver), []);
  t.equal(driver.counters().skipped, 1);
});

t.test("keys and values go through a topic by serdes, with headers, and what a serde refuses goes by the step's policy", async (t) => {
  const topology = defineTopology("serdes", (b) => {
    const dead = b.deadLetter("dead");
    dead.map(({ code }) => code).sink(collect("dead"));
    const numbers = b.source("in").decode(serde.integer(), { onError: dead });
    numbers.mapRecord(({ key, value }) => ({ key: `${String(key)}!`, value })).sink(collect("out"));
    numbers.sink(topic("copy", serde.integer()));
  });
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(-7n);
  const driver = await run(topology, [["a", bytes, 1], ["b", Buffer.from("abc"), 2], ["c", null, 3]]);
  t.same(out(driver), [["a!", -7, 1], ["c!", null, 3]]);
  t.same(driver.values("dead"), ["INVALID_ENCODING"]);
});

t.test("tables survive a crash as of the last commit", async (t) => {
  const topology = defineTopology("crash", (b) => b.source("in").decode(integer).groupByKey().count("n").toStream().sink(collect("out")));
  const driver = await run(topology, [["a", 1, 1], ["a", 1, 2]]);
  driver.pipe("in", { key: "a", value: 1, timestamp: 3 });
  driver.crash();
  driver.pipe("in", { key: "a", value: 1, timestamp: 3 });
  await driver.commit();
  t.same(out(driver), [["a", 1, 1], ["a", 2, 2], ["a", 3, 3]]);
});
