/**
 * `npm run simulate -- [--seed 1] [--schedules 1000] [--topology plant] [--mode local|replicated] [--jobs 2] [--trace FILE] [--records 1,5 --items 0,3]`
 * `npm run simulate -- --mutants [--mutant NAME] [--schedules 1500] [--jobs 2] [--report]`
 *
 * Runs random schedules of each topology and prints the first that goes wrong, made smaller, with the command that replays it. With `--mutants` it plants bugs in the
 * engine, one at a time, and prints after how many schedules each was found;
 * `--report` writes that into docs/simulator.md. Exit code 1 where a schedule went wrong, or a planted bug was not found.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { hunt } from "./hunt.ts";
import { mutants } from "./mutants.ts";
import { writeReport } from "./report.ts";
import { inParallel, type SimulationOutcome, simulateAll } from "./simulate-all.ts";
import { topologies } from "./topologies.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" }, schedules: { type: "string" }, topology: { type: "string" }, mode: { type: "string" }, jobs: { type: "string" },
    trace: { type: "string" }, records: { type: "string" }, items: { type: "string" }, json: { type: "boolean", default: false }, mutants: { type: "boolean", default: false }, mutant: { type: "string" }, report: { type: "boolean", default: false },
  },
});

function refuse(problem: string): never {
  process.stderr.write(`simulate: ${problem}\n`);
  process.exit(2);
}

function wholeNumber(name: string, text: string): number {
  const number = Number(text);
  return Number.isSafeInteger(number) && number >= 1 ? number : refuse(`--${name} is a whole number from 1, not "${text}"`);
}

const numbers = (text: string | undefined): number[] => (text ?? "").split(",").filter((part) => part !== "").map(Number);

const seed = wholeNumber("seed", values.seed);
const chosen = values.topology === undefined ? topologies : topologies.filter(({ name }) => name === values.topology);
if (chosen.length === 0) refuse(`there is no topology "${values.topology}". There are: ${topologies.map(({ name }) => name).join(", ")}`);
if (values.mode !== undefined && values.mode !== "local" && values.mode !== "replicated") refuse(`--mode is local or replicated, not "${values.mode}"`);
const mode = values.mode;

function tell({ failure, ...found }: SimulationOutcome, seconds: number): void {
  const faults = Object.entries(found.faults).sort(([a], [b]) => (a < b ? -1 : 1)).map(([kind, count]) => `${count} ${kind}`);
  process.stdout.write(`${found.schedules} schedules, ${found.records} records, ${found.steps} events, ${seconds.toFixed(1)} s\nfaults: ${faults.join(", ")}\n`);
  if (failure === undefined) return;
  const { problems, schedule, only, trace } = failure;
  process.stdout.write(`\nFAILED: topology ${failure.topology}, seed ${failure.seed}, ${failure.mode}\n${problems.slice(0, 10).map((problem) => `  ${problem}`).join("\n")}\nwhat is left of the schedule:\n${schedule.map((line) => `  ${line}`).join("\n")}\n`);
  process.stdout.write(`replay: npm run simulate -- --topology ${failure.topology} --mode ${failure.mode} --seed ${failure.seed} --schedules 1 --records ${only.records.join(",")} --items ${only.items.join(",")} --trace trace.txt\n`);
  if (values.trace !== undefined) writeFileSync(values.trace, `${trace.join("\n")}\n`);
}

async function main(): Promise<boolean> {
  const startedAt = performance.now();
  if (values.mutants || values.mutant !== undefined) {
    const hunted = values.mutant === undefined ? mutants : mutants.filter(({ name }) => name === values.mutant);
    if (hunted.length === 0) refuse(`there is no mutant "${values.mutant}". There are: ${mutants.map(({ name }) => name).join(", ")}`);
    return hunt(hunted, { schedules: wholeNumber("schedules", values.schedules ?? "1500"), jobs: wholeNumber("jobs", values.jobs ?? "2"), seed, tell: (line) => void process.stdout.write(`${line}\n`), ...(values.report ? { report: writeReport } : {}) });
  }
  const schedules = wholeNumber("schedules", values.schedules ?? "1000");
  const jobs = Math.min(wholeNumber("jobs", values.jobs ?? "1"), schedules);
  const only = values.records === undefined && values.items === undefined ? undefined : { records: numbers(values.records), items: numbers(values.items) };
  const found = jobs > 1 ? await inParallel({ seed, schedules, jobs, topology: values.topology, mode }) : await simulateAll(chosen, { seed, schedules, mode, only, shrink: only === undefined && process.env["SIMULATED_MUTANT"] === undefined });
  if (values.json) process.stdout.write(`${JSON.stringify(found)}\n`);
  else tell(found, (performance.now() - startedAt) / 1_000);
  return found.failure === undefined;
}

process.exitCode = (await main()) ? 0 : 1;
