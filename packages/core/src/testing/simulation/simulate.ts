import { seededRandom } from "../memory-cluster/network.ts";
import type { Topology } from "../../topology/index.ts";
import type { ExpectedOutcome } from "./expectation.ts";
import { describeSchedule, makeSchedule, type Random, type Schedule, type SimulationMode } from "./schedule.ts";
import { type RunResult, type SimulatedRecord, SimulatedRun, type TopicPartitions } from "./simulated-run.ts";
import { shrink } from "./shrink.ts";
import { Timeline } from "./timeline.ts";

/** The parts of a schedule that a replay keeps, by their numbers; what shrinking has found. */
export interface KeptParts {
  readonly records: readonly number[];
  readonly items: readonly number[];
}

/** What to simulate, see {@link simulate}. */
export interface SimulationOptions {
  /** Makes the records of a schedule, in the order in which they are appended. Everything random in them must come from `random`, which gives numbers in [0, 1). */
  readonly inputs: (random: Random) => readonly SimulatedRecord[];
  /** What any right run makes of these records: plain code over the list, not the engine's. Each partition's records keep the list's order. */
  readonly model: (records: readonly SimulatedRecord[]) => ExpectedOutcome;
  /** The first schedule's seed; 1 when absent. Each next schedule has the next seed. */
  readonly seed?: number;
  /** How many schedules; 100 when absent. */
  readonly schedules?: number;
  /** One process on an embedded log, up to three on a cluster, or both by turns, which is the default. */
  readonly modes?: readonly SimulationMode[];
  /** Partitions of the topics that are read, of all or by name (1 for those that are not named); 2 when absent. */
  readonly partitions?: TopicPartitions;
  /** Whether a failing schedule is made smaller; true when absent. */
  readonly shrink?: boolean;
  /** Only these parts of the one schedule: a replay of what was shrunk. */
  readonly only?: KeptParts;
}

/** A schedule that went wrong. */
export interface SimulationFailure {
  readonly seed: number;
  readonly mode: SimulationMode;
  /** What is wrong, a sentence each. */
  readonly problems: readonly string[];
  /** What is left of the schedule after shrinking: enough to replay it, with the seed. */
  readonly only: KeptParts;
  /** The records and steps that are left, in lines. */
  readonly schedule: readonly string[];
  /** Every event of the shrunk schedule, with its time in milliseconds. */
  readonly trace: readonly string[];
}

/** What a simulation found. */
export interface SimulationReport {
  /** Schedules that ran, the failing one included. */
  readonly schedules: number;
  readonly records: number;
  /** Events of all schedules. */
  readonly steps: number;
  /** How often each fault struck while there was work. */
  readonly faults: Readonly<Record<string, number>>;
  /** One number for all that happened: the same for the same seed. */
  readonly digest: number;
  /** The first schedule that went wrong, shrunk; undefined where none did. */
  readonly failure: SimulationFailure | undefined;
}

const START_MS = 1_700_000_000_000;

/** One schedule with its records, ready to run. */
interface Candidate {
  readonly schedule: Schedule;
  readonly records: readonly SimulatedRecord[];
}

function candidateOf(topology: Topology, options: SimulationOptions, seed: number): Candidate {
  const random = seededRandom(seed);
  const modes = options.modes ?? ["local", "replicated"];
  const mode = modes[seed % modes.length] as SimulationMode;
  const records = options.inputs(random);
  return { records, schedule: makeSchedule(random, { seed, mode, records: records.length, mayDamage: SimulatedRun.mayDamage(topology) }) };
}

async function runOnce(topology: Topology, options: SimulationOptions, { schedule, records }: Candidate, kept: KeptParts, isTraced: boolean): Promise<RunResult & { readonly trace: readonly string[] }> {
  const timeline = new Timeline(seededRandom(schedule.seed ^ 0x5eed_5eed), START_MS, { isTraced });
  const chosen = kept.records.flatMap((index) => records[index] ?? []);
  const items = kept.items.flatMap((index) => schedule.items[index] ?? []);
  const rejections: unknown[] = [];
  const onRejection = (cause: unknown): void => void rejections.push(cause);
  process.on("unhandledRejection", onRejection);
  try {
    const run = new SimulatedRun(topology, { ...schedule, items }, { records: chosen, expected: options.model(chosen), partitions: options.partitions ?? 2, timeline, isTraced });
    const result = await run.execute();
    // Rejections that nobody handles are told between two turns of the event loop.
    await new Promise<void>((resolve) => setImmediate(resolve));
    const unhandled = rejections.map((cause) => `a rejection was not handled: ${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}`);
    return { ...result, problems: [...result.problems, ...unhandled], trace: timeline.trace };
  } finally {
    process.off("unhandledRejection", onRejection);
  }
}

function all({ records, schedule }: Candidate): KeptParts {
  return { records: records.map((_, index) => index), items: schedule.items.map((_, index) => index) };
}

async function explain(topology: Topology, options: SimulationOptions, candidate: Candidate, from: KeptParts): Promise<SimulationFailure> {
  const fails = async (kept: KeptParts): Promise<boolean> => (await runOnce(topology, options, candidate, kept, false)).problems.length > 0;
  const only = options.shrink === false ? from : await shrink(from, fails);
  const { problems, trace } = await runOnce(topology, options, candidate, only, true);
  const { seed, mode } = candidate.schedule;
  const records = only.records.map((index) => `record ${index}: ${JSON.stringify(candidate.records[index])}`);
  const described = describeSchedule(candidate.schedule);
  return { seed, mode, problems, only, trace, schedule: [described[0] as string, ...only.items.map((index) => described[index + 1] as string), ...records] };
}

/**
 * Runs a topology through random schedules in a simulated world, and compares what comes out with a model.
 *
 * In each schedule records arrive in bunches while processes start, commit, deliver, are killed, lose power, stop, stand still and wake up as zombies, fill their
 * disks, lose requests and replies, and share tasks with others. Clock, log, disk, sinks and the order of everything follow from the seed alone, so the same
 * seed gives the same run on every machine. In the end nothing may be missing, doubled, out of order or left open: see `docs/simulator.md`.
 *
 * The first schedule that goes wrong is made smaller and reported with what replays it. Functions of the topology must be deterministic.
 *
 * Throws PLAN_INVALID.
 *
 * @example
 * const report = await simulate(topology, {
 *   inputs: (random) => Array.from({ length: 30 }, (_, n) => ({ topic: "readings", key: `d${n % 3}`, value: { id: `d${n % 3}`, value: Math.floor(random() * 9) }, timestamp: n })),
 *   model: (records) => ({ outputs: { clean: exactly(records.map(({ value }) => value)) } }),
 *   schedules: 500,
 * });
 * t.equal(report.failure, undefined);
 */
export async function simulate(topology: Topology, options: SimulationOptions): Promise<SimulationReport> {
  const { seed: firstSeed = 1, schedules = 100 } = options;
  const faults: Record<string, number> = {};
  let [records, steps, digest] = [0, 0, 0];
  for (let count = 1; count <= schedules; count++) {
    const candidate = candidateOf(topology, options, firstSeed + count - 1);
    const kept = options.only ?? all(candidate);
    const result = await runOnce(topology, options, candidate, kept, false);
    records += kept.records.length;
    steps += result.steps;
    digest = (Math.imul(digest, 31) + result.digest) | 0;
    for (const [kind, fired] of Object.entries(result.fired)) faults[kind] = (faults[kind] ?? 0) + fired;
    if (result.problems.length > 0) return { schedules: count, records, steps, faults, digest, failure: await explain(topology, options, candidate, kept) };
  }
  return { schedules, records, steps, faults, digest, failure: undefined };
}
