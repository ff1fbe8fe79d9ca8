/** Joins of two streams within a time: what Kafka Streams' KStream.join(KStream) does, and where it is done better. */
import t from "tap";
import { defineTopology, joinWindow, serde, type Stream, type TopologyBuilder, validate } from "@iot-topology/core";
import { collect, testDriver } from "@iot-topology/core/testing";
import { isLeft } from "fp-ts/lib/Either.js";
import { storesOf } from "../../src/plan/evolution/store-shape.ts";
import type { StateBackend } from "../../src/state/backend.ts";
import { memoryBackend } from "../../src/state/memory-backend.ts";
import { TaskInput } from "../../src/task/input.ts";
import { listRun } from "../../src/task/record-run.ts";
import { Task } from "../../src/task/task.ts";
import { headersText, randomOf, seedOf, withCrashes } from "./crashes.ts";
import { type JoinKind, type ModelRecord, modelOfJoin } from "./stream-join-model.ts";

const text = serde.json<string>();
const joined = (left: string | null, right: string | null): string => `${String(left)}|${String(right)}`;
const within = (before: number, after: number, grace: number) => joinWindow({ before, after, grace });

function joinOf(left: Stream<string | null>, right: Stream<string | null>, kind: JoinKind, window: ReturnType<typeof within>): Stream<string> {
  const options = { name: "j", within: window, left: text, right: text };
  if (kind === "inner") return left.join(right, joined, options);
  return kind === "left" ? left.leftJoin(right, joined, options) : left.outerJoin(right, joined, options);
}
const topologyOf = (kind: JoinKind, window: ReturnType<typeof within>) =>
  defineTopology("joins", (b: TopologyBuilder) => joinOf(b.source("l").decode(text), b.source("r").decode(text), kind, window).sink(collect("out")));

type Piped = readonly [topic: "l" | "r", key: string | null, value: string | null, timestamp: number];
const run = (kind: JoinKind, window: ReturnType<typeof within>, records: readonly Piped[]) => {
  const driver = testDriver(topologyOf(kind, window));
  // Each row with the place of the record that made it leave.
  const out: unknown[] = [];
  records.forEach(([topic, key, value, timestamp], place) => {
    driver.pipe(topic, { key, value: value === null ? null : JSON.stringify(value), timestamp });
    for (const row of driver.read("out")) out.push([place, row.key, row.value, row.timestamp]);
  });
  return { driver, out };
};

t.test("a right record matches from `before` ahead of the left one to `after` behind it, inclusive, whichever comes first, with the later time", (t) => {
  const { out } = run("inner", within(3, 5, 0), [["l", "a", "L", 10], ["r", "a", "R6", 6], ["r", "a", "R7", 7], ["r", "a", "R15", 15], ["r", "a", "R16", 16], ["r", "b", "other", 10], ["l", "a", "M", 11]]);
  t.same(out, [[2, "a", "L|R7", 10], [3, "a", "L|R15", 15], [6, "a", "M|R15", 15], [6, "a", "M|R16", 16]]);
  t.end();
});

t.test("several matches leave in the order of the other side's time, then of arrival", (t) => {
  const { out } = run("inner", within(50, 50, 50), [["l", "a", "1", 30], ["l", "a", "2", 20], ["l", "a", "3", 30], ["l", "a", "4", 25], ["r", "a", "R", 26]]);
  t.same(out.map((row) => (row as unknown[])[2]), ["2|R", "4|R", "1|R", "3|R"]);
  t.end();
});

t.test("records without a key or a value are dropped, except those that leave alone", (t) => {
  const records: readonly Piped[] = [["l", null, "L1", 10], ["r", null, "R1", 11], ["l", "a", null, 12], ["r", "a", null, 13], ["l", null, null, 14]];
  const counted = (kind: JoinKind) => {
    const { driver, out } = run(kind, within(5, 5, 0), records);
    return [out, driver.counters().dropped];
  };
  t.same(counted("inner"), [[], { "null-key": 2, "null-value": 3 }]);
  t.same(counted("left"), [[[0, null, "L1|null", 10]], { "null-key": 1, "null-value": 3 }]);
  t.same(counted("outer"), [[[0, null, "L1|null", 10], [1, null, "null|R1", 11]], { "null-value": 3 }]);
  t.end();
});

t.test("unmatched records leave when time has passed window and grace, by time, the right side's first, then by key, before the matches of the record that moved the time", (t) => {
  const { out } = run("outer", within(5, 5, 2), [
    ["l", "b", "L1", 10], ["l", "a", "L2", 10], ["r", "c", "R1", 10], ["l", "d", "L3", 9], ["l", "e", "L4", 12], ["r", "x", "R2", 17], ["l", "x", "L5", 18],
  ]);
  t.same(out, [[5, "d", "L3|null", 9], [6, "c", "null|R1", 10], [6, "a", "L2|null", 10], [6, "b", "L1|null", 10], [6, "x", "L5|R2", 18]]);
  t.end();
});

t.test("either side's unmatched records leave when their own window has passed, though the windows are of different lengths", (t) => {
  const { out } = run("outer", within(0, 100, 0), [["l", "a", "L", 10], ["r", "b", "R", 10], ["r", "c", "C", 11], ["r", "d", "D", 111]]);
  t.same(out, [[2, "b", "null|R", 10], [3, "a", "L|null", 10], [3, "c", "null|C", 11]]);
  t.end();
});

t.test("what leaves unmatched leaves once, and matches nothing afterwards", (t) => {
  const { out, driver } = run("left", within(5, 5, 2), [["l", "b", "B", 100], ["l", "a", "held", 94], ["r", "a", "in time", 97], ["l", "a", "late", 90], ["r", "a", "later", 92], ["l", "b", "C", 200]]);
  // "later" is 7 behind the time that "held" ends at, so that only the record which nobody has sent yet is joined with it.
  t.same(out, [[2, "a", "held|in time", 97], [3, "a", "late|null", 90], [4, "a", "held|later", 94], [5, "b", "B|null", 100]]);
  t.equal(driver.counters().late, 0);
  t.end();
});

t.test("a record that is older than what its side keeps is joined with the other side's and counted as late", (t) => {
  const { out, driver } = run("inner", within(5, 5, 5), [["l", "a", "L1", 10], ["r", "b", "R1", 90], ["r", "a", "R2", 12], ["l", "a", "L2", 12]]);
  t.same(out, [[2, "a", "L1|R2", 12]], "R2 was not kept");
  t.equal(driver.counters().late, 1);
  t.end();
});

t.test("a stream may be joined with itself", (t) => {
  const out = (kind: JoinKind) => {
    const driver = testDriver(defineTopology("self", (b) => { const stream = b.source("l").decode(text); joinOf(stream, stream, kind, within(1, 1, 0)).sink(collect("out")); }));
    driver.pipe("l", ...(["1", "2", "3"].map((value, index) => ({ key: "a", value: JSON.stringify(value), timestamp: 10 + index + Math.floor(index / 2) }))));
    return driver.values("out");
  };
  t.same(out("inner"), ["1|1", "2|1", "1|2", "2|2", "3|3"]);
  t.same(out("left"), ["1|1", "2|1", "1|2", "2|2", "3|3"]);
  t.end();
});

t.test("unmatched records keep their headers, and a joiner that throws goes by the step's policy", async (t) => {
  const topology = defineTopology("joins", (b) =>
    b.source("l").decode(text).leftJoin(b.source("r").decode(text), (left, right) => { if (left === "bad") throw new Error("no"); return joined(left, right); }, { name: "j", within: within(1, 1, 0), left: text, right: text, onError: "skip" })
      .map((value, { headers: kept }) => `${value} ${headersText(kept)}`)
      .sink(collect("out")));
  const driver = testDriver(topology);
  const headers = [{ key: "h", value: Buffer.from("1") }, { key: "none", value: null }];
  driver.pipe("l", { key: "a", value: '"L"', timestamp: 1, headers }, { key: "b", value: '"bad"', timestamp: 1 });
  await driver.commit();
  driver.crash();
  driver.pipe("r", { key: "z", value: '"R"', timestamp: 50 });
  t.same(driver.values("out"), ["L|null h=1,none=null"]);
  t.equal(driver.counters().skipped, 1);
});

t.test("random lives give what a model gives: every pair once, every unmatched record once", (t) => {
  const seed = seedOf(t);
  for (let life = 0; life < 300; life++) {
    const random = randomOf(seed + life);
    const kind = (["inner", "left", "outer"] as const)[life % 3] as JoinKind;
    const [least, size, grace] = [0, 0, 0].map(() => Math.floor(random() ** 2 * 20)) as [number, number, number];
    // Some windows lie wholly before or behind the left record.
    const [before, after] = random() < 0.2 ? [-least, least + size] : random() < 0.2 ? [least + size, -least] : [least, size];
    let now = 0;
    const records = Array.from({ length: 200 }, (_, place): ModelRecord => {
      now += Math.floor(random() * 4) + (random() < 0.02 ? 100 : 0);
      const timestamp = Math.max(0, now - Math.floor(random() ** 3 * 60));
      return { isLeft: random() < 0.5, key: random() < 0.05 ? null : "abc"[Math.floor(random() * 3)] as string, value: random() < 0.05 ? null : `v${place}`, timestamp };
    });
    const expected = modelOfJoin(kind, { before, after, grace }, records);
    const { out } = run(kind, within(before, after, grace), records.map(({ isLeft: left, key, value, timestamp }) => [left ? "l" : "r", key, value, timestamp]));
    if (JSON.stringify(out) !== JSON.stringify(expected)) t.same(out, expected, `life ${life} of seed ${seed}: ${kind}, ${before} before, ${after} after, grace ${grace}`);
  }
  t.pass("300 random lives");
  t.end();
});

t.test("crashes at random places change nothing", async (t) => {
  const seed = seedOf(t);
  for (const kind of ["inner", "left", "outer"] as const) {
    let now = 0;
    await withCrashes(t, topologyOf(kind, within(8, 20, 5)), seed, (random) => {
      now += Math.floor(random() * 3);
      // Many of one key, so that pages fill up.
      const key = random() < 0.8 ? "a" : random() < 0.1 ? null : "b";
      return { topic: random() < 0.5 ? "l" : "r", key, value: random() < 0.05 ? null : JSON.stringify(`v${Math.floor(random() * 1_000)}`), timestamp: Math.max(0, now - Math.floor(random() ** 3 * 40)) };
    }, { lives: 6, records: 600 });
  }
});

t.test("what is too old leaves the stores", async (t) => {
  const plan = validate(topologyOf("outer", within(10, 10, 10)));
  if (isLeft(plan)) throw new Error("the topology is valid");
  const backend = memoryBackend() as StateBackend;
  const inputs = ["l", "r"].map((name) => new TaskInput(name, 0, 0, 0));
  const task = new Task({ id: "l+r_0", topology: "joined", partitionCount: 1, part: plan.right.subTopologies[0]!, inputs, backend, cacheEntriesMax: 1_000 });
  task.enter("opening");
  task.enter("running");
  const sizes: number[] = [];
  for (let at = 0; at < 20_000; at++) {
    const input = inputs[at % 2]!;
    const value = Buffer.from('"v"');
    input.offer(listRun([{ topic: input.topic, partition: 0, offset: at, timestamp: at, key: Buffer.from(`k${at % 7}`), value, headers: [] }]), at + 1, at + 1);
    task.process(1);
    if (at % 1_000 !== 999) continue;
    task.takeRows();
    const batch = backend.newBatch();
    task.flushState(batch);
    await backend.write(batch, { sync: false });
    await task.committed();
    let bytes = 0;
    for await (const [key, stored] of backend.entries({})) bytes += key.length + stored.length;
    sizes.push(bytes);
  }
  const [early, late] = [sizes[2] as number, sizes.at(-1) as number];
  t.ok(early > 0 && late < early * 1.5, `${early} bytes after 3,000 records, ${late} after 20,000`);
  t.ok(task.windowsOpen < 20, `${task.windowsOpen} stretches of time in memory`);
});

t.test("a lock tells joins apart whose stores differ: by kind, by window, by serde", (t) => {
  const shapes = [topologyOf("inner", within(1, 1, 0)), topologyOf("left", within(1, 1, 0)), topologyOf("left", within(1, 2, 0))].map(({ nodes }) => JSON.stringify(nodes.flatMap(storesOf)));
  t.equal(new Set(shapes).size, 3);
  t.match(shapes[1], /"left":.*"right":.*"beforeMs":1,"afterMs":1,"graceMs":0/);
  t.end();
});

t.test("a window without end or of a fraction is refused", (t) => {
  for (const window of [within(0, 5, Number.POSITIVE_INFINITY), within(-6, 5, 0), within(0, 0.5, 0), within(0, 5, -1)]) {
    const result = validate(topologyOf("inner", window));
    t.match(isLeft(result) && result.left, [{ rule: "JOIN_INVALID", step: "j" }]);
  }
  t.end();
});
