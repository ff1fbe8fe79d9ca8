/**
 * `npm run bench`: every suite in a process of its own, one after another, and a table.
 *
 *     --records N     1,000,000 when absent
 *     --runs N        rounds of all suites; the medians are told, of ratios to the control of the same round: 1 when absent
 *     --suites A,B    of control, ranges, keys, clickhouse, join, session, ranges-threads-2, keys-threads-2, restart
 *     --one-core      on one core (Linux, taskset), ClickHouse aside
 *     --update        writes baseline.json
 *     --check         fails where a suite's ratio to the control falls below 0.7 of the baseline's, in CPU or in records a second
 *
 * A ratio in CPU is the control's CPU a record over the suite's, one in speed the suite's records a second over the control's: both are of one round, so machines and what else
 * they do may differ. CPU is all of the process: LevelDB's threads, the collector's and the compiler's too.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { Measurement } from "./measurement.ts";

const SUITES = ["ranges", "keys", "clickhouse", "join", "session", "ranges-threads-2", "keys-threads-2", "restart"];
const RATIO_LEAST = 0.7;
// Records die young: with 24 MB of room for them instead of 96 a process takes 80 MB less, at the same CPU.
const NODE = ["--max-semi-space-size=8", "--conditions=@iot-topology/source"];
// And glibc keeps freed memory for each thread apart: two such places instead of sixteen take 30 to 60 MB less. The image's Dockerfile sets both as well.
const ENV: NodeJS.ProcessEnv = { ...process.env, MALLOC_ARENA_MAX: "2" };
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

const { values } = parseArgs({
  options: {
    "records": { type: "string", default: "1000000" },
    "runs": { type: "string", default: "1" },
    "suites": { type: "string", default: SUITES.join(",") },
    "one-core": { type: "boolean", default: false },
    "update": { type: "boolean", default: false },
    "check": { type: "boolean", default: false },
  },
});
const dir = mkdtempSync(join(tmpdir(), "iot-topology-bench-log-"));
process.on("exit", () => rmSync(dir, { recursive: true, force: true }));

/** A suite's figures in one round. */
interface Round {
  readonly measurement: Measurement;
  readonly cpuRatio: number;
  readonly speedRatio: number;
}

interface Baseline {
  readonly records: number;
  readonly cpu: Readonly<Record<string, number>>;
  readonly speed: Readonly<Record<string, number>>;
}

function measure(suite: string): Measurement {
  const pinned = values["one-core"] && suite !== "clickhouse" ? ["taskset", "-c", String(cpus().length - 1), process.execPath] : [process.execPath];
  const [program = process.execPath, ...first] = pinned;
  const child = spawnSync(program, [...first, ...NODE, here("./measure.ts"), suite, dir, values.records], { encoding: "utf8", env: ENV, stdio: ["ignore", "pipe", "inherit"] });
  if (child.status !== 0) throw new Error(`suite ${suite} ended with ${child.status ?? child.signal}`);
  const result = JSON.parse(child.stdout.trim().split("\n").at(-1) ?? "") as Measurement;
  process.stderr.write(`${result.suite}: ${result.recordsPerSecond} records/s, ${result.cpuMicrosecondsPerRecord} us of CPU a record\n`);
  return result;
}

/** The time from a new process's start to its first new record, on the state that a killed one left. */
async function restart(): Promise<string> {
  const work = mkdtempSync(join(tmpdir(), "iot-topology-bench-restart-"));
  try {
    const [log, state] = [join(work, "log"), join(work, "state")];
    cpSync(dir, log, { recursive: true });
    const filling = spawn(process.execPath, [...NODE, here("./restart.ts"), "fill", log, state], { env: ENV, stdio: ["ignore", "pipe", "inherit"] });
    await once(filling.stdout, "data");
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    filling.kill("SIGKILL");
    await once(filling, "exit");
    const { millisecondsToFirst, keys } = JSON.parse(execFileSync(process.execPath, [...NODE, here("./restart.ts"), "first", log, state], { encoding: "utf8", env: ENV })) as { millisecondsToFirst: number; keys: number };
    return `${(millisecondsToFirst / 1_000).toFixed(2)} s from a process's start to its first new record, on ${keys.toLocaleString("en")} keys after kill -9`;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] as number;
}

const rounded = (value: number): number => Number(value.toFixed(3));

function table(rounds: ReadonlyMap<string, readonly Round[]>): string {
  const lines = [...rounds.values()].map((all) => {
    const of = (pick: (round: Round) => number): number => median(all.map(pick));
    const { suite, note } = (all[0] as Round).measurement;
    const speed = Math.round(of(({ measurement }) => measurement.recordsPerSecond)).toLocaleString("en");
    const cpu = of(({ measurement }) => measurement.cpuMicrosecondsPerRecord).toFixed(1);
    const memory = Math.max(...all.map(({ measurement }) => measurement.peakMemoryMb));
    return `| ${suite} | ${speed} | ${cpu} us | ${memory} MB | ${of(({ cpuRatio }) => 1 / cpuRatio).toFixed(2)} x | ${note} |\n`;
  });
  return `| suite | records/s | CPU a record | peak memory | CPU to the control's | |\n|---|---|---|---|---|---|\n${lines.join("")}`;
}

function check(found: Baseline): void {
  const baseline = JSON.parse(readFileSync(here("./baseline.json"), "utf8")) as Baseline;
  for (const kind of ["cpu", "speed"] as const) {
    for (const [suite, ratio] of Object.entries(baseline[kind])) {
      const now = found[kind][suite];
      if (now === undefined || now >= ratio * RATIO_LEAST) continue;
      process.stderr.write(`${suite}: its ${kind} ratio to the control is ${now}, below ${RATIO_LEAST} of the baseline's ${ratio}\n`);
      process.exitCode = 1;
    }
  }
}

execFileSync(process.execPath, [...NODE, here("./sensor-log.ts"), dir, values.records], { stdio: "inherit" });
const suites = values.suites.split(",").filter((suite) => suite !== "control");
const rounds = new Map<string, Round[]>();
for (let run = 0; run < Number(values.runs); run++) {
  const control = measure("control");
  for (const suite of ["control", ...suites.filter((name) => name !== "restart")]) {
    const measurement = suite === "control" ? control : measure(suite);
    const round = { measurement, cpuRatio: control.cpuMicrosecondsPerRecord / measurement.cpuMicrosecondsPerRecord, speedRatio: measurement.recordsPerSecond / control.recordsPerSecond };
    rounds.set(suite, [...(rounds.get(suite) ?? []), round]);
  }
}
process.stdout.write(`\n${Number(values.records).toLocaleString("en")} records of 146 bytes, ${values.runs} rounds, Node ${process.versions.node}, ${values["one-core"] ? "one core of" : ""} ${cpus().length} cores, load ${loadavg()[0]?.toFixed(1)}\n\n`);
process.stdout.write(table(rounds));
if (suites.includes("restart")) process.stdout.write(`\n${await restart()}\n`);

const entries = [...rounds].filter(([suite]) => suite !== "control");
const found: Baseline = {
  records: Number(values.records),
  cpu: Object.fromEntries(entries.map(([suite, all]) => [suite, rounded(median(all.map(({ cpuRatio }) => cpuRatio)))])),
  speed: Object.fromEntries(entries.map(([suite, all]) => [suite, rounded(median(all.map(({ speedRatio }) => speedRatio)))])),
};
if (values.update) writeFileSync(here("./baseline.json"), `${JSON.stringify(found, undefined, 2)}\n`);
if (values.check) check(found);
