/** Global tables: every task has all rows, and streams are joined with them by any key. */
import { isLeft } from "fp-ts/lib/Either.js";
import t from "tap";
import { defineTopology, serde, stepsBoundToOnePartition, type TopologyBuilder, validate } from "@iot-topology/core";
import { collect, type TestDriver } from "@iot-topology/core/testing";
import { crashingRun, randomRecords, straightRun } from "./crash-schedule.ts";
import { randomOf, seedOf } from "./crashes.ts";

interface Click {
  readonly ref: string | null;
  readonly n: number;
}
const out = (driver: TestDriver, target = "out") => driver.rows(target).map(({ key, value, timestamp }) => [key, value, timestamp]);
const joined = (kind: "join" | "leftJoin") =>
  defineTopology(kind, (b) => {
    const names = b.globalTable("names", { store: "names", value: serde.json<string>() });
    const clicks = b.source("clicks").decode(serde.json<Click>());
    const joiner = ({ n }: Click, name: string | null): string => `${n}|${name}`;
    const key = ({ ref }: Click): string | null => ref;
    (kind === "join" ? clicks.join(names, joiner, { key }) : clicks.leftJoin(names, joiner, { key })).sink(collect("out"));
  });

t.test("a record is joined with the row that its function names, and keeps its own key and time", (t) => {
  const driver = straightRun(joined("join"), [
    ["clicks", "k", { ref: "a", n: 1 }, 5],
    ["names", "a", "A1", 50],
    ["clicks", "k", { ref: "a", n: 2 }, 6],
    ["names", "a", "A2", 7],
    ["clicks", null, { ref: "a", n: 3 }, 8],
    ["clicks", "k", { ref: null, n: 4 }, 9],
    ["names", "a", null, 10],
    ["clicks", "k", { ref: "a", n: 5 }, 11],
    ["clicks", "k", null, 12],
    ["names", null, "N", 13],
  ]);
  t.same(out(driver), [["k", "2|A1", 6], [null, "3|A2", 8]]);
  t.same(driver.counters().dropped, { "null-key": 2, "null-value": 1 });
  t.end();
});

t.test("a left join passes every record with a value", (t) => {
  const driver = straightRun(joined("leftJoin"), [["clicks", "k", { ref: "a", n: 1 }, 5], ["names", "a", "A1", 6], ["clicks", "k", { ref: "a", n: 2 }, 7], ["clicks", "k", { ref: null, n: 3 }, 8]]);
  t.same(out(driver), [["k", "1|null", 5], ["k", "2|A1", 7], ["k", "3|null", 8]]);
  t.end();
});

t.test("two parts have the table each, and neither its topic nor its keys say how many tasks they have", (t) => {
  const topology = defineTopology("parts", (b) => {
    const names = b.globalTable("names", { store: "names", value: serde.json<string>() });
    for (const source of ["one", "two"]) {
      b.source(source).decode(serde.json<Click>()).join(names, ({ n }, name) => `${n}|${name}`, { key: ({ ref }) => ref }).groupByKey().count(`n-${source}`).toStream().sink(collect(source));
    }
  });
  const plan = validate(topology);
  if (isLeft(plan)) throw new Error("the topology is valid");
  t.same(plan.right.subTopologies.map(({ name, topics, globals }) => [name, topics, globals.map(({ topic }) => topic)]), [["one", ["one"], ["names"]], ["two", ["two"], ["names"]]]);
  t.same(plan.right.subTopologies.flatMap(stepsBoundToOnePartition), []);
  const driver = straightRun(topology, [["names", "a", "A", 1], ["one", "k", { ref: "a", n: 1 }, 2], ["two", "k", { ref: "a", n: 1 }, 3]]);
  t.same([out(driver, "one"), out(driver, "two")], [[["k", 1, 2]], [["k", 1, 3]]]);
  t.end();
});

t.test("what cannot be read goes by the policy", (t) => {
  const topology = defineTopology("refused", (b) => {
    const names = b.globalTable("names", { store: "names", value: serde.json<string>(), onError: "skip" });
    b.source("clicks").decode(serde.json<Click>()).join(names, ({ n }, name) => `${n}|${name}`, { key: ({ ref }) => ref }).sink(collect("out"));
  });
  const driver = straightRun(topology, []);
  driver.pipe("names", { key: "a", value: "no JSON" }, { key: "b", value: '"B"' });
  driver.pipe("clicks", { key: "k", value: { ref: "b", n: 1 }, timestamp: 3 });
  t.same(out(driver), [["k", "1|B", 3]]);
  t.equal(driver.counters().skipped, 1);
  t.end();
});

t.test("a global table that nothing reads, or whose topic is read twice, is an error of the plan", (t) => {
  const rules = (build: (b: TopologyBuilder) => void) => {
    const plan = validate(defineTopology("x", build));
    return isLeft(plan) ? plan.left.map(({ rule, step }) => [rule, step]) : [];
  };
  t.same(rules((b) => {
    b.source("in").decode(serde.string()).sink(collect("out"));
    b.globalTable("names", { store: "names", value: serde.string() });
  }), [["GLOBAL_TABLE_UNUSED", "names"]]);
  t.same(rules((b) => {
    const names = b.globalTable("in", { store: "names", value: serde.string() });
    b.source("in").decode(serde.string()).join(names, (value) => value, { key: (value) => value }).sink(collect("out"));
  }), [["TOPIC_DUPLICATE", "names"]]);
  t.end();
});

t.test("results are the same with crashes or without", (t) => {
  const seed = seedOf(t);
  const random = randomOf(seed);
  for (let round = 0; round < 10; round++) {
    const topology = joined(round % 2 === 0 ? "join" : "leftJoin");
    const records = randomRecords(random, ["clicks", "names"], 150, (n, topic) => (topic === "names" ? `N${n}` : { ref: "abcde"[Math.floor(random() * 5)], n }));
    const straight = straightRun(topology, records);
    const driver = crashingRun(topology, records, random);
    t.strictSame(out(driver), out(straight));
    t.strictSame(driver.store("names").range(), straight.store("names").range());
  }
  t.end();
});
