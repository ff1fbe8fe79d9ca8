/**
 * `npm run faults -- [--fault F3|zombie] [--seeds 3] [--first-seed 1] [--client kafkajs|platformatic] [--schedules 200] [--results FILE] [--report]`
 *
 * Stages every fault against real brokers, or with `--schedules` so many random schedules, and prints a line a run and a row a fault. `--results` keeps the runs of
 * several calls in a file; `--report` writes docs/fault-report.md from them (with `--seeds 0` from what is there already). Exit code 1 where anything was lost,
 * doubled or otherwise wrong.
 */
import { parseArgs } from "node:util";
import { type Environment, openEnvironment } from "./environment.ts";
import { faults } from "./fault/index.ts";
import type { Fault } from "./fault/fault.ts";
import { runSchedule } from "./fault/schedule.ts";
import { keepResult, readResults, type ResultLine, rowsOf, tableOf, writeReport } from "./report.ts";
import type { Client, RunResult } from "./stage.ts";

const PARALLEL_SCHEDULES = 2;

const { values } = parseArgs({
  options: {
    fault: { type: "string" }, seeds: { type: "string", default: "3" }, "first-seed": { type: "string", default: "1" }, client: { type: "string" },
    schedules: { type: "string" }, results: { type: "string" }, report: { type: "boolean", default: false },
  },
});
const firstSeed = Number(values["first-seed"]);
const seedCount = Number(values.seeds);
const results: ResultLine[] = [];

/** Both clients by turns, unless one is named. */
const clientOf = (seed: number): Client => (values.client as Client | undefined) ?? (seed % 2 === 1 ? "kafkajs" : "platformatic");

function tell(name: string, result: RunResult, startedAt: number): void {
  const { seed, client, fired, lost, doubled, problems, settledMs } = result;
  const seconds = ((Date.now() - startedAt) / 1_000).toFixed(1);
  process.stdout.write(`${problems.length === 0 ? "ok  " : "FAIL"} ${name} seed ${seed} ${client}: ${fired.length} fired, lost ${lost}, doubled ${doubled}, settled in ${settledMs} ms, ${seconds} s\n`);
  for (const problem of problems.slice(0, 8)) process.stdout.write(`       ${problem}\n`);
}

type Named = Pick<Fault, "family" | "name" | "what">;

async function attempt({ family, name, what }: Named, seed: number, work: () => Promise<RunResult>): Promise<void> {
  const startedAt = Date.now();
  let result: RunResult;
  try {
    result = await work();
  } catch (cause) {
    result = { seed, client: clientOf(seed), fired: [], lost: 0, doubled: 0, problems: [cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)], settledMs: 0, records: 0 };
  }
  if (result.fired.length === 0 && result.problems.length === 0) result = { ...result, problems: ["no fault fired"] };
  tell(`${family} ${name}`, result, startedAt);
  const line: ResultLine = { family, name, what, ...result };
  results.push(line);
  if (values.results !== undefined) keepResult(values.results, line);
}

async function runFault(environment: Environment, fault: Fault): Promise<void> {
  for (let seed = firstSeed; seed < firstSeed + seedCount; seed++) {
    environment.checks.tools = seed === firstSeed;
    await attempt(fault, seed, () => fault.run(environment, seed, clientOf(seed)));
  }
}

const SCHEDULES: Named = { family: "random", name: "schedules", what: "random schedules of kill -9, kill -9 with the disk lost, SIGSTOP/SIGCONT, join, leave and broker bounces; one in four with ClickHouse" };

async function runSchedules(environment: Environment, count: number): Promise<void> {
  let next = firstSeed;
  await Promise.all(Array.from({ length: PARALLEL_SCHEDULES }, async () => {
    for (let seed = next++; seed < firstSeed + count; seed = next++) await attempt(SCHEDULES, seed, () => runSchedule(environment, seed, clientOf(seed)));
  }));
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
  const chosen = faults.filter(({ family, name }) => values.fault === undefined || values.fault === family || values.fault === name);
  if (values.schedules !== undefined) await withEnvironment({ own: true }, (environment) => runSchedules(environment, Number(values.schedules)));
  else if (seedCount > 0) {
    for (const group of byBrokers(chosen).values()) {
      await withEnvironment(group[0]?.kafka, async (environment) => {
        for (const fault of group) await runFault(environment, fault);
      });
    }
  }
  const all = values.results === undefined ? results : readResults(values.results);
  process.stdout.write(`\n${tableOf(rowsOf(all))}\n`);
  if (values.report) writeReport(rowsOf(all));
  return all.length === 0 || results.some(({ problems }) => problems.length > 0) ? 1 : 0;
}

process.exit(await main());
