/** Sessions that are sent when they are over, and hopping windows of which every change is sent, and the last one once more behind a suppress. */
import { defineTopology, hopping, minutes, partitionOfKey, serde, session, topic, type Topology, untilWindowCloses, type Windowed } from "@iot-topology/core";
import { collect, exactly, type ExpectedOutcome, latest, type SimulatedRecord, type SimulationRandom } from "@iot-topology/core/testing";
import type { SimulatedTopology } from "./simulated-topology.ts";

interface Click {
  readonly page: number;
}

const GAP_MS = minutes(10);
const GRACE_MS = minutes(5);
const SIZE_MS = minutes(30);
const ADVANCE_MS = minutes(10);
const FIRST_MS = 1_600_000_000_000;
const PARTITIONS = 2;
const USERS = 4;

const topology: Topology = defineTopology("visits", (t) => {
  const clicks = t
    .source("clicks")
    .decode(serde.json<Click>())
    .flatMap((click) => (click === null ? [] : [click]))
    .groupByKey();
  const windowed = serde.json<Windowed<number>>();
  clicks.windowed(session(GAP_MS, { grace: GRACE_MS }), { emit: "close" }).count("sessions").toStream().sink({ ...collect("visits"), rebuildable: "by-position" });
  const often = clicks.windowed(hopping(SIZE_MS, { advance: ADVANCE_MS, grace: GRACE_MS })).count("often");
  often.toStream().sink(topic("often", windowed));
  often.suppress("final", untilWindowCloses()).toStream().sink(topic("often-finally", windowed));
});

type Row = Windowed<number>;

function inputs(random: SimulationRandom): SimulatedRecord[] {
  const below = (bound: number): number => Math.floor(random() * bound);
  const silence = 2 + below(12);
  const users = 1 + below(USERS);
  const records: SimulatedRecord[] = [];
  let now = FIRST_MS;
  for (let page = 10 + below(30); page > 0; page--) {
    now += below(silence) === 0 ? below(minutes(90)) : below(minutes(6));
    const key = `u${below(users)}`;
    const timestamp = Math.max(FIRST_MS, now - (below(3) === 0 ? below(minutes(40)) : 0));
    records.push({ topic: "clicks", key, value: { page }, timestamp, partition: partitionOfKey(Buffer.from(key), PARTITIONS) });
  }
  return records;
}

interface Session {
  readonly key: string;
  readonly start: number;
  readonly end: number;
  readonly n: number;
}

/** What one partition's clicks make, in their order. */
class PartitionModel {
  readonly visits: Row[] = [];
  readonly windows = new Map<string, { readonly key: string; readonly start: number; n: number }>();
  late = 0;
  streamTime = Number.NEGATIVE_INFINITY;
  #sessions: Session[] = [];

  add(key: string, time: number): void {
    this.streamTime = Math.max(this.streamTime, time);
    this.#addToSession(key, time);
    this.#addToWindows(key, time);
  }

  readonly #isOver = ({ end }: { readonly end: number }): boolean => end + GAP_MS + GRACE_MS < this.streamTime;

  #addToSession(key: string, time: number): void {
    const near = this.#sessions.filter((other) => other.key === key && !this.#isOver(other) && other.end >= time - GAP_MS && other.start <= time + GAP_MS);
    const merged = { key, start: Math.min(time, ...near.map(({ start }) => start)), end: Math.max(time, ...near.map(({ end }) => end)), n: near.reduce((sum, { n }) => sum + n, 1) };
    if (this.#isOver(merged)) this.late++;
    else this.#sessions = [...this.#sessions.filter((other) => !near.includes(other)), merged];
    const over = this.#sessions.filter(this.#isOver);
    over.sort((a, b) => a.end - b.end || a.start - b.start || (a.key < b.key ? -1 : 1));
    this.#sessions = this.#sessions.filter((other) => !this.#isOver(other));
    this.visits.push(...over.map(({ key: user, start, end, n }): Row => ({ key: user, window_start: start, window_end: end, value: n })));
  }

  #addToWindows(key: string, time: number): void {
    let isLate = true;
    for (let start = Math.floor(time / ADVANCE_MS) * ADVANCE_MS; start > time - SIZE_MS; start -= ADVANCE_MS) {
      if (start + SIZE_MS + GRACE_MS <= this.streamTime) continue;
      isLate = false;
      const window = this.windows.get(`${key}@${start}`) ?? { key, start, n: 0 };
      window.n++;
      this.windows.set(`${key}@${start}`, window);
    }
    if (isLate) this.late++;
  }
}

function model(records: readonly SimulatedRecord[]): ExpectedOutcome {
  const partitions = Array.from({ length: PARTITIONS }, () => new PartitionModel());
  for (const { key, timestamp, partition = 0 } of records) partitions[partition]?.add(String(key), timestamp);
  const windowsOf = ({ windows }: PartitionModel): Row[] => [...windows.values()].map(({ key, start, n }) => ({ key, window_start: start, window_end: start + SIZE_MS, value: n }));
  return {
    outputs: {
      visits: exactly(partitions.flatMap(({ visits }) => visits), { orderedBy: ({ key }) => key }),
      often: latest(partitions.flatMap(windowsOf), { by: ({ key, window_start }) => `${key}@${window_start}`, version: ({ value }) => value ?? 0 }),
      "often-finally": exactly(partitions.flatMap((part) => windowsOf(part).filter(({ window_end }) => window_end + GRACE_MS <= part.streamTime))),
    },
    counters: { read: records.length, late: partitions.reduce((sum, { late }) => sum + late, 0) },
  };
}

/** See the head of the file. */
export const visits: SimulatedTopology = { name: "visits", topology, inputs, model, partitions: PARTITIONS };
