/** What is to happen in a schedule, as data: made from its seed, and made smaller when it has failed. */
import type { ClusterOperation, FaultMoment } from "../memory-cluster/network.ts";

/** One process on the embedded log, or several on a cluster. */
export type SimulationMode = "local" | "replicated";

/** What may go wrong, or just happen. */
export type SimulatedFault =
  | "kill" | "power-cut" | "stop" | "pause" | "disk-full" | "damage"
  | "join" | "lost" | "expire" | "abort-hanging";

interface ItemBase {
  /** It comes so many events after the item before, or so many milliseconds, whichever is first. */
  readonly steps: number;
  readonly ms: number;
}

/** A step of a schedule. */
export type ScheduleItem =
  | (ItemBase & { readonly kind: "feed"; readonly count: number })
  | (ItemBase & {
      readonly kind: SimulatedFault;
      /** Which of the processes that run. */
      readonly process: number;
      /** Then it waits for an event of this description, for a while. */
      readonly behind: string | undefined;
      /** How long a process is away, or stands still. */
      readonly awayMs: number;
      readonly lost?: { readonly operation: ClusterOperation; readonly moment: FaultMoment; readonly skip: number };
    });

/** How the processes of a schedule run. */
export interface ScheduleSettings {
  readonly commitRecordsMax: number;
  readonly commitIntervalMs: number;
  readonly cacheEntriesMax: number;
  readonly outboxBatchesMax: number;
  readonly standbyReplicas: number;
  readonly changelogSweepBytesMin: number;
  readonly processes: number;
  /** Whether a process on a cluster keeps its state on its disk. */
  readonly hasDisk: readonly boolean[];
  /** How long a disk takes at most for a write, beside what everything takes. */
  readonly diskMs: number;
  readonly mishapChance: number;
  /** How long a sink takes at most, beside what everything takes. */
  readonly sinkMs: number;
}

/** A schedule without the records. */
export interface Schedule {
  readonly seed: number;
  readonly mode: SimulationMode;
  readonly settings: ScheduleSettings;
  readonly items: readonly ScheduleItem[];
}

const PROCESSES_MAX = 3;
const STEPS_BETWEEN_MAX = 250;
const MS_BETWEEN_MAX = 400;
const AWAY_MS_MAX = 3_500;
const OPERATIONS: readonly ClusterOperation[] = ["openProducer", "produce", "offsets", "end", "end", "end", "fetch", "committedOffsets", "metadata", "deleteRecords", "join", "sync", "heartbeat"];
const BEHIND: readonly (string | undefined)[] = [undefined, undefined, "disk writes", "disk clears", "disk syncs", "reply to", "gets batch", "log append", "sleep"];
const LOCAL_FAULTS: readonly SimulatedFault[] = ["kill", "kill", "kill", "power-cut", "power-cut", "stop", "pause", "disk-full"];
const REPLICATED_FAULTS: readonly SimulatedFault[] = ["kill", "kill", "power-cut", "stop", "pause", "pause", "join", "join", "lost", "lost", "lost", "expire", "abort-hanging", "disk-full", "damage", "damage"];

/** A source of numbers in [0, 1). */
export type Random = () => number;

const below = (random: Random, bound: number): number => Math.floor(random() * bound);
const pick = <T>(random: Random, list: readonly T[]): T => list[below(random, list.length)] as T;

/** Small numbers as often as large ones, so that faults also come on top of one another. */
function spread(random: Random, max: number): number {
  return Math.floor(Math.exp(random() * Math.log(max)));
}

function settingsOf(random: Random, mode: SimulationMode): ScheduleSettings {
  return {
    commitRecordsMax: pick(random, [1, 2, 5, 20, 1_000]),
    commitIntervalMs: pick(random, [1, 5, 20, 100]),
    cacheEntriesMax: pick(random, [2, 6, 1_000]),
    outboxBatchesMax: pick(random, [1, 3, 64]),
    standbyReplicas: random() < 0.3 ? 1 : 0,
    changelogSweepBytesMin: pick(random, [800, 3_000, 1 << 20]),
    processes: mode === "local" ? 1 : 1 + below(random, 2),
    hasDisk: Array.from({ length: 64 }, () => mode === "local" || random() < 0.7),
    diskMs: pick(random, [0, 5, 40]),
    mishapChance: pick(random, [0, 0.15, 0.5]),
    sinkMs: pick(random, [0, 0, 20, 200]),
  };
}

function faultItem(random: Random, mode: SimulationMode, mayDamage: boolean): ScheduleItem {
  const known = mode === "local" ? LOCAL_FAULTS : REPLICATED_FAULTS;
  const kind = mode === "local" && mayDamage && random() < 0.1 ? "damage" : pick(random, known);
  const item = { kind, steps: spread(random, STEPS_BETWEEN_MAX), ms: spread(random, MS_BETWEEN_MAX), process: below(random, PROCESSES_MAX), behind: pick(random, BEHIND), awayMs: spread(random, AWAY_MS_MAX) };
  if (kind !== "lost") return item;
  return { ...item, lost: { operation: pick(random, OPERATIONS), moment: random() < 0.5 ? "before" : "after", skip: below(random, 4) } };
}

/** Makes a schedule from its seed. `mayDamage` says whether state that was damaged can be made again in local mode. */
export function makeSchedule(random: Random, given: { readonly seed: number; readonly mode: SimulationMode; readonly records: number; readonly mayDamage: boolean }): Schedule {
  const { seed, mode, records, mayDamage } = given;
  const settings = settingsOf(random, mode);
  const items: ScheduleItem[] = [];
  let left = records;
  while (left > 0) {
    const count = Math.min(left, 1 + below(random, Math.max(1, Math.ceil(records / 3))));
    items.push({ kind: "feed", count, steps: spread(random, STEPS_BETWEEN_MAX), ms: spread(random, MS_BETWEEN_MAX) });
    left -= count;
    for (let faults = below(random, 4); faults > 0; faults--) items.push(faultItem(random, mode, mayDamage));
  }
  return { seed, mode, settings, items };
}

/** A schedule in lines, for people. */
export function describeSchedule({ mode, settings, items }: Schedule): string[] {
  const { hasDisk: _, ...shown } = settings;
  return [
    `${mode} ${JSON.stringify(shown)}`,
    ...items.map((item, index) => {
      const when = `${index}: after ${item.steps} events or ${item.ms} ms`;
      if (item.kind === "feed") return `${when}: ${item.count} records`;
      if (item.lost !== undefined) return `${when}: the ${item.lost.moment === "before" ? "request" : "reply"} of process ${item.process}'s ${item.lost.operation} is lost`;
      return `${when}${item.behind === undefined ? "" : `, behind the next "${item.behind}"`}: ${item.kind} of process ${item.process}${["kill", "power-cut", "stop", "pause"].includes(item.kind) ? `, for ${item.awayMs} ms` : ""}`;
    }),
  ];
}
