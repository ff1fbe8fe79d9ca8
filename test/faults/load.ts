/**
 * The input of a run, all from a seed: repeats, events out of order and late, clocks that are years off, records that cannot be read, keys that lie, and a
 * device whose key is the four zero bytes of an int32 0.
 */
import { FILTERED_VALUE } from "./topology.ts";
import type { Random } from "./random.ts";

/** A record to be produced. */
export interface LoadRecord {
  readonly key: string;
  readonly value: string | null;
  /** The load time. */
  readonly timestamp: number;
}

export interface LoadEvent {
  readonly device: string;
  readonly seq: number;
  readonly site: string;
  readonly value: number;
  readonly at: number;
}

const ZERO_KEY = "\0\0\0\0";
const DEVICES = [...Array.from({ length: 11 }, (_, index) => `d${index}`), ZERO_KEY];
const SITES = ["north", "east", "south", "west", "hill"];
const HOUR_MS = 3_600_000;
const BEGIN_MS = Date.UTC(2024, 0, 1);
const STEP_MS = 120_000;
const FAR_FUTURE_MS = Date.UTC(2099, 0, 1);
const FAR_PAST_MS = Date.UTC(1971, 0, 1);

/** Makes records one after another. */
export interface Load {
  next(count: number): LoadRecord[];
  /** Records that were made before, once more: a re-delivery. */
  again(count: number): LoadRecord[];
  /** Records that are made and not counted: for transactions that abort. */
  draft(count: number): LoadRecord[];
  /** All that was made, once more. */
  all(): LoadRecord[];
  /** A record for each device, hour and site that the load has touched so far, so that every entry of every store is read again. */
  probe(): LoadRecord[];
  readonly made: number;
}

function eventTime(random: Random, load: number): number {
  if (random.oneIn(150)) return FAR_FUTURE_MS + random.below(20) * HOUR_MS;
  if (random.oneIn(150)) return FAR_PAST_MS + random.below(20) * HOUR_MS;
  if (random.oneIn(12)) return load - (4 + random.below(20)) * HOUR_MS;
  return load + (random.below(200) - 150) * 60_000;
}

function malformed(random: Random, { device, seq, at }: LoadEvent): string | null {
  return random.pick<string | null>([null, "", "{", '"text"', JSON.stringify({ device, seq }), JSON.stringify({ device, seq: -1, site: "north", value: 1, at }), JSON.stringify({ device, seq, site: "north", value: "many", at })]);
}

/** The load of a run. */
export function makeLoad(random: Random): Load {
  const made: LoadRecord[] = [];
  const events: LoadEvent[] = [];
  const lastSeq = new Map<string, number>();
  let clock = BEGIN_MS;

  const record = (event: LoadEvent): LoadRecord => ({ key: event.device, value: JSON.stringify(event), timestamp: clock });
  const fresh = (device: string, site: string, at: number, value: number): LoadEvent => {
    const seq = (lastSeq.get(device) ?? 0) + 1;
    lastSeq.set(device, seq);
    const event = { device, seq, site, value, at };
    events.push(event);
    return event;
  };
  const make = (): LoadRecord => {
    clock += STEP_MS;
    if (events.length > 0 && random.oneIn(8)) return record(random.pick(events));
    const event = fresh(random.pick(DEVICES), random.pick(SITES), eventTime(random, clock), random.oneIn(25) ? FILTERED_VALUE : random.below(100));
    if (random.oneIn(20)) return { ...record(event), value: malformed(random, event) };
    if (random.oneIn(40)) return { ...record(event), key: `${event.device}?` };
    return record(event);
  };
  const keep = (records: LoadRecord[]): LoadRecord[] => {
    made.push(...records);
    return records;
  };

  return {
    next: (count) => keep(Array.from({ length: count }, make)),
    again: (count) => keep(Array.from({ length: Math.min(count, made.length) }, () => ({ ...random.pick(made), timestamp: clock }))),
    draft: (count) => Array.from({ length: count }, () => {
      const event = { device: random.pick(DEVICES), seq: 1_000_000 + random.below(1_000_000), site: random.pick(SITES), value: 1, at: clock };
      return record(event);
    }),
    all: () => made.map((each) => ({ ...each, timestamp: clock })),
    probe() {
      clock += STEP_MS;
      const places = new Map<string, LoadEvent>();
      for (const event of events) places.set(`${event.device} ${event.site} ${Math.floor(event.at / HOUR_MS)}`, event);
      const repeats = events.map(record);
      return keep([...repeats, ...[...places.values()].map(({ device, site, at }) => record(fresh(device, site, at, 7)))]);
    },
    get made() {
      return made.length;
    },
  };
}
