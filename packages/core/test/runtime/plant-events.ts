import { c, hours, record } from "@iot-topology/core";
import type { CollectConnector } from "@iot-topology/core/testing";

export const Event = record("Event", { id: c.string(), seq: c.uint64(), value: c.float64(), at: c.dateTime64(3, "UTC") });

/** A stream with repeats and nonsense, and what any right run makes of it. */
export function makeEvents(n: number, seed: number, devices = 7) {
  let state = seed;
  const random = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const records: { key: string; value: string; timestamp: number }[] = [];
  const seen = new Set<string>();
  const hourly = new Map<string, { n: number; total: number }>();
  let nonsense = 0;
  for (let i = 0; i < n; i++) {
    const id = `d${random(devices)}`;
    const seq = random(n / 5);
    const at = (seq * 7_919) % hours(20);
    if (random(25) === 0) {
      nonsense++;
      records.push({ key: id, value: "{", timestamp: i });
      continue;
    }
    records.push({ key: id, value: JSON.stringify({ id, seq, value: seq % 100, at }), timestamp: i });
    if (seen.has(`${id}/${seq}`)) continue;
    seen.add(`${id}/${seq}`);
    const name = `${id}@${at - (at % hours(1))}`;
    const known = hourly.get(name) ?? { n: 0, total: 0 };
    hourly.set(name, { n: known.n + 1, total: known.total + (seq % 100) });
  }
  return { records, seen, hourly, nonsense };
}

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);

/** Holds what a plant's sinks got against {@link makeEvents}' own answers. */
export function checkPlant(t: { same: typeof import("tap").t.same; equal: typeof import("tap").t.equal }, sink: CollectConnector, expected: ReturnType<typeof makeEvents>, label: string): void {
  const history = sink.values("history").map((v) => `${(v as { id: string }).id}/${(v as { seq: bigint }).seq}`);
  t.same([...history].sort(), [...expected.seen].sort(), `${label}: history holds each event once`);
  t.equal(sink.values("dead").length, expected.nonsense, `${label}: each refused record is a dead letter once`);
  const last = new Map<string, { n: number; total: number; updates: number }>();
  for (const row of sink.values("hourly") as { id: string; window_start: number; n: number; total: number; updates: number }[]) {
    const name = `${row.id}@${row.window_start}`;
    if ((last.get(name)?.updates ?? 0) < row.updates) last.set(name, row);
  }
  t.same(new Map([...last].sort(byName).map(([name, { n, total }]) => [name, { n, total }])), new Map([...expected.hourly].sort(byName)), `${label}: windows equal the model's`);
}
