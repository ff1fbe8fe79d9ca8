/** Punctuators: when they are called, as Kafka Streams calls them, and what a restart makes of them. */
import t from "tap";
import { carries, defineTopology, isRebuildable, keyValueStore, type PunctuationTime, serde, type Topology, validate } from "@iot-topology/core";
import { collect, testDriver } from "@iot-topology/core/testing";

const integer = serde.json<number>();
const TICKS = keyValueStore("ticks", { value: serde.integer() });

/** Passes records on; each tick forwards how many there were, with stream time and wall clock. */
function ticking(by: PunctuationTime, intervalMs: number): Topology {
  return defineTopology("ticking", (b) =>
    b.source("in").decode(integer).process("tick", {
      stores: [TICKS],
      output: carries<unknown>(),
      init(context) {
        context.schedule(intervalMs, by, (time, { store, forward, streamTime, wallClock }) => {
          const count = (store("ticks").get("n") ?? 0) + 1;
          store("ticks").put("n", count);
          forward({ key: "P", value: [count, time, streamTime, wallClock] });
        });
      },
      process: (record, context) => context.forward(record),
    }).sink(collect("out")));
}

const record = (value: number, timestamp: number) => ({ key: "a", value, timestamp });
const rows = (driver: ReturnType<typeof testDriver>) => driver.rows("out").map(({ key, value, timestamp }) => [key, value, timestamp]);

t.test("by stream time: with the first record, then once whenever a multiple of the interval is reached, however far the jump", (t) => {
  const driver = testDriver(ticking("stream-time", 10));
  driver.pipe("in", record(1, 3), record(2, 9), record(3, 13), record(4, 12), record(5, 57), record(6, 58), record(7, 63), { event: "wall-clock", ms: 100 }, record(8, 70));
  t.same(rows(driver), [
    ["a", 1, 3], ["P", [1, 3, 3, 0], 3], ["a", 2, 9], ["a", 3, 13], ["P", [2, 13, 13, 0], 13], ["a", 4, 12], ["a", 5, 57], ["P", [3, 57, 57, 0], 57],
    ["a", 6, 58], ["a", 7, 63], ["P", [4, 63, 63, 0], 63], ["a", 8, 70], ["P", [5, 70, 70, 100], 70],
  ]);
  t.end();
});

t.test("by wall clock: between records, counted from the start, once however late", (t) => {
  const driver = testDriver(ticking("wall-clock", 10));
  driver.pipe("in", record(1, 3));
  for (const ms of [9, 1]) driver.advanceWallClock(ms);
  driver.pipe("in", record(2, 500));
  for (const ms of [35, 4, 1]) driver.advanceWallClock(ms);
  driver.pipe("in", record(3, 40));
  driver.advanceWallClock(10);
  t.same(rows(driver), [["a", 1, 3], ["P", [1, 10, 3, 10], 10], ["a", 2, 500], ["P", [2, 45, 500, 45], 45], ["P", [3, 50, 500, 50], 50], ["a", 3, 40], ["P", [4, 60, 500, 60], 60]]);
  t.end();
});

t.test("rows of punctuators have positions that no other row has, over restarts too", async (t) => {
  const driver = testDriver(ticking("wall-clock", 10));
  driver.advanceWallClock(10);
  driver.pipe("in", record(1, 3));
  driver.advanceWallClock(10);
  await driver.commit();
  driver.crash();
  driver.advanceWallClock(10);
  driver.pipe("in", record(2, 3));
  driver.advanceWallClock(10);
  const places = driver.rows("out").map(({ topic, partition, offset, index }) => `${topic}-${partition}@${offset}#${index}`);
  t.equal(new Set(places).size, places.length, places.join(" "));
  t.same(places.filter((_, index) => index !== 1 && index !== 4).map((place) => place.slice(0, 6)), ["in-0@0", "in-0@0", "in-0@0", "in-0@1"]);
  t.end();
});

/** Records and moments of wall clock, from a seed. */
function schedule(seed: number): readonly (number | { readonly at: number })[] {
  let state = seed;
  const random = (below: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * below);
  };
  let time = 0;
  return Array.from({ length: 60 }, () => (random(3) === 0 ? random(25) + 1 : { at: (time += random(14) - 3) }));
}

for (const by of ["stream-time", "wall-clock"] as const) {
  t.test(`a crash at any moment neither loses nor repeats a call by ${by}`, (t) => {
    for (let seed = 1; seed <= 12; seed++) {
      const steps = schedule(seed);
      const feed = (driver: ReturnType<typeof testDriver>, step: (typeof steps)[number]): void => {
        if (typeof step === "number") driver.advanceWallClock(step);
        else driver.pipe("in", record(step.at, step.at));
      };
      const whole = testDriver(ticking(by, 10));
      for (const step of steps) feed(whole, step);
      const broken = testDriver(ticking(by, 10));
      let lost: (typeof steps)[number][] = [];
      steps.forEach((step, index) => {
        feed(broken, step);
        lost.push(step);
        if ((index * 7 + seed) % 5 === 0) {
          void broken.commit();
          lost = [];
        }
        if ((index * 11 + seed) % 13 !== 0) return;
        broken.crash();
        // The machine's time does not go back: records come again, moments do not.
        for (const again of lost) if (typeof again !== "number") feed(broken, again);
      });
      if (by === "stream-time") t.same(rows(broken).map(([key, value]) => (key === "P" ? (value as number[]).slice(0, 3) : value)), rows(whole).map(([key, value]) => (key === "P" ? (value as number[]).slice(0, 3) : value)), `seed ${seed}`);
      else {
        const counts = rows(broken).flatMap(([key, value]) => (key === "P" ? [(value as number[])[0]] : []));
        t.same(counts, counts.map((_, index) => index + 1), `seed ${seed}: each call counts once`);
      }
    }
    t.end();
  });
}

t.test("a call that was due before a crash is made after it, and one that was committed is not made again", async (t) => {
  const driver = testDriver(ticking("wall-clock", 10));
  driver.advanceWallClock(10);
  await driver.commit();
  driver.crash();
  driver.advanceWallClock(1);
  t.equal(driver.rows("out").length, 1, "not again");
  driver.advanceWallClock(9);
  driver.crash();
  t.equal(driver.rows("out").length, 1, "taken back");
  driver.advanceWallClock(1);
  t.same(rows(driver).at(-1), ["P", [2, 21, -1, 21], 21]);
  driver.advanceWallClock(9);
  t.same(rows(driver).at(-1), ["P", [3, 30, -1, 30], 30], "the phase stays");
});

t.test("a punctuator that was cancelled stays so over a restart, until it is resumed", async (t) => {
  const topology = defineTopology("cancelled", (b) => {
    let handle: { cancel(): void; resume(): void; readonly isCancelled: boolean } | undefined;
    b.source("in").decode(integer).process("tick", {
      output: carries<unknown>(),
      onError: "skip",
      init(context) {
        handle = context.schedule(10, "wall-clock", (time, { forward }) => forward({ key: "P", value: time }));
      },
      process({ value }) {
        if (value === 1 || value === 3) handle?.cancel();
        if (value === 2) handle?.resume();
        if (value === 3) throw new Error("takes the cancelling back");
      },
    }).sink(collect("out"));
  });
  const driver = testDriver(topology);
  driver.advanceWallClock(10);
  driver.pipe("in", record(3, 1));
  driver.advanceWallClock(10);
  driver.pipe("in", record(1, 1));
  driver.advanceWallClock(10);
  await driver.commit();
  driver.crash();
  driver.advanceWallClock(14);
  driver.pipe("in", record(2, 1));
  driver.advanceWallClock(9);
  driver.advanceWallClock(1);
  t.same(driver.values("out"), [10, 20, 54]);
});

t.test("a punctuator that throws leaves nothing behind and goes by the step's policy", (t) => {
  const held = keyValueStore("held", { value: serde.integer() });
  const topology = defineTopology("throwing", (b) => {
    const dead = b.deadLetter("dead");
    dead.map(({ message, key }) => [message, key]).sink(collect("dead"));
    b.source("in").decode(integer).process("tick", {
      stores: [held],
      output: carries<unknown>(),
      onError: dead,
      init(context) {
        context.schedule(10, "wall-clock", (time, { forward, store }) => {
          const count = store("held").get("n") ?? 0;
          store("held").put("n", count + 1);
          forward({ key: "P", value: count });
          if (time === 20) throw new Error("no");
        });
      },
      process: () => {},
    }).sink(collect("out"));
  });
  const driver = testDriver(topology);
  for (let tick = 0; tick < 3; tick++) driver.advanceWallClock(10);
  t.same(driver.values("out"), [0, 1]);
  t.same(driver.values("dead"), [["punctuator at 20: no", null]]);
  t.end();
});

t.test("punctuators are scheduled in init, at whole milliseconds, and a step that says it does not use the clock may not", (t) => {
  const opened = (topology: Topology) => () => testDriver(topology);
  const wrong = (interval: number, by: PunctuationTime, schedules?: "stream-time") =>
    defineTopology("wrong", (b) => b.source("in").process("wrong", { ...(schedules === undefined ? {} : { schedules }), init: (context) => void context.schedule(interval, by, () => {}), process: () => {} }).sink(collect("out")));
  t.throws(opened(wrong(0.5, "wall-clock")), { code: "USAGE", message: /every 0.5 ms/ });
  t.throws(opened(wrong(5, "wall-clock", "stream-time")), { code: "USAGE", message: /stream time alone/ });
  t.doesNotThrow(opened(wrong(5, "stream-time", "stream-time")));
  let late: ((interval: number, by: PunctuationTime, call: () => void) => unknown) | undefined;
  const later = defineTopology("later", (b) => b.source("in").process("later", { init: ({ schedule }) => void (late = schedule), process: () => void late?.(5, "stream-time", () => {}) }).sink(collect("out")));
  t.throws(() => testDriver(later).pipe("in", record(1, 1)), { code: "USAGE", message: /after init/ });
  t.end();
});

t.test("a step that may be called by the clock cannot be made again from the log", (t) => {
  const rebuildable = (schedules: "stream-time" | undefined, hasInit = true): boolean => {
    const topology = defineTopology("x", (b) => {
      const sink = { ...collect("out"), rebuildable: "by-position" as const };
      b.source("in").process("p", { ...(schedules === undefined ? {} : { schedules }), ...(hasInit ? { init: () => {} } : {}), process: () => {} }).sink(sink);
    });
    const plan = validate(topology);
    return plan._tag === "Right" && plan.right.subTopologies.every(isRebuildable);
  };
  t.same([rebuildable(undefined), rebuildable("stream-time"), rebuildable(undefined, false)], [false, true, true]);
  t.end();
});
