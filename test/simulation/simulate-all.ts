import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type KeptParts, simulate, type SimulationFailure, type SimulationMode, type SimulationReport } from "@iot-topology/core/testing";
import type { SimulatedTopology } from "./simulated-topology.ts";

/** What the schedules of several topologies found. */
export interface SimulationOutcome extends Omit<SimulationReport, "failure"> {
  readonly failure: (SimulationFailure & { readonly topology: string }) | undefined;
}

/** Which schedules. */
export interface SimulationRange {
  readonly seed: number;
  readonly schedules: number;
  readonly mode: SimulationMode | undefined;
  readonly only?: KeptParts | undefined;
  readonly shrink?: boolean;
}

const EMPTY: SimulationOutcome = { schedules: 0, records: 0, steps: 0, faults: {}, digest: 0, failure: undefined };
const TRACE_LINES_KEPT = 5_000;

function joined(a: SimulationOutcome, b: SimulationOutcome): SimulationOutcome {
  const faults: Record<string, number> = { ...a.faults };
  for (const [kind, count] of Object.entries(b.faults)) faults[kind] = (faults[kind] ?? 0) + count;
  return { schedules: a.schedules + b.schedules, records: a.records + b.records, steps: a.steps + b.steps, faults, digest: (Math.imul(a.digest, 31) + b.digest) | 0, failure: a.failure ?? b.failure };
}

const CHUNK = 4;

/** Shares the schedules among the topologies, a few of each by turns. Ends with the first that goes wrong. */
export async function simulateAll(topologies: readonly SimulatedTopology[], { seed, schedules, mode, only, shrink = true }: SimulationRange): Promise<SimulationOutcome> {
  let all = EMPTY;
  for (let done = 0, turn = 0; done < schedules && all.failure === undefined; turn++) {
    const { name, topology, ...options } = topologies[turn % topologies.length] as SimulatedTopology;
    const count = Math.min(CHUNK, schedules - done);
    const { failure, ...report } = await simulate(topology, { ...options, seed: seed + done, schedules: count, shrink, ...(mode === undefined ? {} : { modes: [mode] }), ...(only === undefined ? {} : { only }) });
    all = joined(all, { ...report, failure: failure === undefined ? undefined : { ...failure, trace: failure.trace.slice(-TRACE_LINES_KEPT), topology: name } });
    done += count;
  }
  return all;
}

/** Runs `main.ts` in a process of its own and reads what it found. */
export function simulateApart(args: readonly string[], options: { readonly mutant?: string } = {}): Promise<SimulationOutcome> {
  const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
  const child = spawn(process.execPath, ["--conditions=@iot-topology/source", ...(options.mutant === undefined ? [] : ["--import", new URL("mutation.ts", import.meta.url).href]), file("main.ts"), "--json", ...args], {
    env: { ...process.env, ...(options.mutant === undefined ? {} : { SIMULATED_MUTANT: options.mutant }) }, stdio: ["ignore", "pipe", "pipe"],
  });
  let [out, errors] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", () => {
      const last = out.trim().split("\n").at(-1) ?? "";
      if (errors.includes("mutant ") || !last.startsWith("{")) reject(new Error(`a simulation ended without a result: ${errors.slice(-2_000)}`));
      else resolve(JSON.parse(last) as SimulationOutcome);
    });
  });
}

/** The same in several processes at once. */
export async function inParallel({ seed, schedules, jobs, topology, mode }: { readonly seed: number; readonly schedules: number; readonly jobs: number; readonly topology: string | undefined; readonly mode: SimulationMode | undefined }): Promise<SimulationOutcome> {
  const share = Math.ceil(schedules / jobs);
  const ranges = Array.from({ length: jobs }, (_, job) => ({ seed: seed + job * share, count: Math.min(share, schedules - job * share) })).filter(({ count }) => count > 0);
  const args = [...(topology === undefined ? [] : ["--topology", topology]), ...(mode === undefined ? [] : ["--mode", mode])];
  const outcomes = await Promise.all(ranges.map((range) => simulateApart(["--seed", String(range.seed), "--schedules", String(range.count), ...args])));
  return outcomes.reduce(joined, EMPTY);
}
