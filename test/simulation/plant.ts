/** A topology whose sinks can be made again from the log: dead letters, a filter, dedup, windows with a grace time. */
import { c, count, defineTopology, hours, minutes, partitionOfKey, record, sum, type Topology, tumbling } from "@iot-topology/core";
import { collect, exactly, type ExpectedOutcome, latest, type SimulatedRecord, type SimulationRandom } from "@iot-topology/core/testing";
import type { SimulatedTopology } from "./simulated-topology.ts";

const Reading = record("Reading", { device: c.string(), seq: c.uint32(), value: c.uint32(), at: c.uint64() });

const SIZE_MS = hours(1);
const GRACE_MS = minutes(30);
const FIRST_MS = 1_600_000_000_000;
const PARTITIONS = 2;
const DEVICES = 4;

const topology: Topology = defineTopology("plant", (t) => {
  const dead = t.deadLetter("dead");
  dead.sink(collect("dead"));
  const readings = t
    .source("readings")
    .cast(Reading, { partitionedBy: "device", onError: dead })
    .filter(({ value }) => value !== 13);
  const unique = readings.dedup("seen", { by: ["device", "seq"] });
  unique.sink({ ...collect("history"), rebuildable: "by-position" });
  unique.groupBy("device").windowed(tumbling(SIZE_MS, { grace: GRACE_MS })).aggregate("hourly", { n: count(), total: sum("value") }).sink(collect("hourly"));
});

interface Reading {
  readonly device: string;
  readonly seq: number;
  readonly value: number;
  readonly at: number;
}

interface Window {
  readonly device: string;
  readonly window_start: number;
  readonly window_end: number;
  n: number;
  total: number;
  updates: number;
}

function inputs(random: SimulationRandom): SimulatedRecord[] {
  const below = (bound: number): number => Math.floor(random() * bound);
  const records: SimulatedRecord[] = [];
  // In some schedules time jumps now and then, in others all the time, so that windows end while others are open.
  const silence = 2 + below(10);
  const pace = minutes(below(2) === 0 ? 4 : 20);
  const devices = 1 + below(DEVICES);
  let now = FIRST_MS;
  for (let left = 10 + below(40); left > 0; left--) {
    now += below(silence) === 0 ? below(hours(3)) : below(pace);
    const key = `d${below(devices)}`;
    const value = below(12) === 0 ? '{"device":' : { device: key, seq: below(25), value: below(20), at: now };
    // Some come late, by so much that their windows may be over.
    records.push({ topic: "readings", key, value, timestamp: Math.max(FIRST_MS, now - (below(4) === 0 ? below(hours(4)) : 0)), partition: partitionOfKey(Buffer.from(key), PARTITIONS) });
  }
  return records;
}

function model(records: readonly SimulatedRecord[]): ExpectedOutcome {
  const history: Reading[] = [];
  const seen = new Set<string>();
  const windows = new Map<string, Window>();
  const streamTimes = new Map<number, number>();
  const counters = { read: records.length, filtered: 0, deduplicated: 0, late: 0, deadLetters: 0 };
  for (const { value, timestamp, partition = 0 } of records) {
    if (typeof value === "string") {
      counters.deadLetters++;
      continue;
    }
    const reading = value as Reading;
    if (reading.value === 13) {
      counters.filtered++;
      continue;
    }
    const identity = `${reading.device}/${reading.seq}`;
    if (seen.has(identity)) {
      counters.deduplicated++;
      continue;
    }
    seen.add(identity);
    history.push(reading);
    const start = Math.floor(timestamp / SIZE_MS) * SIZE_MS;
    const streamTime = Math.max(streamTimes.get(partition) ?? 0, timestamp);
    streamTimes.set(partition, streamTime);
    if (start + SIZE_MS + GRACE_MS <= streamTime) {
      counters.late++;
      continue;
    }
    const name = `${reading.device}@${start}`;
    const window = windows.get(name) ?? { device: reading.device, window_start: start, window_end: start + SIZE_MS, n: 0, total: 0, updates: 0 };
    window.n++;
    window.total += reading.value;
    window.updates++;
    windows.set(name, window);
  }
  const last = [...windows.values()];
  const { deadLetters, ...numbers } = counters;
  return {
    outputs: {
      history: exactly(history),
      hourly: latest(last, { by: ({ device, window_start }) => `${device}@${window_start}`, version: ({ updates }) => updates }),
    },
    stores: history.map(({ device, seq }) => ({ store: "seen", key: { device, seq }, rows: [{ device, seq, seen: true }] })),
    counters: { ...numbers, written: { history: history.length, dead: deadLetters } },
  };
}

/** See the head of the file. */
export const plant: SimulatedTopology = { name: "plant", topology, inputs, model, partitions: PARTITIONS };
