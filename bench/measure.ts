/** One measured run in a process of its own: `node bench/measure.ts SUITE COUNT`. Prints one line of JSON. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { count, type Instance, type InstanceOptions, max, min, minutes, openInstance, type ProducerRecord, type SinkConnector, sum, type Topology } from "@iot-topology/core";
import { clickhouse, clickhouseConnector } from "@iot-topology/connectors/clickhouse";
import { startEmbeddedClickHouse } from "@iot-topology/connectors/clickhouse/embedded";
import { type EmbeddedLog, openEmbeddedLog } from "@iot-topology/connectors/embedded-log";
import { nullClean, nullConnector } from "./null-sink.ts";
import { sensorData } from "./sensor-data.ts";
import { Sensor, sensorTopology } from "./topology.ts";

const SEED = 42;
const APPEND_RECORDS = 10_000;

export interface Measurement {
  readonly suite: string;
  readonly records: number;
  readonly recordsPerSecond: number;
  readonly cpuMicrosecondsPerRecord: number;
  readonly peakMemoryMb: number;
  readonly note: string;
}

// The engine at full load: a commit each 20,000 records a task, not each 100 ms, which would make it a fourth of that with four tasks.
const COMMIT_INTERVAL_MS = 1_000;

async function preload(log: EmbeddedLog, records: number): Promise<void> {
  await log.ensureTopic("sensor-raw", { partitions: 4 });
  let batch: ProducerRecord[] = [];
  for (const record of sensorData(records, SEED)) {
    batch.push(record);
    if (batch.length < APPEND_RECORDS) continue;
    await log.append("sensor-raw", batch);
    batch = [];
  }
  if (batch.length > 0) await log.append("sensor-raw", batch);
}

function peakMemoryMb(): number {
  const line = /VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"));
  return Math.round(Number(line?.[1] ?? 0) / 1_024);
}

/** From the first record to everything committed and delivered. */
async function timed(suite: string, records: number, open: () => Promise<Instance>, check: (instance: Instance) => Promise<string>): Promise<Measurement> {
  const instance = await open();
  const cpuBefore = process.cpuUsage();
  const started = performance.now();
  instance.run();
  await instance.drain();
  const seconds = (performance.now() - started) / 1_000;
  const cpu = process.cpuUsage(cpuBefore);
  const note = await check(instance);
  await instance.stop();
  return {
    suite,
    records,
    recordsPerSecond: Math.round(records / seconds),
    cpuMicrosecondsPerRecord: Number(((cpu.user + cpu.system) / records).toFixed(2)),
    peakMemoryMb: peakMemoryMb(),
    note,
  };
}

/** What any right program finds in 1,000,000 records with seed 42. */
function checkCounts(instance: Instance, records: number): string {
  const { skipped, deduplicated, written } = instance.status().counters;
  const clean = written["sensor-clean"] ?? 0;
  if (records === 1_000_000 && (skipped !== 5_028 || deduplicated !== 49_940 || clean !== 945_032)) {
    throw new Error(`wrong result: ${skipped} malformed, ${deduplicated} repeated, ${clean} clean`);
  }
  return `${clean} clean`;
}

async function engine(log: EmbeddedLog, dir: string, records: number, form: "keys" | "ranges"): Promise<Measurement> {
  const options: InstanceOptions = { log, connectors: [nullConnector()], stateDir: join(dir, "state"), commitIntervalMs: COMMIT_INTERVAL_MS };
  return timed(`engine, dedup by ${form}`, records, () => openInstance(sensorTopology(form, nullClean), options), async (instance) => checkCounts(instance, records));
}

async function delivered(log: EmbeddedLog, dir: string, records: number): Promise<Measurement> {
  const server = await startEmbeddedClickHouse({ dataDir: join(dir, "clickhouse") });
  try {
    const history = clickhouse.history("sensor_clean", Sensor, {
      orderBy: ["device_id", "event_time", "seq"],
      windows: [{ view: "sensor_1m", every: minutes(1), time: "event_time", by: ["device_id"], aggregates: { n: count(), sum: sum("value"), min: min("value"), max: max("value") } }],
    });
    const topology: Topology = sensorTopology("ranges", history);
    const connectors: SinkConnector[] = [clickhouseConnector({ url: server.url, database: "bench", embedded: true })];
    const before = serverCpuSeconds(server.pid);
    let serverCpu = 0;
    const result = await timed("engine to ClickHouse with a view", records, () => openInstance(topology, { log, connectors, stateDir: join(dir, "state"), commitIntervalMs: COMMIT_INTERVAL_MS }), async (instance) => {
      serverCpu = serverCpuSeconds(server.pid) - before;
      const answer = await fetch(server.url, { method: "POST", body: "SELECT (SELECT count() FROM bench.sensor_clean), (SELECT sum(n) FROM bench.sensor_1m) FORMAT TSV" });
      const [rows, inView] = (await answer.text()).trim().split("\t").map(Number);
      const expected = instance.status().counters.written["sensor_clean"];
      if (rows !== expected || inView !== expected) throw new Error(`wrong result: ${rows} rows, ${inView} in the view, ${expected} written`);
      return `${rows} rows and a view delivered; server ${((serverCpu * 1e6) / records).toFixed(2)} us of CPU a record`;
    });
    for (const connector of connectors) await connector.close();
    return result;
  } finally {
    await server.stop();
  }
}

/** User and system time of another process, in seconds (Linux, 100 ticks a second). */
function serverCpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** A loop without the engine: parse, cast by hand, a Map for dedup and one for windows. The ratio to it is what can be compared over machines. */
async function control(log: EmbeddedLog, records: number): Promise<Measurement> {
  const seen = new Set<string>();
  const windows = new Map<string, { n: number; sum: number }>();
  const cpuBefore = process.cpuUsage();
  const started = performance.now();
  for (let partition = 0; partition < 4; partition++) {
    for (let offset = 0; ; ) {
      const { records: batch, nextOffset, endOffset } = await log.fetch("sensor-raw", partition, offset, { recordsMax: 5_000, bytesMax: 4 << 20 });
      for (const { value } of batch) {
        try {
          const { deviceId, seq, ts, value: text } = JSON.parse(value?.toString() ?? "") as { deviceId: string; seq: number; ts: string; value: string };
          const number = Number(text);
          const name = `${deviceId}/${seq}`;
          if (Number.isNaN(number) || seen.has(name)) continue;
          seen.add(name);
          const window = `${deviceId}@${Math.floor(Date.parse(ts) / 60_000)}`;
          const known = windows.get(window);
          if (known === undefined) windows.set(window, { n: 1, sum: number });
          else {
            known.n++;
            known.sum += number;
          }
        } catch {
          // Malformed: not counted.
        }
      }
      offset = nextOffset;
      if (offset >= endOffset) break;
    }
  }
  const seconds = (performance.now() - started) / 1_000;
  const cpu = process.cpuUsage(cpuBefore);
  const recordsPerSecond = Math.round(records / seconds);
  return { suite: "control: a plain loop in memory", records, recordsPerSecond, cpuMicrosecondsPerRecord: Number(((cpu.user + cpu.system) / records).toFixed(2)), peakMemoryMb: peakMemoryMb(), note: `${seen.size} clean, nothing stored` };
}

const [suite = "keys", countText = "1000000"] = process.argv.slice(2);
const records = Number(countText);
const dir = mkdtempSync(join(tmpdir(), "iot-topology-bench-"));
try {
  const log = await openEmbeddedLog({ dir: join(dir, "log"), fsync: "never" });
  await preload(log, records);
  const result = suite === "control" ? await control(log, records) : suite === "clickhouse" ? await delivered(log, dir, records) : await engine(log, dir, records, suite === "ranges" ? "ranges" : "keys");
  await log.close();
  process.stdout.write(`${JSON.stringify(result)}\n`);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
