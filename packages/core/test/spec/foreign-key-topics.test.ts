/** Joins by foreign key over tables of several partitions, through topics of the topology's own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { armFailpoints, defineTopology, disarmFailpoints, openInstance, type ProducerRecord, serde, TopologyError, validate } from "@iot-topology/core";
import { collect, collectConnector, memoryLog, type TestDriver, testDriver } from "@iot-topology/core/testing";
import { isLeft } from "fp-ts/lib/Either.js";
import { crashingRun, randomRecords, type ScheduledRecord, straightRun } from "./crash-schedule.ts";
import { randomOf, seedOf } from "./crashes.ts";

interface Row {
  readonly ref: string | null;
  readonly n: number;
}
type Kind = "joinByForeignKey" | "leftJoinByForeignKey";
const out = (driver: TestDriver) => driver.rows("out").map(({ key, value, timestamp }) => [key, value, timestamp]);
const joined = (kind: Kind, more: { readonly store?: string; readonly partitions?: number; readonly inOneTask?: true; readonly history?: number } = {}) =>
  defineTopology("joined", (b) => {
    const { store, inOneTask, history, ...partitions } = more;
    const kept = history === undefined ? {} : { history };
    const left = b.table("left", { store: "lefts", value: serde.json<Row>(), ...kept });
    const right = b.table("right", { store: "rights", value: serde.json<string>(), ...kept });
    const options = { name: "by-ref", foreignKey: ({ ref }: Row) => ref, ...(inOneTask === true ? {} : { repartition: { left: serde.json<Row>(), right: serde.json<string>(), ...partitions } }) };
    left[kind](right, ({ n }, r: string | null) => `${n}|${r}`, store === undefined ? options : { ...options, store, value: serde.json<string>() }).toStream().sink(collect("out"));
  });

const randomRows = (random: () => number, count: number): ScheduledRecord[] =>
  randomRecords(random, ["left", "right"], count, (n, topic) => (topic === "left" ? { ref: random() < 0.15 ? null : "abcde"[Math.floor(random() * 5)], n } : `R${n}`));

/** What stands in the result when these records were read. */
class Model {
  readonly #kind: Kind;
  readonly #left = new Map<string, Row>();
  readonly #right = new Map<string, string>();

  constructor(kind: Kind) {
    this.#kind = kind;
  }

  add(topic: string, key: string, value: unknown): void {
    const side = (topic === "left" ? this.#left : this.#right) as Map<string, unknown>;
    if (value === null) side.delete(key);
    else side.set(key, value);
  }

  get rows(): readonly (readonly [string, string])[] {
    return [...this.#left].flatMap(([key, row]) => {
      const other = row.ref === null ? undefined : this.#right.get(row.ref);
      return this.#kind === "joinByForeignKey" && other === undefined ? [] : [[key, `${row.n}|${other ?? null}`] as const];
    }).sort();
  }
}

/** The last row of each key that is not deleted. */
function standing(rows: readonly { readonly key: unknown; readonly value: unknown }[]): unknown[] {
  const last = new Map<string, unknown>();
  for (const { key, value } of rows) {
    if (value === null) last.delete(key as string);
    else last.set(key as string, value);
  }
  return [...last].sort();
}

t.test("changes leave as without topics: the same, in the same order, with the same times", (t) => {
  const random = randomOf(seedOf(t));
  for (let round = 0; round < 20; round++) {
    const kind = round % 2 === 0 ? "joinByForeignKey" : "leftJoinByForeignKey";
    const store = { ...(round % 4 < 2 ? { store: "joined" } : {}), ...(round % 8 < 4 ? {} : { history: 30 }) };
    const records = randomRows(random, 150);
    const [through, straight] = [straightRun(joined(kind, store), records), straightRun(joined(kind, { ...store, inOneTask: true }), records)];
    t.strictSame(out(through), out(straight));
    const dropped = (driver: TestDriver) => Object.values(driver.counters().dropped).reduce((sum, count) => sum + count, 0);
    t.equal(dropped(through), dropped(straight));
    t.ok(out(through).length > 50);
  }
  t.end();
});

t.test("the result is that of both tables at each moment, with crashes or without", (t) => {
  const random = randomOf(seedOf(t));
  for (let round = 0; round < 16; round++) {
    const kind = round % 2 === 0 ? "joinByForeignKey" : "leftJoinByForeignKey";
    const topology = joined(kind, round % 4 < 2 ? { store: "joined" } : {});
    const records = randomRows(random, 150);
    t.strictSame(out(crashingRun(topology, records, random)), out(straightRun(topology, records)));
    const model = new Model(kind);
    const stepwise = testDriver(topology);
    for (const [topic, key, value, timestamp] of records) {
      model.add(topic, key as string, value);
      stepwise.pipe(topic, { key, value: value === null ? null : JSON.stringify(value), timestamp });
      t.strictSame(standing(stepwise.rows("out")), model.rows);
    }
  }
  t.end();
});

t.test("over topics of different partitions, with kills at each step of a commit, the result is that of both tables at the end", async (t) => {
  t.teardown(disarmFailpoints);
  const random = randomOf(seedOf(t));
  for (const kind of ["joinByForeignKey", "leftJoinByForeignKey"] as const) {
    const dir = mkdtempSync(join(tmpdir(), "iot-topology-foreign-"));
    t.teardown(() => rmSync(dir, { recursive: true, force: true }));
    const [log, sink, model] = [memoryLog(), collectConnector(), new Model(kind)];
    await log.ensureTopic("left", { partitions: 4 });
    await log.ensureTopic("right", { partitions: 3 });
    let fired = 0;
    for (const point of ["commit.before-write", "commit.after-write", "deliver.after-send", "commit.after-committed", "commit.before-write", ""]) {
      const records = randomRows(random, 300).map(([topic, key, value, timestamp]) => [topic, topic === "left" ? `${key}${Math.floor(random() * 6)}` : key, value, timestamp] as const);
      for (const topic of ["left", "right"]) await log.append(topic, records.filter((record) => record[0] === topic).map(([, key, value, timestamp]): ProducerRecord => ({ key: Buffer.from(key as string), value: value === null ? null : Buffer.from(JSON.stringify(value)), timestamp })));
      for (const [topic, key, value] of records) model.add(topic, key as string, value);
      if (point !== "") {
        armFailpoints(`${point}=6`, (name) => {
          fired++;
          throw new TopologyError("TASK_FAILED", `crash at ${name}`);
        });
      }
      const instance = await openInstance(joined(kind, { partitions: 2 }), { log, connectors: [sink], stateDir: dir, commitRecordsMax: 20, commitIntervalMs: 2 });
      t.equal(instance.status().tasks.length, 4 + 3 + 2);
      instance.run();
      await instance.drain().catch(() => {});
      disarmFailpoints();
      await instance.stop();
    }
    t.equal(fired, 5);
    t.strictSame(standing(sink.rows("out")), model.rows);
  }
});

t.test("a global table is joined without topics, and three parts have the work otherwise", (t) => {
  t.throws(() => defineTopology("global", (b) => {
    const names = b.globalTable("right", { store: "rights", value: serde.json<string>() });
    b.table("left", { store: "lefts", value: serde.json<Row>() }).joinByForeignKey(names, ({ n }, r) => `${n}|${r}`, { name: "by-ref", foreignKey: ({ ref }) => ref, repartition: { left: serde.json<Row>(), right: serde.json<string>() } });
  }), { code: "PLAN_INVALID", cure: /leave out `repartition`/ });
  const plan = validate(joined("joinByForeignKey"));
  if (isLeft(plan)) throw new Error(plan.left.map(({ message }) => message).join());
  t.same(plan.right.subTopologies.map(({ topics }) => topics.toSorted()), [["left"], ["joined-by-ref-subscriptions-repartition", "right"], ["joined-by-ref-results-repartition"]]);
  t.end();
});

t.test("a row on which a function throws goes by the policy, and is a deletion in the result", (t) => {
  const topology = defineTopology("refused", (b) => {
    const left = b.table("left", { store: "lefts", value: serde.json<Row>() });
    const right = b.table("right", { store: "rights", value: serde.json<string>() });
    left.joinByForeignKey(right, ({ n }, r) => {
      if (r === "bad") throw new Error("no such name");
      return `${n}|${r}`;
    }, {
      name: "by-ref",
      onError: "skip",
      foreignKey: ({ ref, n }) => {
        if (n < 0) throw new Error("no such row");
        return ref;
      },
      repartition: { left: serde.json<Row>(), right: serde.json<string>() },
    }).toStream().sink(collect("out"));
  });
  const driver = straightRun(topology, [["right", "x", "X", 1], ["left", "a", { ref: "x", n: 1 }, 2], ["left", "a", { ref: "x", n: -1 }, 3], ["right", "x", "Y", 4], ["left", "a", { ref: "x", n: 2 }, 5], ["right", "x", "bad", 6], ["right", "x", "Z", 7]]);
  t.same(out(driver), [["a", "1|X", 2], ["a", null, 3], ["a", "2|Y", 5], ["a", null, 6], ["a", "2|Z", 7]]);
  t.equal(driver.counters().skipped, 2);
  t.end();
});
