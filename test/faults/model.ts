/**
 * What any right run makes of an input, worked out in plain JavaScript from the records as Apache's consumer saw them: nothing here uses the code under test.
 * Rules: the first record of an identity in the log stands; a device's window is closed two hours after its end in stream time, which no load time lets ahead;
 * a site's window never closes.
 */
import type { SeenRecord } from "./apache-client.ts";
import type { LoadEvent } from "./load.ts";
import { DEVICE_GRACE_HOURS, FILTERED_VALUE, SITE_HOURS } from "./topology.ts";

const HOUR_MS = 3_600_000;

export interface Totals {
  readonly n: number;
  readonly total: number;
  readonly low: number;
  readonly high: number;
}

/** The numbers that an instance reports when all is done. */
export interface ExpectedCounters {
  readonly read: number;
  readonly deduplicated: number;
  readonly filtered: number;
  readonly late: number;
  readonly deadLetters: number;
  readonly clean: number;
}

export interface Expected {
  /** By device, in order. */
  readonly clean: ReadonlyMap<string, readonly LoadEvent[]>;
  readonly late: ReadonlyMap<string, readonly LoadEvent[]>;
  /** `partition/offset code`. */
  readonly dead: readonly string[];
  /** By device and start of window. */
  readonly deviceHours: ReadonlyMap<string, Totals>;
  readonly siteHours: ReadonlyMap<string, Totals>;
  readonly latest: ReadonlyMap<string, LoadEvent>;
  /** By device and start of hour, of all that is clean: the window view of ClickHouse, for which nothing is late. */
  readonly allHours: ReadonlyMap<string, Totals>;
  readonly counters: ExpectedCounters;
}

type Judged = { readonly event: LoadEvent } | { readonly code: string };

/** Reads a record as the topology's cast should. */
function judge({ key, value }: SeenRecord): Judged {
  if (value === null) return { code: "TOMBSTONE" };
  if (value.length === 0) return { code: "EMPTY_PAYLOAD" };
  let json: unknown;
  try {
    json = JSON.parse(value.toString());
  } catch {
    return { code: "INVALID_JSON" };
  }
  if (typeof json !== "object" || json === null) return { code: "CAST_FAILED" };
  const { device, seq, site, value: number, at } = json as Partial<LoadEvent>;
  if (typeof device !== "string" || typeof site !== "string" || typeof number !== "number" || typeof at !== "number" || typeof seq !== "number" || seq < 0) return { code: "CAST_FAILED" };
  if (key?.toString() !== device) return { code: "KEY_MISMATCH" };
  return { event: { device, seq, site, value: number, at } };
}

const push = (map: Map<string, LoadEvent[]>, name: string, event: LoadEvent): void => {
  const list = map.get(name);
  if (list === undefined) map.set(name, [event]);
  else list.push(event);
};

const addTo = (map: Map<string, Totals>, name: string, value: number): void => {
  const { n, total, low, high } = map.get(name) ?? { n: 0, total: 0, low: value, high: value };
  map.set(name, { n: n + 1, total: total + value, low: Math.min(low, value), high: Math.max(high, value) });
};

/** The name of a window. */
export const windowName = (key: string, start: number): string => `${key}@${start}`;

const isNewer = (a: LoadEvent, b: LoadEvent | undefined): boolean => b === undefined || a.at > b.at || (a.at === b.at && a.seq > b.seq);

/** Works out what must come of an input, given in the order of each partition. */
export function expectedOf(input: readonly SeenRecord[]): Expected {
  const [clean, late] = [new Map<string, LoadEvent[]>(), new Map<string, LoadEvent[]>()];
  const [deviceHours, siteHours, allHours] = [new Map<string, Totals>(), new Map<string, Totals>(), new Map<string, Totals>()];
  const latest = new Map<string, LoadEvent>();
  const dead: string[] = [];
  const seen = new Set<string>();
  const streamTimes = new Map<number, number>();
  const counted = { deduplicated: 0, filtered: 0, late: 0, clean: 0 };
  for (const record of input) {
    const judged = judge(record);
    if ("code" in judged) {
      dead.push(`${record.partition}/${record.offset} ${judged.code}`);
      continue;
    }
    const { event } = judged;
    const { device, seq, site, value, at } = event;
    if (value === FILTERED_VALUE) {
      counted.filtered++;
      continue;
    }
    if (seen.has(`${device}/${seq}`)) {
      counted.deduplicated++;
      continue;
    }
    seen.add(`${device}/${seq}`);
    counted.clean++;
    push(clean, device, event);
    if (isNewer(event, latest.get(device))) latest.set(device, event);
    addTo(siteHours, windowName(site, Math.floor(at / (SITE_HOURS * HOUR_MS)) * SITE_HOURS * HOUR_MS), value);
    const start = Math.floor(at / HOUR_MS) * HOUR_MS;
    addTo(allHours, windowName(device, start), value);
    const streamTime = Math.max(streamTimes.get(record.partition) ?? Number.NEGATIVE_INFINITY, Math.min(at, record.timestamp));
    streamTimes.set(record.partition, streamTime);
    if (start + HOUR_MS <= streamTime - DEVICE_GRACE_HOURS * HOUR_MS) {
      counted.late++;
      push(late, device, event);
    } else addTo(deviceHours, windowName(device, start), value);
  }
  // Both parts count what they read.
  return { clean, late, dead, deviceHours, siteHours, latest, allHours, counters: { ...counted, read: input.length + counted.clean, deadLetters: dead.length } };
}
