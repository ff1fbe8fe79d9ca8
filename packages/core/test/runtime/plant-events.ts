import { c, hours, record } from "@iot-topology/core";

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

export const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);
