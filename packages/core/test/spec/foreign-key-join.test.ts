/** Joins of a table's rows with the rows of another that they name. */
import { isLeft } from "fp-ts/lib/Either.js";
import t from "tap";
import { defineTopology, serde, stepsBoundToOnePartition, validate } from "@iot-topology/core";
import { collect, type TestDriver, testDriver } from "@iot-topology/core/testing";
import { crashingRun, randomRecords, type ScheduledRecord, straightRun } from "./crash-schedule.ts";
import { randomOf, seedOf } from "./crashes.ts";

interface Row {
  readonly ref: string | null;
  readonly n: number;
}
const out = (driver: TestDriver) => driver.rows("out").map(({ key, value, timestamp }) => [key, value, timestamp]);
const joined = (kind: "joinByForeignKey" | "leftJoinByForeignKey", store?: string) =>
  defineTopology(kind, (b) => {
    const left = b.table("left", { store: "lefts", value: serde.json<Row>() });
    const right = b.table("right", { store: "rights", value: serde.json<string>() });
    const options = { name: "subscriptions", foreignKey: ({ ref }: Row) => ref };
    left[kind](right, ({ n }, r: string | null) => `${n}|${r}`, store === undefined ? options : { ...options, store, value: serde.json<string>() }).toStream().sink(collect("out"));
  });

t.test("an update of a right row reaches the rows that name it in the order of their keys, with its own time", (t) => {
  for (const store of [undefined, "joined"]) {
    const driver = straightRun(joined("joinByForeignKey", store), [
      ["left", "a", { ref: "x", n: 1 }, 10],
      ["left", "c", { ref: "x", n: 2 }, 11],
      ["left", "b", { ref: "x", n: 3 }, 3],
      ["left", "d", { ref: "xy", n: 4 }, 3],
      ["right", "x", "X1", 5],
      ["left", "b", { ref: "x", n: 4 }, 2],
      ["right", "x", null, 30],
    ]);
    t.same(out(driver), [["a", "1|X1", 5], ["b", "3|X1", 5], ["c", "2|X1", 5], ["b", "4|X1", 5], ["a", null, 30], ["b", null, 30], ["c", null, 30]]);
  }
  t.end();
});

t.test("an inner join sends a deletion where a row names nothing any more, with the time of what it named", (t) => {
  const driver = straightRun(joined("joinByForeignKey"), [
    ["right", "x", "X1", 40],
    ["left", "a", { ref: "x", n: 1 }, 10],
    ["left", "a", { ref: "y", n: 1 }, 20],
    ["left", "a", { ref: "x", n: 1 }, 21],
    ["left", "a", { ref: null, n: 1 }, 22],
    ["left", "a", { ref: null, n: 2 }, 23],
    ["left", "b", null, 24],
  ]);
  t.same(out(driver), [["a", "1|X1", 40], ["a", null, 20], ["a", "1|X1", 40], ["a", null, 40]]);
  t.same(driver.counters().dropped, { "null-foreign-key": 2 });
  t.end();
});

t.test("a left join has a row for each left row, whatever it names", (t) => {
  const driver = straightRun(joined("leftJoinByForeignKey"), [
    ["left", "a", { ref: null, n: 1 }, 1],
    ["left", "a", { ref: "x", n: 1 }, 2],
    ["right", "x", "X1", 3],
    ["right", "x", null, 4],
    ["left", "a", null, 5],
    ["left", "a", null, 6],
  ]);
  t.same(out(driver), [["a", "1|null", 1], ["a", "1|null", 2], ["a", "1|X1", 3], ["a", "1|null", 4], ["a", null, 5]]);
  t.same(driver.counters().dropped, {});
  t.end();
});

t.test("the result can be grouped: what a row was is subtracted, whichever side changed", (t) => {
  const topology = defineTopology("grouped", (b) => {
    const left = b.table("left", { store: "lefts", value: serde.json<Row>() });
    const right = b.table("right", { store: "rights", value: serde.json<string>() });
    left.joinByForeignKey(right, ({ n }, group) => ({ group, n }), { name: "subscriptions", foreignKey: ({ ref }) => ref })
      .groupBy(({ group, n }) => ({ key: group, value: n }))
      .reduce("sums", { value: serde.json<number>() }, { add: (sum, n) => sum + n, subtract: (sum, n) => sum - n })
      .toStream().sink(collect("out"));
  });
  const driver = straightRun(topology, [["right", "x", "g", 1], ["right", "y", "h", 2], ["left", "a", { ref: "x", n: 1 }, 3], ["left", "b", { ref: "x", n: 2 }, 4], ["left", "a", { ref: "y", n: 5 }, 5], ["right", "x", "h", 6], ["left", "b", null, 7]]);
  t.same(out(driver), [["g", 1, 3], ["g", 3, 4], ["g", 2, 5], ["h", 5, 5], ["g", 0, 6], ["h", 7, 6], ["h", 5, 7]]);
  t.end();
});

t.test("the other table may be a global one: every task has its rows, and sends what changes for its own", (t) => {
  const topology = defineTopology("global", (b) => {
    const names = b.globalTable("right", { store: "rights", value: serde.json<string>() });
    b.table("left", { store: "lefts", value: serde.json<Row>() }).leftJoinByForeignKey(names, ({ n }, r) => `${n}|${r}`, { name: "subscriptions", foreignKey: ({ ref }) => ref }).toStream().sink(collect("out"));
  });
  const plan = validate(topology);
  t.same(isLeft(plan) ? plan.left : plan.right.subTopologies.flatMap(stepsBoundToOnePartition), []);
  const random = randomOf(7);
  const records = randomRecords(random, ["left", "right"], 150, (n, topic) => (topic === "left" ? { ref: "abcde"[Math.floor(random() * 5)], n } : `R${n}`));
  t.strictSame(out(straightRun(topology, records)), out(straightRun(joined("leftJoinByForeignKey"), records)));
  const driver = crashingRun(topology, records, random);
  t.strictSame(out(driver), out(straightRun(topology, records)));
  t.end();
});

t.test("a row whose foreign key cannot be told goes by the policy, and is a deletion in the result", (t) => {
  const topology = defineTopology("refused", (b) => {
    const left = b.table("left", { store: "lefts", value: serde.json<Row>() });
    const right = b.table("right", { store: "rights", value: serde.json<string>() });
    left.joinByForeignKey(right, ({ n }, r) => `${n}|${r}`, {
      name: "subscriptions",
      onError: "skip",
      foreignKey: ({ ref, n }) => {
        if (n < 0) throw new Error("no such row");
        return ref;
      },
    }).toStream().sink(collect("out"));
  });
  const driver = straightRun(topology, [["right", "x", "X", 1], ["left", "a", { ref: "x", n: 1 }, 2], ["left", "a", { ref: "x", n: -1 }, 3], ["right", "x", "Y", 4], ["left", "a", { ref: "x", n: 2 }, 5]]);
  t.same(out(driver), [["a", "1|X", 2], ["a", null, 3], ["a", "2|Y", 5]]);
  t.equal(driver.counters().skipped, 1);
  t.end();
});

t.test("the result is that of both tables at each moment, with crashes or without", (t) => {
  const seed = seedOf(t);
  const random = randomOf(seed);
  for (let round = 0; round < 20; round++) {
    const kind = round % 2 === 0 ? "joinByForeignKey" : "leftJoinByForeignKey";
    const topology = joined(kind, round % 4 < 2 ? "joined" : undefined);
    const ref = (): string | null => (random() < 0.15 ? null : ("abcde"[Math.floor(random() * 5)] as string));
    const records: ScheduledRecord[] = randomRecords(random, ["left", "right"], 150, (n, topic) => (topic === "left" ? { ref: ref(), n } : `R${n}`));
    const straight = straightRun(topology, records);
    const driver = crashingRun(topology, records, random);
    t.strictSame(out(driver), out(straight));
    const left = new Map<string, Row>();
    const right = new Map<string, string>();
    const result = new Map<string, unknown>();
    const stepwise = testDriver(topology);
    for (const [topic, key, value, timestamp] of records) {
      const side = (topic === "left" ? left : right) as Map<string, unknown>;
      if (value === null) side.delete(key as string);
      else side.set(key as string, value);
      stepwise.pipe(topic, { key, value: value === null ? null : JSON.stringify(value), timestamp });
      for (const row of stepwise.read("out")) if (row.value === null) result.delete(row.key as string); else result.set(row.key as string, row.value);
      const expected = [...left].flatMap(([own, row]) => {
        const other = row.ref === null ? undefined : right.get(row.ref);
        return kind === "joinByForeignKey" && other === undefined ? [] : [[own, `${row.n}|${other ?? null}`]];
      });
      t.strictSame([...result].sort(), expected.sort());
    }
  }
  t.end();
});
