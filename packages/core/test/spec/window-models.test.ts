/** Windows beside small models that are made by definition: seeded random records, and the same with crashes. */
import t from "tap";
import { defineTopology, hopping, type KeyedGroup, serde, session, sliding, tumbling, type Windowed, type WindowedTable } from "@iot-topology/core";
import { collect, testDriver } from "@iot-topology/core/testing";
import { randomOf, seedOf, withCrashes } from "./crashes.ts";

interface Event {
  readonly key: string;
  readonly value: number;
  readonly timestamp: number;
}
interface Sum {
  readonly n: number;
  readonly sum: number;
}

const form = {
  value: serde.json<Sum>(),
  init: (): Sum => ({ n: 0, sum: 0 }),
  add: ({ n, sum }: Sum, value: number | null): Sum => ({ n: n + 1, sum: sum + (value ?? 0) }),
};
const merge = (a: Sum, b: Sum): Sum => ({ n: a.n + b.n, sum: a.sum + b.sum });
const sumOf = (events: readonly Event[]): Sum => events.reduce((total, { value }) => form.add(total, value), form.init());

type Build = (group: KeyedGroup<number, number | null>) => WindowedTable<Sum>;
const topologyOf = (build: Build) => defineTopology("windows", (b) => build(b.source("in").decode(serde.json<number>()).groupByKey()).toStream().sink(collect("out")));

/** Time goes on, with records out of order and jumps. */
function eventsOf(random: () => number, count: number): Event[] {
  let now = 0;
  return Array.from({ length: count }, (_, value) => {
    const chance = random();
    now += chance < 0.03 ? Math.floor(random() * 200) : Math.floor(random() * 4);
    return { key: "abc"[Math.floor(random() * 3)] as string, value, timestamp: Math.max(0, now - (random() < 0.4 ? Math.floor(random() * 25) : 0)) };
  });
}

/** The last result of each window, and every result in order. */
function resultsOf(build: Build, events: readonly Event[]): { readonly last: Map<string, Sum | null>; readonly all: string[]; readonly late: number } {
  const driver = testDriver(topologyOf(build));
  driver.pipe("in", ...events);
  const rows = driver.rows("out").map(({ value }) => value as Windowed<Sum>);
  return { last: new Map(rows.map((row) => [`${row.key} ${row.window_start} ${row.window_end}`, row.value])), all: rows.map((row) => `${row.key} ${row.window_start}`), late: driver.counters().late };
}

const sorted = (map: Map<string, Sum | null>): unknown[] => [...map].filter(([, sum]) => sum !== null).sort(([a], [b]) => (a < b ? -1 : 1));

function hoppingModel(events: readonly Event[], size: number, advance: number, grace: number): { readonly last: Map<string, Sum>; readonly late: number } {
  const last = new Map<string, Sum>();
  let time = 0;
  let late = 0;
  for (const { key, value, timestamp } of events) {
    time = Math.max(time, timestamp);
    let taken = 0;
    for (let start = 0; start <= timestamp; start += advance) {
      if (start + size <= timestamp || start + size + grace <= time) continue;
      const id = `${key} ${start} ${start + size}`;
      last.set(id, form.add(last.get(id) ?? form.init(), value));
      taken++;
    }
    if (taken === 0) late++;
  }
  return { last, late };
}

function slidingModel(events: readonly Event[], difference: number): Map<string, Sum> {
  const last = new Map<string, Sum>();
  for (const key of "abc") {
    const own = events.filter((event) => event.key === key);
    for (const { timestamp } of own) {
      for (const start of [Math.max(0, timestamp - difference), timestamp + 1]) {
        const within = own.filter((event) => event.timestamp >= start && event.timestamp <= start + difference);
        if (within.length > 0) last.set(`${key} ${start} ${start + difference}`, sumOf(within));
      }
    }
  }
  return last;
}

function sessionModel(events: readonly Event[], gap: number, grace: number): { readonly last: Map<string, Sum>; readonly late: number } {
  let sessions: Event[][] = [];
  const bounds = (session: readonly Event[]): [number, number] => [Math.min(...session.map((event) => event.timestamp)), Math.max(...session.map((event) => event.timestamp))];
  let time = 0;
  let late = 0;
  for (const event of events) {
    time = Math.max(time, event.timestamp);
    const near = sessions.filter((session) => {
      const [start, end] = bounds(session);
      return session[0]?.key === event.key && end >= time - gap - grace && start <= event.timestamp + gap && end >= event.timestamp - gap;
    });
    const merged = [...near.flat(), event];
    if (bounds(merged)[1] < time - gap - grace) late++;
    else sessions = [...sessions.filter((session) => !near.includes(session)), merged];
  }
  return { last: new Map(sessions.map((session) => [`${session[0]?.key} ${bounds(session).join(" ")}`, sumOf(session)])), late };
}

t.test("tumbling and hopping windows hold what the definition says, on update and on close", (t) => {
  const seed = seedOf(t);
  for (let run = 0; run < 40; run++) {
    const random = randomOf(seed + run);
    const [size, grace] = [1 + Math.floor(random() * 20), Math.floor(random() * 15)];
    const advance = run % 4 === 0 ? size : 1 + Math.floor(random() * size);
    const window = advance === size ? tumbling(size, { grace }) : hopping(size, { advance, grace });
    const events = eventsOf(random, 200);
    const model = hoppingModel(events, size, advance, grace);
    const update = resultsOf((group) => group.windowed(window).aggregate("store", form), events);
    t.same(sorted(update.last), sorted(model.last), `run ${run} of seed ${seed}: size ${size}, advance ${advance}, grace ${grace}`);
    t.equal(update.late, model.late);
    const end = { key: "z", value: 0, timestamp: 1_000_000 };
    const close = resultsOf((group) => group.windowed(window, { emit: "close" }).aggregate("store", form), [...events, end]);
    t.same(sorted(close.last), sorted(model.last), "final results");
    t.equal(close.all.length, new Set(close.all).size, "each result once");
  }
  t.end();
});

t.test("sliding windows hold what the definition says, whatever the order of records", (t) => {
  const seed = seedOf(t);
  for (let run = 0; run < 40; run++) {
    const random = randomOf(seed + run);
    const difference = Math.floor(random() * 20);
    const events = eventsOf(random, 150);
    const window = sliding(difference, { grace: "unbounded" });
    t.same(sorted(resultsOf((group) => group.windowed(window).aggregate("store", form), events).last), sorted(slidingModel(events, difference)), `run ${run} of seed ${seed}: difference ${difference}`);
    // A grace of all times, but one that ends.
    const closing = sliding(difference, { grace: 100_000 });
    const close = resultsOf((group) => group.windowed(closing, { emit: "close" }).aggregate("store", form), [...events, { key: "z", value: 0, timestamp: 1_000_000 }]);
    t.same(sorted(close.last), sorted(slidingModel(events, difference)), "final results");
    t.equal(close.all.length, new Set(close.all).size, "each result once");
  }
  t.end();
});

t.test("sessions hold what the definition says, on update and on close", (t) => {
  const seed = seedOf(t);
  for (let run = 0; run < 40; run++) {
    const random = randomOf(seed + run);
    const [gap, grace] = [1 + Math.floor(random() * 10), Math.floor(random() * 15)];
    const events = eventsOf(random, 150);
    const model = sessionModel(events, gap, grace);
    const window = session(gap, { grace });
    const update = resultsOf((group) => group.windowed(window).aggregate("store", { ...form, merge }), events);
    t.same(sorted(update.last), sorted(model.last), `run ${run} of seed ${seed}: gap ${gap}, grace ${grace}`);
    t.equal(update.late, model.late);
    const close = resultsOf((group) => group.windowed(window, { emit: "close" }).aggregate("store", { ...form, merge }), [...events, { key: "z", value: 0, timestamp: 1_000_000 }]);
    t.same(sorted(close.last), sorted(model.last), "final results");
    const bounds = [...close.last.keys()];
    t.equal(close.all.length, bounds.length, "each result once");
  }
  t.end();
});

t.test("windows are the same after crashes at random places", async (t) => {
  const seed = seedOf(t);
  const make = (random: () => number, index: number) => ({ topic: "in", key: `k${Math.floor(random() * 6)}`, value: index, timestamp: 1_000 + Math.max(0, index * 2 - Math.floor(random() * 30)) + (index > 200 ? 500 : 0) });
  for (const emit of ["update", "close"] as const) {
    const builds: Build[] = [
      (group) => group.windowed(tumbling(20, { grace: 7 }), { emit }).aggregate("store", form),
      (group) => group.windowed(hopping(20, { advance: 6, grace: 7 }), { emit }).aggregate("store", form),
      (group) => group.windowed(sliding(12, { grace: 7 }), { emit }).aggregate("store", form),
      (group) => group.windowed(session(4, { grace: 7 }), { emit, retention: 300 }).aggregate("store", { ...form, merge }),
    ];
    for (const build of builds) await withCrashes(t, topologyOf(build), seed, make, { lives: 5 });
  }
});
