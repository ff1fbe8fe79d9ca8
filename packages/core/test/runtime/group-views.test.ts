/** Interactive queries of groups of fields over windows: what is answered is the last row of each window. */
import t from "tap";
import { avg, c, count, defineTopology, type GroupWindowOptions, hopping, openInstance, record, session, sliding, sum, tumbling } from "@iot-topology/core";
import { collect, collectConnector, memoryLog } from "@iot-topology/core/testing";

const Reading = record("Reading", { device: c.string(), floor: c.int32(), value: c.float64(), at: c.dateTime64(3, "UTC") });
const columns = { n: count(), total: sum("value"), mean: avg("value") };
const KEPT = { retention: 2_000_000 };
const WINDOWS = {
  tumbling: tumbling(1_000, { grace: 3_000 }),
  hopping: hopping(1_000, { advance: 300, grace: 3_000 }),
  sliding: sliding(700, { grace: 3_000 }),
};
const topology = defineTopology("grouped", (b) => {
  const groups = b.source("in").cast(Reading, { timestamp: "at", partitionedBy: "device" }).groupBy("device", "floor");
  for (const [name, window] of Object.entries(WINDOWS)) groups.windowed(window, { emit: "update", ...KEPT }).aggregate(name, columns).sink(collect(name));
  groups.windowed(session(400, { grace: 3_000 }), KEPT).aggregate("session", columns).sink(collect("session"));
});

interface Row {
  readonly device: string;
  readonly floor: number;
  readonly window_start: number;
  readonly window_end: number;
}
const byTime = (a: Row, b: Row): number => a.window_start - b.window_start || a.window_end - b.window_end;
const reading = (device: string, floor: number, value: number, at: number) => ({ key: device, value: JSON.stringify({ device, floor, value, at }), timestamp: at });

function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

t.test("every kind of window is answered by the group's fields, by time, as its last row was", async (t) => {
  const seed = 11;
  const below = random(seed);
  const [log, sink] = [memoryLog(), collectConnector()];
  const instance = await openInstance(topology, { log, connectors: [sink], stateDir: null, partitions: 2, commitIntervalMs: 5 });
  t.teardown(() => instance.stop());
  instance.run();
  const groups = Array.from({ length: 6 }, (_, n) => [`d${n % 3}`, n % 2] as const);
  let now = 50_000;
  await log.append("in", Array.from({ length: 1_200 }, () => {
    const [device, floor] = groups[below(groups.length)] as (typeof groups)[number];
    return reading(device, floor, below(100), (now += below(60)) - below(2_500));
  }));
  // Closes all sessions before.
  await log.append("in", groups.map(([device, floor]) => reading(device, floor, 1, 1_000_000)));
  await instance.drain();
  for (const name of [...Object.keys(WINDOWS), "session"]) {
    const last = new Map((sink.values(name) as Row[]).map((row) => [`${row.device} ${row.floor} ${row.window_start} ${row.window_end}`, row]));
    t.ok(last.size > 60, `${name}: ${last.size} windows, seed ${seed}`);
    for (const [device, floor] of groups) {
      const own = [...last.values()].filter((row) => row.device === device && row.floor === floor).sort(byTime);
      t.strictSame(instance.query(name, { device, floor: String(floor) }, { from: 0, to: 900_000 }), own.filter(({ window_start }) => window_start < 900_000), `${name} of ${device}, ${floor}`);
      const [from, to] = [60_000 + below(5_000), 70_000 + below(5_000)];
      const isIn = (row: Row): boolean => (name === "session" ? row.window_end : row.window_start) >= from && row.window_start < to;
      t.strictSame(instance.query(name, { device, floor }, { from, to }), own.filter(isIn), `${name} of ${device}, ${floor} from ${from} to ${to}`);
      t.equal(instance.locate(name, { device, floor }).length, 1, "one task holds it");
    }
    t.same(instance.query(name, { device: "none", floor: 0 }, { from: 0, to: 900_000 }), []);
    t.throws(() => instance.query(name, { device: "d0" }), { code: "USAGE", message: /lacks the field "floor"/ });
  }
  t.same(instance.stores().map(({ name, kind, windowMs, keyFields, askedBy }) => [name, kind, windowMs, keyFields.join(), askedBy]), [
    ["tumbling", "window", 1_000, "device,floor", "fields"], ["hopping", "window", 1_000, "device,floor", "fields"], ["sliding", "window", 700, "device,floor", "fields"], ["session", "session", null, "device,floor", "fields"],
  ]);
  t.throws(() => instance.query("hopping", { device: "d0", floor: 0 }, { from: 0, to: 1e10 }), { code: "USAGE", message: /more than 10000 windows/ });
});

t.test("without times the last hundred windows up to the stream time are answered, those only that are kept", async (t) => {
  const kept = (options: GroupWindowOptions) =>
    defineTopology("kept", (b) => void b.source("in").cast(Reading, { timestamp: "at", partitionedBy: "device" }).groupBy("device", "floor").windowed(hopping(1_000, { advance: 250, grace: 0 }), options).count("windows").sink(collect("out")));
  const late = [9_500, 9_750, 10_000, 10_250];
  const cases: readonly (readonly [GroupWindowOptions, readonly number[]])[] = [[{}, late], [{ retention: 5_000 }, [5_500, 5_750, 6_000, ...late]], [{ retention: 50_000 }, [5_250, 5_500, 5_750, 6_000, ...late]]];
  for (const [options, expected] of cases) {
    const log = memoryLog();
    const instance = await openInstance(kept(options), { log, connectors: [collectConnector()], stateDir: null, commitIntervalMs: 5 });
    t.teardown(() => instance.stop());
    instance.run();
    const starts = (range?: { readonly from?: number; readonly to?: number }) => instance.query("windows", { device: "a", floor: 1 }, range).map((row) => row["window_start"]);
    t.same(starts(), [], "nothing yet");
    await log.append("in", [reading("a", 1, 1, 6_200), reading("a", 1, 1, 10_400)]);
    await instance.drain();
    t.same(starts(), expected);
    t.same(starts({ from: 9_750, to: 10_250 }), [9_750, 10_000], "from is included, to is not");
    await log.append("in", [reading("a", 1, 1, 34_900)]);
    await instance.drain();
    const last = [34_000, 34_250, 34_500, 34_750];
    t.same(starts(), options.retention === 50_000 ? [10_000, 10_250, ...last] : last, "a hundred windows begin within 25 s");
  }
});
