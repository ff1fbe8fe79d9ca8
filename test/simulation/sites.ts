/** A topology of two parts with a topic between them: dedup within a time, topics as sinks, totals behind a repartition. */
import { c, count, defineTopology, hours, minutes, partitionOfKey, record, sum, topic, type Topology } from "@iot-topology/core";
import { collect, exactly, type ExpectedOutcome, latest, type SimulatedRecord, type SimulationRandom } from "@iot-topology/core/testing";
import type { SimulatedTopology } from "./simulated-topology.ts";

const Reading = record("Reading", { device: c.string(), site: c.string(), seq: c.uint32(), value: c.uint32() });
const Total = record("Total", { site: c.string(), n: c.uint32(), total: c.float64(), updates: c.uint32() });

const WITHIN_MS = hours(1);
const FIRST_MS = 1_600_000_000_000;
const PARTITIONS = 2;
const DEVICES = 5;
const SITES = 3;

const topology: Topology = defineTopology("sites", (t) => {
  const unique = t.source("measurements").cast(Reading, { partitionedBy: "device" }).dedup("recent", { by: ["device", "seq"], within: WITHIN_MS });
  unique.sink(topic("clean", Reading, { key: ({ device }) => device }));
  const bySite = unique.repartition("by-site", { by: ["site"], partitions: 3 });
  bySite.sink({ ...collect("history"), rebuildable: "by-position" });
  bySite.groupBy("site").aggregate("totals", { n: count(), total: sum("value") }).sink(topic("totals", Total, { key: ({ site }) => site }));
});

interface Reading {
  readonly device: string;
  readonly site: string;
  readonly seq: number;
  readonly value: number;
}

function inputs(random: SimulationRandom): SimulatedRecord[] {
  const below = (bound: number): number => Math.floor(random() * bound);
  const records: SimulatedRecord[] = [];
  const silence = 2 + below(10);
  const pace = minutes(below(2) === 0 ? 3 : 15);
  const devices = 1 + below(DEVICES);
  let now = FIRST_MS;
  for (let left = 10 + below(35); left > 0; left--) {
    // After a long silence what is old is dropped at once.
    now += below(silence) === 0 ? below(hours(12)) : below(pace);
    const number = below(devices);
    const device = `d${number}`;
    const seq = below(4);
    const value: Reading = { device, site: `site-${(number + seq) % SITES}`, seq, value: below(50) };
    const timestamp = Math.max(FIRST_MS, now - (below(5) === 0 ? below(hours(3)) : 0));
    records.push({ topic: "measurements", key: device, value, timestamp, partition: partitionOfKey(Buffer.from(device), PARTITIONS) });
  }
  return records;
}

function model(records: readonly SimulatedRecord[]): ExpectedOutcome {
  const clean: Reading[] = [];
  const accepted = new Map<string, number[]>();
  const streamTimes = new Map<number, number>();
  const totals = new Map<string, { readonly site: string; readonly n: number; readonly total: number; readonly updates: number }>();
  const counters = { read: records.length, deduplicated: 0, late: 0 };
  for (const { value, timestamp, partition = 0 } of records) {
    const reading = value as Reading;
    const streamTime = Math.max(streamTimes.get(partition) ?? 0, timestamp);
    streamTimes.set(partition, streamTime);
    if (timestamp < streamTime - WITHIN_MS) {
      counters.late++;
      continue;
    }
    const identity = `${reading.device}/${reading.seq}`;
    const moments = accepted.get(identity) ?? [];
    if (moments.some((moment) => Math.abs(moment - timestamp) <= WITHIN_MS)) {
      counters.deduplicated++;
      continue;
    }
    accepted.set(identity, [...moments, timestamp]);
    clean.push(reading);
    const { n = 0, total = 0 } = totals.get(reading.site) ?? {};
    totals.set(reading.site, { site: reading.site, n: n + 1, total: total + reading.value, updates: n + 1 });
  }
  const sums = [...totals.values()];
  return {
    outputs: {
      clean: exactly(clean, { orderedBy: ({ device }) => device }),
      history: exactly(clean),
      totals: latest(sums, { by: ({ site }) => site, version: ({ updates }) => updates }),
    },
    stores: sums.map((row) => ({ store: "totals", key: { site: row.site }, rows: [row] })),
    // What the second part reads is what the first has written.
    counters: { ...counters, read: counters.read + clean.length },
  };
}

/** See the head of the file. */
export const sites: SimulatedTopology = { name: "sites", topology, inputs, model, partitions: PARTITIONS };
