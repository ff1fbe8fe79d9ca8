/** Suppress: changes held back for a time, and windows' results until they are final. */
import t from "tap";
import { defineTopology, serde, session, sliding, tumbling, untilTimeLimit, untilWindowCloses, type Windowed } from "@iot-topology/core";
import { collect, type TestDriver, testDriver } from "@iot-topology/core/testing";
import { randomOf, seedOf, withCrashes } from "./crashes.ts";

const integer = serde.json<number>();
const pipe = (driver: TestDriver, records: readonly (readonly [string, number | null, number])[]): void => driver.pipe("in", ...records.map(([key, value, timestamp]) => ({ key, value, timestamp })));
const out = (driver: TestDriver): unknown[] => driver.read("out").map(({ key, value, timestamp }) => [key, value, timestamp]);

const limited = (options?: Parameters<typeof untilTimeLimit>[1]) => defineTopology("limited", (b) => b.table("in", { store: "latest", value: integer }).suppress("held", untilTimeLimit(10, options)).toStream().sink(collect("out")));

t.test("a key's last change leaves when the limit has passed since its first held one, in that order; deletions leave too", (t) => {
  const driver = testDriver(limited());
  pipe(driver, [["a", 1, 10], ["a", 2, 15], ["b", 3, 12], ["c", 4, 19]]);
  t.same(out(driver), []);
  pipe(driver, [["c", 5, 20]]);
  t.same(out(driver), [["a", 2, 15]]);
  pipe(driver, [["a", null, 21], ["b", 6, 29]]);
  t.same(out(driver), [["b", 6, 29], ["c", 5, 20]]);
  pipe(driver, [["d", 7, 31], ["e", 8, 32], ["f", 9, 100]]);
  t.same(out(driver), [["a", null, 21], ["d", 7, 31], ["e", 8, 32]]);
  pipe(driver, [["a", 1, 3]]);
  t.same(out(driver), [["a", 1, 3]], "what comes later than the limit passes at once");
  t.end();
});

t.test("a buffer that emits early sends its oldest changes when it is full", (t) => {
  const driver = testDriver(limited({ buffer: { recordsMax: 2, full: "emit-early" } }));
  pipe(driver, [["a", 1, 10], ["b", 2, 11], ["a", 3, 12], ["c", 4, 13]]);
  t.same(out(driver), [["a", 3, 12]]);
  t.end();
});

t.test("a buffer is bounded by its bytes too", (t) => {
  const driver = testDriver(limited({ buffer: { bytesMax: 80, full: "emit-early" } }));
  pipe(driver, [["a", 1, 10], ["b", 2, 11], ["c", 4, 13], ["d", 4, 13]]);
  const early = out(driver);
  t.same(early[0], ["a", 1, 10]);
  t.ok(early.length < 4, "not all of them");
  t.end();
});

t.test("a buffer that may fail stops the task when it is full", (t) => {
  const driver = testDriver(limited({ buffer: { recordsMax: 2, full: "fail" } }));
  pipe(driver, [["a", 1, 10], ["b", 2, 11], ["b", 5, 11]]);
  t.throws(() => pipe(driver, [["c", 4, 13]]), { code: "BUFFER_FULL" });
  t.end();
});

t.test("what stands behind a suppressed table sees what has left it", (t) => {
  const driver = testDriver(
    defineTopology("behind", (b) =>
      b.table("in", { store: "latest", value: integer }).suppress("held", untilTimeLimit(10)).filter((value) => value > 1).mapValues((value) => `v${value}`, { store: "mapped", value: serde.string() }).toStream().sink(collect("out"))),
  );
  pipe(driver, [["a", 1, 10], ["a", 2, 15], ["z", 0, 20], ["a", 3, 30], ["a", 1, 35], ["z", 0, 45]]);
  t.same(out(driver), [["a", "v2", 15], ["a", null, 35]], "3 was never seen there, and 2 is taken back");
  t.end();
});

const windows = { tumbling: tumbling(10, { grace: 5 }), sliding: sliding(10, { grace: 3 }) };
const totals = { value: serde.json<number>(), init: () => 0, add: (total: number, value: number | null) => total + (value ?? 0) };
const finalRows = (driver: TestDriver, target: string): string[] =>
  driver.rows(target).map(({ value, timestamp, offset }) => {
    const row = value as Windowed<number>;
    return `${offset}: ${row.key}[${row.window_start},${row.window_end}]=${row.value}@${timestamp}`;
  });

t.test("until windows close: each result leaves once, as with emit on close", (t) => {
  const seed = seedOf(t);
  for (let run = 0; run < 30; run++) {
    const random = randomOf(seed + run);
    const driver = testDriver(
      defineTopology("final", (b) => {
        const group = b.source("in").decode(integer).groupByKey();
        for (const [name, window] of Object.entries(windows)) {
          group.windowed(window, { emit: "close" }).aggregate(`${name}-closed`, totals).toStream().sink(collect(`${name} by close`));
          group.windowed(window).aggregate(`${name}-updated`, totals).suppress(`${name}-held`, untilWindowCloses()).toStream().sink(collect(`${name} by suppress`));
        }
        const sessions = session(5, { grace: 3 });
        const merge = (total: number, other: number): number => total + other;
        group.windowed(sessions, { emit: "close" }).aggregate("session-closed", { ...totals, merge }).toStream().sink(collect("session by close"));
        group.windowed(sessions).aggregate("session-updated", { ...totals, merge }).suppress("session-held", untilWindowCloses()).toStream().sink(collect("session by suppress"));
      }),
    );
    let now = 20;
    for (let n = 0; n < 150; n++) {
      now += Math.floor(random() * (random() < 0.05 ? 100 : 4));
      pipe(driver, [["abc"[Math.floor(random() * 3)] as string, n, now - Math.floor(random() * 12)]]);
    }
    pipe(driver, [["z", 0, 1_000_000]]);
    for (const name of ["tumbling", "sliding", "session"]) {
      const bySuppress = finalRows(driver, `${name} by suppress`);
      t.same(bySuppress.toSorted(), finalRows(driver, `${name} by close`).toSorted(), `${name}, run ${run} of seed ${seed}`);
      t.ok(bySuppress.length > 10, "there are results");
    }
  }
  t.end();
});

t.test("results that were filtered away, and sessions that were merged, do not leave", (t) => {
  const driver = testDriver(
    defineTopology("filtered", (b) =>
      b.source("in").decode(integer).groupByKey().windowed(session(5, { grace: 30 })).count("n").filter((n) => n > 1).suppress("held", untilWindowCloses()).toStream().sink(collect("out"))),
  );
  pipe(driver, [["a", 1, 10], ["a", 2, 20], ["a", 3, 15], ["b", 1, 17], ["z", 4, 100]]);
  t.same(out(driver).map((row) => (row as unknown[])[1]), [{ key: "a", window_start: 10, window_end: 20, value: 3 }]);
  t.end();
});

t.test("what is held survives crashes", async (t) => {
  const seed = seedOf(t);
  const make = (random: () => number, index: number) => ({ topic: "in", key: `k${Math.floor(random() * 8)}`, value: random() < 0.1 ? null : index, timestamp: 100 + index * 2 + Math.floor(random() * 9) });
  await withCrashes(t, limited({ buffer: { recordsMax: 5, bytesMax: 150, full: "emit-early" } }), seed, make, { lives: 8 });
  await withCrashes(
    t,
    defineTopology("final", (b) => b.source("in").decode(integer).groupByKey().windowed(sliding(10, { grace: 3 })).aggregate("sums", totals).suppress("held", untilWindowCloses({ buffer: { recordsMax: 3 } })).toStream().sink(collect("out"))),
    seed,
    make,
    { lives: 8 },
  );
});
