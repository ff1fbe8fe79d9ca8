/**
 * `npm run bench`: every suite in a process of its own, one after another, and a table. `--records N` (1,000,000 when absent), `--runs N`
 * takes the best of so many runs a suite, because another process on the machine can only slow one down, `--update` writes
 * baseline.json, `--check` fails where a suite's ratio to the control falls below 0.7 of the baseline's: ratios of one run, so machines may differ.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { Measurement } from "./measurement.ts";

const SUITES = ["control", "keys", "ranges", "clickhouse"];
const RATIO_LEAST = 0.7;
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

const { values } = parseArgs({ options: { records: { type: "string", default: "1000000" }, runs: { type: "string", default: "1" }, update: { type: "boolean", default: false }, check: { type: "boolean", default: false } } });

const dir = mkdtempSync(join(tmpdir(), "iot-topology-bench-log-"));
process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
execFileSync(process.execPath, ["--conditions=@iot-topology/source", here("./sensor-log.ts"), dir, values.records], { stdio: "inherit" });

function measure(suite: string): Measurement {
  const child = spawnSync(process.execPath, ["--conditions=@iot-topology/source", here("./measure.ts"), suite, dir, values.records], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  if (child.status !== 0) throw new Error(`suite ${suite} ended with ${child.status ?? child.signal}`);
  return JSON.parse(child.stdout.trim().split("\n").at(-1) ?? "") as Measurement;
}

const results = SUITES.map((suite) => {
  const runs = Array.from({ length: Number(values.runs) }, () => measure(suite));
  const result = runs.reduce((best, run) => (run.recordsPerSecond > best.recordsPerSecond ? run : best));
  process.stderr.write(`${result.suite}: ${result.recordsPerSecond} records/s\n`);
  return result;
});
const [control] = results;
const ratios = Object.fromEntries(results.slice(1).map((result) => [result.suite, Number((result.recordsPerSecond / (control?.recordsPerSecond ?? 1)).toFixed(3))]));

process.stdout.write(`\n${Number(values.records).toLocaleString("en")} records of 146 bytes, Node ${process.versions.node}\n\n`);
process.stdout.write("| suite | records/s | CPU a record | peak memory | ratio to the control | |\n|---|---|---|---|---|---|\n");
for (const result of results) {
  const ratio = ratios[result.suite];
  process.stdout.write(
    `| ${result.suite} | ${result.recordsPerSecond.toLocaleString("en")} | ${result.cpuMicrosecondsPerRecord} us | ${result.peakMemoryMb} MB | ${ratio === undefined ? "" : ratio.toFixed(2)} | ${result.note} |\n`,
  );
}

if (values.update) writeFileSync(here("./baseline.json"), `${JSON.stringify({ records: Number(values.records), ratios }, undefined, 2)}\n`);
if (values.check) {
  const baseline = JSON.parse(readFileSync(here("./baseline.json"), "utf8")) as { ratios: Record<string, number> };
  const slow = Object.entries(baseline.ratios).filter(([suite, ratio]) => (ratios[suite] ?? 0) < ratio * RATIO_LEAST);
  for (const [suite, ratio] of slow) process.stderr.write(`${suite}: ratio ${ratios[suite] ?? "missing"} is below ${RATIO_LEAST} of the baseline's ${ratio}\n`);
  if (slow.length > 0) process.exitCode = 1;
}
