/**
 * Dedup by keys over a long input, watched as it goes: what a record costs as the distinct keys grow from a million to ten and more, and what memory does. `node bench/growth.ts LOG_DIR RECORDS`
 * works on the log itself and prints a line a million records, then JSON.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openInstance } from "@iot-topology/core";
import { openEmbeddedLog } from "@iot-topology/connectors/embedded-log";
import { nullClean, nullConnector } from "./null-sink.ts";
import { sensorTopology } from "./topology.ts";

const SAMPLE_MS = 200;
const MILLION = 1_000_000;

interface Sample {
  readonly read: number;
  readonly cpuMicroseconds: number;
  readonly residentMb: number;
  readonly anonymousMb: number;
}

function megabytes(field: string): number {
  const line = new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync("/proc/self/status", "utf8"));
  return Math.round(Number(line?.[1] ?? 0) / 1_024);
}

const [logDir = "", countText = String(10 * MILLION), form = "keys"] = process.argv.slice(2);
const records = Number(countText);
const dir = mkdtempSync(join(tmpdir(), "iot-topology-growth-"));
try {
  const log = await openEmbeddedLog({ dir: logDir, fsync: "never" });
  const names = { topology: `growth-${process.pid}`, raw: "sensor-raw", clean: "sensor-clean", minute: `sensor-1m-${process.pid}` };
  const instance = await openInstance(sensorTopology(form === "ranges" ? "ranges" : "keys", nullClean, names), { log, connectors: [nullConnector()], stateDir: join(dir, "state"), commitIntervalMs: 1_000 });
  const samples: Sample[] = [];
  const begin = process.cpuUsage();
  const sample = (): void => {
    const { user, system } = process.cpuUsage(begin);
    samples.push({ read: instance.status().counters.read, cpuMicroseconds: user + system, residentMb: megabytes("VmRSS"), anonymousMb: megabytes("RssAnon") });
  };
  let told = 0;
  const started = performance.now();
  const timer = setInterval(() => {
    sample();
    const last = samples.at(-1) as Sample;
    if (last.read < told + MILLION) return;
    told = Math.floor(last.read / MILLION) * MILLION;
    process.stderr.write(`${last.read} records, ${(last.cpuMicroseconds / last.read).toFixed(2)} us of CPU each, ${last.residentMb} MB resident, ${last.anonymousMb} MB of it anonymous\n`);
  }, SAMPLE_MS);
  instance.run();
  await instance.drain();
  clearInterval(timer);
  sample();
  const seconds = (performance.now() - started) / 1_000;
  const costUpTo = (count: number): number => {
    const at = samples.find(({ read }) => read >= count) ?? samples.at(-1);
    return at === undefined ? 0 : Number((at.cpuMicroseconds / at.read).toFixed(2));
  };
  const peak = (from: number, to: number, field: "residentMb" | "anonymousMb"): number => Math.max(...samples.filter(({ read }) => read >= from && read <= to).map((each) => each[field]));
  const { skipped, deduplicated, written } = instance.status().counters;
  if (skipped + deduplicated + (written["sensor-clean"] ?? 0) !== records) throw new Error("the records do not add up");
  const result = {
    records,
    recordsPerSecond: Math.round(records / seconds),
    cpuMicrosecondsPerRecord: { toOneMillion: costUpTo(MILLION), toTenMillion: costUpTo(10 * MILLION), toTheEnd: costUpTo(records) },
    residentMb: { firstHalf: peak(0, records / 2, "residentMb"), secondHalf: peak(records / 2, records, "residentMb") },
    anonymousMb: { firstHalf: peak(0, records / 2, "anonymousMb"), secondHalf: peak(records / 2, records, "anonymousMb") },
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  await instance.stop();
  await log.close();
} finally {
  rmSync(dir, { recursive: true, force: true });
}
