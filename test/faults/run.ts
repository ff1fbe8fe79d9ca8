/**
 * `npm run faults -- [--fault F3|zombie] [--seeds 3] [--first-seed 1] [--client kafkajs|platformatic] [--schedules 200] [--report]`
 *
 * Stages every fault against real brokers and prints a row a run and a row a fault. Exit code 1 where anything was lost, doubled or otherwise wrong.
 */
import { parseArgs } from "node:util";
import { type Environment, openEnvironment } from "./environment.ts";
import { faults } from "./fault/index.ts";
import type { Fault } from "./fault/fault.ts";
import { runSchedule } from "./fault/schedule.ts";
import { type FaultRow, rowOf, writeReport } from "./report.ts";
import type { Client, RunResult } from "./stage.ts";

const PARALLEL_SCHEDULES = 2;

const { values } = parseArgs({
  options: {
    fault: { type: "string" }, seeds: { type: "string", default: "3" }, "first-seed": { type: "string", default: "1" }, client: { type: "string" },
    schedules: { type: "string" }, report: { type: "boolean", default: false },
  },
});
const firstSeed = Number(values["first-seed"]);
const seedCount = Number(values.seeds);

/** Both clients by turns, unless one is named. */
const clientOf = (seed: number): Client => (values.client as Client | undefined) ?? (seed % 2 === 1 ? "kafkajs" : "platformatic");

function tell(name: string, result: RunResult, startedAt: number): void {
  const { seed, client, fired, lost, doubled, problems, settledMs } = result;
  const seconds = ((Date.now() - startedAt) / 1_000).toFixed(1);
  process.stdout.write(`${problems.length === 0 ? "ok  " : "FAIL"} ${name} seed ${seed} ${client}: ${fired.length} fired, lost ${lost}, doubled ${doubled}, settled in ${settledMs} ms, ${seconds} s\n`);
  for (const problem of problems.slice(0, 8)) process.stdout.write(`       ${problem}\n`);
}

async function attempt(name: string, seed: number, work: () => Promise<RunResult>): Promise<RunResult> {
  const startedAt = Date.now();
  let result: RunResult;
  try {
    result = await work();
  } catch (cause) {
    result = { seed, client: clientOf(seed), fired: [], lost: 0, doubled: 0, problems: [cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)], settledMs: 0, records: 0 };
  }
  if (result.fired.length === 0 && result.problems.length === 0) result = { ...result, problems: ["no fault fired"] };
  tell(name, result, startedAt);
  return result;
}

async function runFault(environment: Environment, fault: Fault): Promise<FaultRow> {
  const results: RunResult[] = [];
  for (let seed = firstSeed; seed < firstSeed + seedCount; seed++) results.push(await attempt(`${fault.family} ${fault.name}`, seed, () => fault.run(environment, seed, clientOf(seed))));
  return rowOf(fault.family, fault.name, fault.what, results);
}

async function runSchedules(environment: Environment, count: number): Promise<FaultRow> {
  const results: RunResult[] = [];
  let next = firstSeed;
  await Promise.all(Array.from({ length: PARALLEL_SCHEDULES }, async () => {
    for (let seed = next++; seed < firstSeed + count; seed = next++) results.push(await attempt("schedule", seed, () => runSchedule(environment, seed, clientOf(seed))));
  }));
  return rowOf("random", "schedules", "random schedules of kill -9, kill -9 with the disk lost, SIGSTOP/SIGCONT, join, leave and broker bounces", results);
}

/** Faults that need the same brokers share them. */
function byBrokers(chosen: readonly Fault[]): Map<string, Fault[]> {
  const groups = new Map<string, Fault[]>();
  for (const fault of chosen) {
    const name = JSON.stringify(fault.kafka ?? { own: true });
    groups.set(name, [...(groups.get(name) ?? []), fault]);
  }
  return groups;
}

async function withEnvironment<T>(kafka: Fault["kafka"], work: (environment: Environment) => Promise<T>): Promise<T> {
  const environment = await openEnvironment(kafka ?? { own: true });
  if (environment === undefined) process.exit(0); // It has said what is missing.
  try {
    return await work(environment);
  } finally {
    await environment.close();
  }
}

async function main(): Promise<number> {
  const rows: FaultRow[] = [];
  const chosen = faults.filter(({ family, name }) => values.fault === undefined || values.fault === family || values.fault === name);
  if (values.schedules === undefined || values.fault !== undefined) {
    for (const group of byBrokers(chosen).values()) {
      await withEnvironment(group[0]?.kafka, async (environment) => {
        for (const fault of group) rows.push(await runFault(environment, fault));
      });
    }
  }
  if (values.schedules !== undefined) rows.push(await withEnvironment({ own: true }, (environment) => runSchedules(environment, Number(values.schedules))));
  writeReport(rows, { write: values.report });
  return rows.some(({ failed }) => failed > 0) || rows.length === 0 ? 1 : 0;
}

process.exit(await main());
