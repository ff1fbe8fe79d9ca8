/**
 * `npm run bench:peers`: our engine beside Kafka Streams, in one run on one broker: 1,000,000 records preloaded once, exactly once, a commit each 100 ms.
 *
 *     --records N      1,000,000 when absent
 *     --runs N         measured runs of each, alternating; 2 when absent
 *     --seconds N      of the latency run; 30 when absent
 *     --client NAME    kafkajs, platformatic or both (when absent)
 *     --form NAME      dedup by `keys` (as the peer does), by `ranges` of sequence numbers, or both (when absent)
 *     --processes N,N  how many of ours share the work; 1,2 when absent
 *     --only STAGES    of throughput, latency, restart
 *     --skip-peer      ours alone
 *     --skip-ours      the peer alone
 *     --update         writes the tables into docs/peers.md
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startCluster } from "../../test/kafka/cluster.ts";
import { kafkaDistribution } from "../../test/kafka/distribution.ts";
import { sensorData } from "../sensor-data.ts";
import { type Contender, type DedupForm, type Job, kafkaStreams, type OurClient, ours } from "./contender.ts";
import { expectedOutputs, SEED } from "./expected.ts";
import { buildPeer } from "./peer-build.ts";
import { createTopics, type Lab, type Latency, measureLatency, measureRestart, measureThroughput, meter, removeState, type Restart, type Throughput } from "./stage.ts";
import { latencyTable, restartTable, throughputTable } from "./table.ts";

const RAW = "sensor-raw";
const RATE = 5_000;
const WARMUP_SECONDS = 20;

const { values } = parseArgs({
  options: {
    "records": { type: "string", default: "1000000" },
    "runs": { type: "string", default: "2" },
    "seconds": { type: "string", default: "30" },
    "client": { type: "string", default: "both" },
    "form": { type: "string", default: "both" },
    "processes": { type: "string", default: "1,2" },
    "only": { type: "string", default: "throughput,latency,restart" },
    "skip-peer": { type: "boolean", default: false },
    "skip-ours": { type: "boolean", default: false },
    "update": { type: "boolean", default: false },
  },
});
const records = Number(values.records);
const stages = values.only.split(",");
const clients: OurClient[] = values.client === "both" ? ["platformatic", "kafkajs"] : [values.client as OurClient];
const forms: DedupForm[] = values.form === "both" ? ["keys", "ranges"] : [values.form as DedupForm];
const processes = values.processes.split(",").map(Number);
const say = (text: string): void => void process.stderr.write(`${text}\n`);

async function preload(lab: Lab): Promise<void> {
  await createTopics(lab, 4, [RAW]);
  const lines = function* (): Generator<string> {
    let chunk = "";
    for (const { timestamp, key, value } of sensorData(records, SEED)) {
      chunk += `${timestamp}\t${key}\t${value}\n`;
      if (chunk.length < 1 << 16) continue;
      yield chunk;
      chunk = "";
    }
    yield chunk;
  };
  const child = meter(lab, "preload", [RAW], Readable.from(lines()));
  const count = await child.line("PRELOADED", 300_000);
  if (Number(count) !== records) throw new Error(`${count} records preloaded, not ${records}`);
  await child.end();
}

/** The runs alternate, so that what else the machine does meets all alike. The last job of each is kept for the restart. */
async function throughput(lab: Lab, contenders: readonly Contender[], kept: Map<string, Job>): Promise<Throughput[]> {
  const expected = expectedOutputs(records);
  say(`expected: ${expected.malformed} malformed, ${expected.repeated} repeated, ${expected.clean} clean`);
  const { malformed: _, repeated: __, ...outputs } = expected;
  const results: Throughput[] = [];
  for (let run = 0; run < Number(values.runs); run++) {
    for (const contender of contenders) {
      const { result, job } = await measureThroughput(lab, contender, RAW, records, outputs);
      say(`${result.contender}: ${Math.round(result.recordsPerSecond)} records/s, ${result.cpuMicrosecondsPerRecord.toFixed(1)} us, ${result.peakMemoryMb} MB, broker ${result.brokerCpuMicrosecondsPerRecord.toFixed(1)} us`);
      results.push(result);
      const former = kept.get(contender.name);
      if (former !== undefined) removeState(former);
      kept.set(contender.name, job);
    }
  }
  return results;
}

async function measure(lab: Lab): Promise<string> {
  const peer = values["skip-peer"] ? [] : [kafkaStreams(lab.build)];
  const singles = [...peer, ...(values["skip-ours"] ? [] : forms.flatMap((form) => clients.map((client) => ours(client, form, 1))))];
  const shared = values["skip-ours"] ? [] : processes.filter((each) => each > 1).flatMap((each) => clients.map((client) => ours(client, forms[0] ?? "keys", each)));
  const steady = [...peer, ...(values["skip-ours"] ? [] : clients.map((client) => ours(client, forms[0] ?? "keys", 1)))]; // latency and restart do not hang on the form
  const kept = new Map<string, Job>();
  const tables: string[] = [];
  if (stages.includes("throughput") || stages.includes("restart")) {
    await preload(lab);
    say(`${records} records preloaded`);
    const results = await throughput(lab, stages.includes("throughput") ? [...singles, ...shared] : steady, kept);
    tables.push(throughputTable(results));
  }
  if (stages.includes("latency")) {
    const results: Latency[] = [];
    for (const contender of steady) results.push(await measureLatency(lab, contender, { rate: RATE, seconds: Number(values.seconds), warmupSeconds: WARMUP_SECONDS }));
    tables.push(latencyTable(results));
  }
  if (stages.includes("restart")) {
    const results: Restart[] = [];
    for (const contender of steady) {
      const job = kept.get(contender.name);
      if (job !== undefined) results.push(await measureRestart(lab, contender, job));
    }
    tables.push(restartTable(results));
  }
  return tables.join("\n");
}

const distribution = await kafkaDistribution();
if ("missing" in distribution) throw new Error(`the peers need ${distribution.missing}`);
const build = await buildPeer();
const cluster = await startCluster(distribution, { heapMb: 1_024, jit: "full", extra: { "log.segment.bytes": String(512 << 20) } });
const dir = mkdtempSync(join(tmpdir(), "iot-topology-peers-"));
process.once("SIGINT", () => process.exit(130));
process.once("SIGTERM", () => process.exit(143));
process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
try {
  const tables = await measure({ build, brokers: cluster.brokers[0] ?? "", brokerPid: cluster.nodes[0]?.pid ?? 0, dir });
  const head = `${records.toLocaleString("en")} records, ${values.runs} runs each, exactly once, commit interval 100 ms, one broker (Kafka 4.3.1) on the same machine: ${cpus().length} cores, Node ${process.versions.node}.\n`;
  process.stdout.write(`\n${head}\n${tables}`);
  if (values.update) {
    const path = fileURLToPath(new URL("../../docs/peers.md", import.meta.url));
    const text = readFileSync(path, "utf8");
    writeFileSync(path, text.replace(/(<!-- bench:peers -->\n)[^]*?(<!-- \/bench:peers -->)/, (_, open: string, close: string) => `${open}\n${head}\n${tables}\n${close}`));
  }
} finally {
  await cluster.close();
}
