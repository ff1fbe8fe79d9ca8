/** One measured run in a process of its own: `node bench/measure.ts SUITE LOG_DIR RECORDS`. Prints one line of JSON. */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { count, type Instance, type InstanceOptions, max, min, minutes, openInstance, type SinkConnector, sum, type Topology } from "@iot-topology/core";
import { clickhouse, clickhouseConnector } from "@iot-topology/connectors/clickhouse";
import { startEmbeddedClickHouse } from "@iot-topology/connectors/clickhouse/embedded";
import { type EmbeddedLog, openEmbeddedLog } from "@iot-topology/connectors/embedded-log";
import { plainLoop } from "./control.ts";
import { cpuSecondsOf, type Measurement, timed } from "./measurement.ts";
import { nullClean, nullConnector } from "./null-sink.ts";
import { joinTopology, sessionTopology } from "./language-topology.ts";
import { Sensor, sensorTopology } from "./topology.ts";

// The engine at full load: a commit each 40,000 records a task, not each 100 ms, which would make it a fourth of that with four tasks.
const COMMIT_INTERVAL_MS = 1_000;

const [suite = "keys", logDir = "", countText = "1000000"] = process.argv.slice(2);
const records = Number(countText);

/** What any right program finds in 1,000,000 records with seed 42. */
function checkCounts(instance: Instance): string {
  const { skipped, deduplicated, written } = instance.status().counters;
  const clean = written["sensor-clean"] ?? 0;
  if (records === 1_000_000 && (skipped !== 5_028 || deduplicated !== 49_940 || clean !== 945_032)) {
    throw new Error(`wrong result: ${skipped} malformed, ${deduplicated} repeated, ${clean} clean`);
  }
  return `${clean} clean`;
}

function writtenBy(instance: Instance, target: string): string {
  const { read, written } = instance.status().counters;
  if (read !== records || (written[target] ?? 0) < records / 10) throw new Error(`wrong result: ${read} read, ${written[target] ?? 0} written`);
  return `${written[target]} results`;
}

/** From the first record to everything committed and delivered. */
async function engine(name: string, topology: Topology, options: InstanceOptions, check: (instance: Instance) => Promise<string>): Promise<Measurement> {
  const instance = await openInstance(topology, options);
  const work = async (): Promise<void> => {
    instance.run();
    await instance.drain();
  };
  const result = await timed(name, records, work, () => check(instance));
  await instance.stop();
  return result;
}

async function delivered(log: EmbeddedLog, dir: string): Promise<Measurement> {
  const server = await startEmbeddedClickHouse({ dataDir: join(dir, "clickhouse") });
  const connector: SinkConnector = clickhouseConnector({ url: server.url, database: "bench", embedded: true });
  try {
    const history = clickhouse.history("sensor_clean", Sensor, {
      orderBy: ["device_id", "event_time", "seq"],
      windows: [{ view: "sensor_1m", every: minutes(1), time: "event_time", by: ["device_id"], aggregates: { n: count(), sum: sum("value"), min: min("value"), max: max("value") } }],
    });
    const before = cpuSecondsOf(server.pid);
    return await engine("engine to ClickHouse with a view", sensorTopology("ranges", history), { log, connectors: [connector], stateDir: join(dir, "state"), commitIntervalMs: COMMIT_INTERVAL_MS }, async (instance) => {
      const serverCpu = cpuSecondsOf(server.pid) - before;
      const answer = await fetch(server.url, { method: "POST", body: "SELECT (SELECT count() FROM bench.sensor_clean), (SELECT sum(n) FROM bench.sensor_1m) FORMAT TSV" });
      const [rows, inView] = (await answer.text()).trim().split("\t").map(Number);
      const expected = instance.status().counters.written["sensor_clean"];
      if (rows !== expected || inView !== expected) throw new Error(`wrong result: ${rows} rows, ${inView} in the view, ${expected} written`);
      return `${rows} rows and a view delivered; server ${((serverCpu * 1e6) / records).toFixed(2)} us of CPU a record`;
    });
  } finally {
    await connector.close();
    await server.stop();
  }
}

async function control(log: EmbeddedLog): Promise<Measurement> {
  let clean = 0;
  const work = async (): Promise<void> => {
    clean = await plainLoop(log);
  };
  return timed("control: a plain loop in memory", records, work, () => Promise.resolve(`${clean} clean, nothing stored`));
}

async function run(log: EmbeddedLog, dir: string): Promise<Measurement> {
  if (suite === "control") return control(log);
  if (suite === "clickhouse") return delivered(log, dir);
  const plain: InstanceOptions = { log, connectors: [nullConnector()], stateDir: join(dir, "state"), commitIntervalMs: COMMIT_INTERVAL_MS };
  if (suite === "join") return engine("join of two streams within 5 s", joinTopology, plain, (instance) => Promise.resolve(writtenBy(instance, "pairs")));
  if (suite === "session") return engine("session windows of 10 s, each change sent", sessionTopology, plain, (instance) => Promise.resolve(writtenBy(instance, "sessions")));
  const [form = "", threads = "1"] = suite.split("-threads-");
  if (form !== "keys" && form !== "ranges") throw new Error(`there is no suite ${suite}`);
  const spread = threads === "1" ? {} : { threads: { count: Number(threads), module: new URL("./thread-topology.ts", import.meta.url), data: form } };
  const options: InstanceOptions = { ...plain, ...spread };
  return engine(`engine, dedup by ${form}${threads === "1" ? "" : `, ${threads} threads`}`, sensorTopology(form, nullClean), options, (instance) => Promise.resolve(checkCounts(instance)));
}

const dir = mkdtempSync(join(tmpdir(), "iot-topology-bench-"));
try {
  // A copy, so that what one run writes into the log is not there in the next.
  cpSync(logDir, join(dir, "log"), { recursive: true });
  const log = await openEmbeddedLog({ dir: join(dir, "log"), fsync: "never" });
  const result = await run(log, dir);
  await log.close();
  process.stdout.write(`${JSON.stringify(result)}\n`);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
