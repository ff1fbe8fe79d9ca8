/** A step that waits for something outside: order, bounds, timeouts, retries, and what a crash makes of pending calls. */
import t from "tap";
import { type AsyncAttempt, defineTopology, describe, type MapAsyncOptions, serde, type Topology, validate } from "@iot-topology/core";
import { collect, testDriver } from "@iot-topology/core/testing";

const integer = serde.json<number>();
const record = (value: number, key = "a") => ({ key, value, timestamp: value });
const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
};

/** Answers after as many turns as it is told, and remembers what it was asked. */
function service(turnsOf: (value: number) => number = () => 0) {
  const calls: { readonly value: number; readonly attempt: AsyncAttempt }[] = [];
  let running = 0;
  let runningMax = 0;
  return {
    calls,
    get runningMax() {
      return runningMax;
    },
    ask: async (value: number, attempt: AsyncAttempt): Promise<number> => {
      calls.push({ value, attempt });
      runningMax = Math.max(runningMax, ++running);
      await turns(turnsOf(value));
      running--;
      return value * 10;
    },
  };
}

function asking(ask: (value: number, call: AsyncAttempt) => Promise<number>, options: Partial<Omit<MapAsyncOptions<number>, "onError">> & { readonly policy?: "skip" | "dead" | "fail" } = {}): Topology {
  const { policy = "fail", ...more } = options;
  return defineTopology("asking", (b) => {
    const dead = b.deadLetter("dead");
    dead.map(({ step, message, key, value, offset }) => [step, message, String(key), String(value), offset]).sink(collect("dead"));
    b.source("in").decode(integer).flatMap((value) => (value === null ? [] : [value])).mapAsync("ask", (value, _record, call) => ask(value, call), { value: integer, onError: policy === "dead" ? dead : policy, ...more }).sink(collect("out"));
  });
}

t.test("results leave in the order of their records, with their keys and times, however long each call takes", async (t) => {
  const { ask, ...seen } = service((value) => 10 - value);
  const driver = testDriver(asking(ask, { concurrency: 3 }));
  driver.pipe("in", ...[1, 2, 3, 4, 5, 6].map((value) => record(value, `k${value}`)));
  t.same(driver.values("out"), []);
  await driver.settle();
  t.same(driver.rows("out").map(({ key, value, timestamp }) => [key, value, timestamp]), [1, 2, 3, 4, 5, 6].map((value) => [`k${value}`, value * 10, value]));
  t.equal(seen.calls.length, 6);
});

t.test("without order results leave as they come, and never more calls are under way than allowed", async (t) => {
  const asked = service((value) => (value === 1 ? 30 : 1));
  const driver = testDriver(asking(asked.ask, { concurrency: 3, ordered: false }));
  driver.pipe("in", ...[1, 2, 3, 4, 5, 6].map((value) => record(value)));
  await driver.settle();
  t.same([...driver.values("out")].sort(), [10, 20, 30, 40, 50, 60]);
  t.equal(driver.values("out").at(-1), 10, "the slowest is the last");
  t.equal(asked.runningMax, 3);
});

t.test("a call is tried again after growing pauses, with the same idempotency key", async (t) => {
  const attempts: AsyncAttempt[] = [];
  const times: number[] = [];
  const topology = asking((value, attempt) => {
    attempts.push(attempt);
    return attempt.attempt < 4 ? Promise.reject(new Error("busy")) : Promise.resolve(value);
  }, { retry: { attempts: 4, backoff: 100 } });
  const driver = testDriver(topology);
  driver.pipe("in", record(7));
  await driver.settle();
  t.same(driver.values("out"), [7]);
  t.same(attempts.map(({ attempt }) => attempt), [1, 2, 3, 4]);
  t.equal(new Set(attempts.map(({ idempotencyKey }) => idempotencyKey)).size, 1);
  times.push(...driver.rows("out").map(({ timestamp }) => timestamp));
  t.same(times, [7]);
});

t.test("the last failure goes by the step's policy: dead letters have the original record", async (t) => {
  const fails = (): Promise<number> => Promise.reject(new Error("broken"));
  const dead = testDriver(asking((value) => (value === 2 ? fails() : Promise.resolve(value)), { policy: "dead" }));
  dead.pipe("in", record(1), record(2, "x"), record(3));
  await dead.settle();
  t.same(dead.values("out"), [1, 3]);
  t.same(dead.values("dead"), [["ask", "broken", "x", "2", 1]]);
  const skip = testDriver(asking(fails, { policy: "skip" }));
  skip.pipe("in", record(1));
  await skip.settle();
  t.equal(skip.counters().skipped, 1);
  const fail = testDriver(asking(fails));
  fail.pipe("in", record(1));
  await t.rejects(fail.settle(), { code: "TASK_FAILED", message: /step ask failed: STEP_FAILED: broken/ });
});

t.test("an attempt that takes too long is aborted and counts as failed", async (t) => {
  const signals: AbortSignal[] = [];
  const topology = asking((value, { signal, attempt }) => {
    signals.push(signal);
    return attempt === 1 ? new Promise<number>(() => {}) : Promise.resolve(value);
  }, { timeout: 500, retry: { attempts: 2, backoff: 10 } });
  const driver = testDriver(topology);
  driver.pipe("in", record(7));
  const settled = driver.settle();
  await turns(2);
  driver.advanceWallClock(499);
  await turns(2);
  t.equal(signals[0]?.aborted, false);
  driver.advanceWallClock(1);
  await settled;
  t.same(driver.values("out"), [7]);
  t.same(signals.map(({ aborted }) => aborted), [true, false]);
  t.match((signals[0] as AbortSignal).reason, { code: "STEP_FAILED", message: /within 500 ms/ });
});

t.test("calls without a committed result are made again after a crash, with the same keys, and each result counts once", async (t) => {
  for (let seed = 1; seed <= 15; seed++) {
    const asked = service((value) => (value * seed) % 4);
    const topology = defineTopology("chained", (b) => {
      const first = b.source("in").decode(integer).flatMap((value) => (value === null ? [] : [value, value + 0.5])).mapAsync("first", (value, _record, call) => asked.ask(value, call), { value: integer, concurrency: 2, ordered: seed % 2 === 0 });
      first.mapAsync("second", (value, _record, call) => asked.ask(value, call), { value: integer, concurrency: 3 }).sink(collect("out"));
      first.groupByKey().count("n").toStream().sink(collect("count"));
    });
    const driver = testDriver(topology);
    let lost: number[] = [];
    for (let value = 1; value <= 20; value++) {
      driver.pipe("in", record(value));
      lost.push(value);
      const moment = (value * 7 + seed * 3) % 6;
      if (moment === 0 || moment === 3) await Promise.race([driver.settle(), turns(moment)]);
      if (moment < 3) {
        await driver.commit();
        lost = [];
      }
      if (moment !== 1 && moment !== 4) continue;
      driver.crash();
      driver.pipe("in", ...lost.map((again) => record(again)));
    }
    await driver.settle();
    await driver.commit();
    const expected = Array.from({ length: 20 }, (_, index) => [(index + 1) * 100, (index + 1.5) * 100]).flat();
    t.same([...(driver.values("out") as number[])].sort((a, b) => a - b), expected, `seed ${seed}: each result once`);
    if (seed % 2 === 0) t.same(driver.values("out"), expected, `seed ${seed}: in order`);
    t.same(driver.values("count"), expected.map((_, index) => index + 1), `seed ${seed}`);
    const keys = new Map<string, Set<number>>();
    for (const { value, attempt } of asked.calls) keys.set(attempt.idempotencyKey, (keys.get(attempt.idempotencyKey) ?? new Set()).add(value));
    t.equal(keys.size, 80, `seed ${seed}: a key for each record of each step, the same over crashes`);
    t.ok([...keys.values()].every(({ size }) => size === 1), `seed ${seed}: of one value each`);
    const places = driver.rows("out").map(({ offset, index }) => `${offset}#${index}`);
    t.equal(new Set(places).size, places.length, `seed ${seed}: each row has a place of its own`);
  }
});

t.test("keys, headers, null values and times go through the store unchanged", async (t) => {
  const topology = defineTopology("whole", (b) =>
    b.source("in").decode(integer).mapRecord(({ key, value, headers }) => ({ key: value === 2 ? Buffer.from([255]) : value === 3 ? null : key, value, headers, timestamp: -5.5 }))
      .mapAsync("ask", (value, { key, timestamp, headers }) => Promise.resolve([value, key, timestamp, headers]), { value: integer }).sink(collect("out")));
  const driver = testDriver(topology);
  const headers = [{ key: "h", value: Buffer.from("v") }, { key: "h", value: null }];
  driver.pipe("in", { key: "a", value: 1, headers }, { key: "b", value: 2 }, { key: "c", value: 3 }, { key: "d", value: null });
  await driver.commit();
  driver.crash();
  await driver.settle();
  t.same(driver.values("out"), [[1, "a", -5.5, headers], [2, Buffer.from([255]), -5.5, []], [3, null, -5.5, []], [null, "d", -5.5, []]]);
});

t.test("a crash aborts the calls under way", (t) => {
  const signals: AbortSignal[] = [];
  const driver = testDriver(asking((_value, { signal }) => {
    signals.push(signal);
    return new Promise<number>(() => {});
  }));
  driver.pipe("in", record(1));
  void driver.settle();
  driver.crash();
  t.same(signals.map(({ aborted }) => aborted), [true]);
  t.end();
});

t.test("bounds that make no sense are errors of the plan, and describe shows the step", (t) => {
  const ask = (value: number): Promise<number> => Promise.resolve(value);
  for (const [options, message] of [[{ concurrency: 0 }, /concurrency is 0/], [{ pendingMax: 3 }, /at most 3 records are pending/], [{ timeout: 0 }, /timeout is 0 ms/], [{ retry: { attempts: 0.5 } }, /attempts is 0.5/], [{ retry: { attempts: 1, backoff: -1 } }, /backoff is -1/]] as const) {
    t.throws(() => testDriver(asking(ask, options)), { code: "PLAN_INVALID", message });
  }
  const plan = validate(asking(ask, { concurrency: 4, retry: { attempts: 3 } }));
  t.match(plan._tag === "Right" ? describe(plan.right) : "", /ask: calls, ordered, 4 at once, 16 pending, 3 attempts of 30 s at most; store ask/);
  t.end();
});
