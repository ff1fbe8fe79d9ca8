/**
 * An instance of the topology under fault, as a process that can be killed: `node worker.ts SETUP`. It answers to `status` and `stop` on standard input in
 * lines of JSON, logs on standard error, and ends when its parent has gone.
 */
import { clickhouseConnector } from "@iot-topology/connectors/clickhouse";
import { openKafkaLog } from "@iot-topology/connectors/kafka";
import { armFailpoints, type Logger, openInstance, TopologyError } from "@iot-topology/core";
import { createInterface } from "node:readline";
import { faultTopology, PARTITIONS, type Variant } from "./topology.ts";

/** What a worker is told at its start. */
export interface WorkerSetup {
  readonly name: string;
  readonly variant: Variant;
  readonly brokers: readonly string[];
  readonly client: "kafkajs" | "platformatic";
  readonly stateDir: string;
  readonly clickhouse?: { readonly url: string; readonly database: string };
  readonly sessionTimeoutMs: number;
  readonly commitRecordsMax: number;
  readonly commitIntervalMs: number;
  readonly standbyReplicas: number;
  readonly hangingTransactionMs: number;
}

/** What a worker says. */
export type WorkerWord =
  | { readonly type: "running" | "stopped" }
  | { readonly type: "status"; readonly status: Awaited<ReturnType<typeof openInstance>>["status"] extends () => infer S ? S : never }
  | { readonly type: "failed" | "unhandled"; readonly code: string; readonly message: string };

const say = (word: WorkerWord): void => void process.stdout.write(`${JSON.stringify(word)}\n`);
const codeOf = (cause: unknown): string => (cause instanceof TopologyError ? cause.code : "NONE");

for (const event of ["unhandledRejection", "uncaughtException"] as const) {
  process.on(event, (cause: unknown) => {
    say({ type: "unhandled", code: codeOf(cause), message: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause) });
    process.exitCode = 1;
  });
}

// Without its parent it is nobody's.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => process.exit(1));

const stderrLogger: Logger = Object.fromEntries(
  ["debug", "info", "warn", "error"].map((level) => [level, (fields: object, message: string) => void process.stderr.write(`${new Date().toISOString()} ${level} ${message} ${JSON.stringify(fields)}\n`)]),
) as unknown as Logger;

async function main(): Promise<void> {
  const setup = JSON.parse(process.argv[2] ?? "{}") as WorkerSetup;
  armFailpoints(process.env["IOT_TOPOLOGY_FAILPOINT"] ?? "");
  const { name, variant, brokers, client, stateDir, clickhouse, sessionTimeoutMs, commitRecordsMax, commitIntervalMs, standbyReplicas, hangingTransactionMs } = setup;
  const log = await openKafkaLog({ brokers, client, clientId: name, logger: stderrLogger, fetchWaitMs: 100 });
  const connectors = clickhouse === undefined ? [] : [clickhouseConnector({ ...clickhouse, embedded: true })];
  const instance = await openInstance(faultTopology(name, variant), {
    log, connectors, stateDir, logger: stderrLogger, createTopics: true, partitions: PARTITIONS, sessionTimeoutMs, commitRecordsMax, commitIntervalMs, standbyReplicas, hangingTransactionMs,
    changelogSweepBytesMin: 20_000,
  });
  instance.run();
  say({ type: "running" });
  void instance.failed.then((error) => say({ type: "failed", code: error.code, message: error.message }));
  const lines = createInterface({ input: process.stdin });
  let isAsked = false;
  for await (const line of lines) {
    if (line === "status") say({ type: "status", status: instance.status() });
    isAsked = line === "stop";
    if (isAsked) break;
  }
  if (!isAsked) process.exit(1);
  await instance.stop();
  await log.close();
  for (const connector of connectors) await connector.close();
  say({ type: "stopped" });
}

await main().catch((cause: unknown) => {
  say({ type: "failed", code: codeOf(cause), message: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause) });
  process.exitCode = 1;
});
process.exit();
