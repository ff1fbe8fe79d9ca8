/** Interactive queries of windowed tables: what is answered is what the changes say, window by window. */
import t from "tap";
import { defineTopology, hopping, openInstance, serde, session, sliding, tumbling, type Windowed, type WindowedTable } from "@iot-topology/core";
import { collect, collectConnector, memoryLog } from "@iot-topology/core/testing";

const integer = serde.json<number>();
const KEPT = 2_000_000;

function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const all = async <T>(rows: AsyncIterable<T>): Promise<T[]> => {
  const found: T[] = [];
  for await (const row of rows) found.push(row);
  return found;
};

t.test("every kind of window is answered a key, by time, as its changes left it", async (t) => {
  const seed = 7;
  const below = random(seed);
  const tables: Record<string, WindowedTable<number>> = {};
  const topology = defineTopology("windowed", (b) => {
    const group = b.source("in").decode(integer).groupByKey();
    tables["tumbling"] = group.windowed(tumbling(1_000, { grace: 3_000 }), { retention: KEPT }).count("tumbling");
    tables["hopping"] = group.windowed(hopping(1_000, { advance: 300, grace: 3_000 }), { retention: KEPT }).count("hopping");
    tables["sliding"] = group.windowed(sliding(700, { grace: 3_000 }), { retention: KEPT }).count("sliding");
    tables["session"] = group.windowed(session(400, { grace: 3_000 }), { retention: KEPT }).count("session");
    for (const [name, table] of Object.entries(tables)) table.toStream().sink(collect(name));
  });
  const log = memoryLog();
  const sink = collectConnector();
  const instance = await openInstance(topology, { log, connectors: [sink], stateDir: null, partitions: 2, commitIntervalMs: 5 });
  instance.run();
  let now = 50_000;
  const records = Array.from({ length: 1_500 }, () => ({ key: `k${below(6)}`, value: "1", timestamp: (now += below(60)) - below(2_500) }));
  await log.append("in", records);
  await instance.drain();
  for (const [name, table] of Object.entries(tables)) {
    const last = new Map<string, { key: string; start: number; end: number; value: number }>();
    for (const { key, value: window } of sink.rows(name) as unknown as readonly { key: string; value: Windowed<number> }[]) {
      const place = `${key} ${window.window_start} ${window.window_end}`;
      if (window.value === null) last.delete(place);
      else last.set(place, { key, start: window.window_start, end: window.window_end, value: window.value });
    }
    const expected = [...last.values()].sort((a, b) => a.start - b.start || a.end - b.end);
    t.ok(expected.length > 20, `${name}: ${expected.length} windows, seed ${seed}`);
    const view = instance.store(table);
    for (const key of ["k0", "k1", "k2", "k3", "k4", "k5", "none"]) {
      const own = expected.filter((each) => each.key === key);
      const found = (await all(view.fetch(key, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY))).map(({ timestamp: _, ...row }) => row);
      t.same(found, own, `${name}, ${key}`);
      const [from, to] = [60_000 + below(5_000), 70_000 + below(5_000)];
      const within = own.filter(({ start, end }) => (name === "session" ? end : start) >= from && start <= to);
      t.same((await all(view.fetch(key, from, to))).map(({ timestamp: _, ...row }) => row), within, `${name}, ${key} from ${from} to ${to}`);
    }
  }
  t.same(instance.stores().map(({ name, kind, windowMs }) => [name, kind, windowMs]), [["tumbling", "window", 1_000], ["hopping", "window", 1_000], ["sliding", "window", 700], ["session", "session", null]]);
  await t.rejects(all(instance.store("tumbling").windows("k1", 0, 1e15)), { code: "USAGE", message: /more than 10000 windows/ });
  t.throws(() => instance.store("tumbling").rows(), { code: "USAGE", message: /no range of keys/ });
  await instance.stop();
});

t.test("windows behind the retention, and sessions that were merged, are not answered", async (t) => {
  let visits!: WindowedTable<number>;
  let counts!: WindowedTable<number>;
  const topology = defineTopology("short", (b) => {
    const group = b.source("in").decode(integer).groupByKey();
    visits = group.windowed(session(10, { grace: 0 })).count("visits");
    counts = group.windowed(tumbling(10, { grace: 0 })).count("counts");
    visits.toStream().sink(collect("visits"));
    counts.toStream().sink(collect("counts"));
  });
  const log = memoryLog();
  const instance = await openInstance(topology, { log, connectors: [collectConnector()], stateDir: null, commitIntervalMs: 5 });
  instance.run();
  await log.append("in", [100, 110, 105, 140, 147].map((timestamp) => ({ key: "a", value: "1", timestamp })));
  await instance.drain();
  t.same((await all(instance.store(visits).fetch("a", 0, 1_000))).map(({ start, end, value }) => [start, end, value]), [[140, 147, 2]]);
  t.same((await all(instance.store(counts).fetch("a", 0, 1_000))).map(({ start, end, value, timestamp }) => [start, end, value, timestamp]), [[140, 150, 2, 147]]);
  await instance.stop();
});
