import { access, constants, mkdir, rm, statfs, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { existsSync } from "node:fs";
import { TopologyError } from "@iot-topology/core";
import { engineLibraryPath } from "@iot-topology/connectors/clickhouse/embedded";
import { type ClickHouseTarget, queryRows } from "../clickhouse-query.ts";
import type { LoadedConfig } from "../config/config.ts";
import type { Config } from "../config/keys.ts";
import type { Context } from "../context.ts";
import { type DataFolder, dataFolder, readFolderRecord, runningInstance } from "../data-folder.ts";
import { plainMessage, toTopologyError } from "../output/failure.ts";
import { paint } from "../output/style.ts";
import { isKafka } from "../run/kafka.ts";
import { databaseOf, remoteTarget } from "../run/clickhouse.ts";
import { checkLog, checkState } from "./doctor-folder.ts";

/** What one check found. */
export interface Finding {
  readonly check: string;
  readonly level: "ok" | "warn" | "fail";
  readonly message: string;
  readonly cure?: string;
}

const DISK_WARN_BYTES = 1e9;
const DISK_FAIL_BYTES = 50e6;
const MARKS = { ok: ["green", "ok  "], warn: ["yellow", "warn"], fail: ["red", "fail"] } as const;

/** Checks what a start needs. The exit code is 1 where a check failed. */
export async function doctor(context: Context, flags: { readonly port?: string; readonly clickhouse?: string; readonly kafka?: string }): Promise<number> {
  const findings: Finding[] = [];
  const report = (finding: Finding) => {
    findings.push(finding);
    if (context.json) return;
    const [colour, mark] = MARKS[finding.level];
    context.stdout.write(`${paint(context.style, colour, mark)}  ${finding.check.padEnd(12)} ${finding.message}\n${finding.cure === undefined ? "" : `      cure: ${finding.cure}\n`}`);
  };
  report(checkNode());
  const loaded = await guarded("config", () => context.load({ port: flags.port, "clickhouse.url": flags.clickhouse, "kafka.brokers": flags.kafka }), report);
  if (loaded !== undefined) await checkAll(loaded, context.folder, report);
  if (context.json) context.stdout.write(`${JSON.stringify({ findings })}\n`);
  return findings.some((finding) => finding.level === "fail") ? 1 : 0;
}

type Report = (finding: Finding) => void;

async function checkAll({ config, env }: LoadedConfig, cwd: string, report: Report): Promise<void> {
  report({ check: "config", level: "ok", message: `valid${env === undefined ? "" : `, section ${env}`}` });
  const folder = dataFolder(config.data);
  await guarded("engine", () => checkEngine(config, report), report);
  await guarded("disk", () => checkDisk(folder, report), report);
  await guarded("port", () => checkPort(config, report), report);
  const running = runningInstance(folder);
  if (running !== undefined) report({ check: "folder", level: "ok", message: `in use by ${running.topology}, process ${running.pid}; stop it to have the folder verified` });
  else {
    if (!isKafka(config)) await guarded("log", () => checkLog(folder, report), report);
    await guarded("state", () => checkState(folder, report), report);
  }
  if (isKafka(config)) await guarded("kafka", async () => (await import("./doctor-kafka.ts")).checkKafka(config, cwd, report), report);
  await guarded("clickhouse", () => checkClickHouse(config, folder, running?.clickhouseUrl, report), report);
}

/** A check that throws has found something. */
async function guarded<T>(check: string, run: () => Promise<T> | T, report: Report): Promise<T | undefined> {
  try {
    return await run();
  } catch (thrown) {
    const error = toTopologyError(thrown);
    report({ check, level: "fail", message: `${error.code}: ${plainMessage(error)}${error.place === undefined ? "" : ` (${error.place})`}`, ...(error.cure === undefined ? {} : { cure: error.cure }) });
    return undefined;
  }
}

function checkNode(): Finding {
  return { check: "node", level: "ok", message: `${process.version} on ${process.platform} ${process.arch}` };
}

function checkEngine(config: Config, report: Report): void {
  if (config["clickhouse.url"] !== undefined) return report({ check: "engine", level: "ok", message: "not needed: a ClickHouse server is configured" });
  engineLibraryPath();
  report({ check: "engine", level: "ok", message: "the embedded ClickHouse has a build for this platform" });
}

async function checkDisk(folder: DataFolder, report: Report): Promise<void> {
  let present = folder.root;
  while (!existsSync(present) && dirname(present) !== present) present = dirname(present);
  await access(present, constants.W_OK | constants.X_OK);
  const trial = join(present, `.iot-topology-doctor-${process.pid}`);
  await mkdir(trial);
  try {
    await writeFile(join(trial, "trial"), "trial", { flush: true });
  } finally {
    await rm(trial, { recursive: true, force: true });
  }
  const { bavail, bsize } = await statfs(present);
  const free = bavail * bsize;
  const level = free < DISK_FAIL_BYTES ? "fail" : free < DISK_WARN_BYTES ? "warn" : "ok";
  report({ check: "disk", level, message: `${present} can be written, ${(free / 1e9).toFixed(1)} GB free`, ...(level === "ok" ? {} : { cure: "free some space, or name another folder with --data" }) });
}

function checkPort({ port }: Config, report: Report): Promise<void> {
  if (port === 0) return Promise.resolve(report({ check: "port", level: "ok", message: "any free one is taken" }));
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (cause) => reject(new TopologyError("PORT_IN_USE", `port ${port} cannot be listened on`, { cure: "choose another --port, or 0 for any free one", cause })));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resolve(report({ check: "port", level: "ok", message: `${port} is free` }))));
  });
}

async function checkClickHouse(config: Config, folder: DataFolder, runningUrl: string | undefined, report: Report): Promise<void> {
  const database = config["clickhouse.database"] ?? readFolderRecord(folder)?.database ?? databaseOf(config.topology, config);
  const url = config["clickhouse.url"] ?? runningUrl;
  if (url === undefined) return report({ check: "clickhouse", level: "ok", message: "the embedded one starts with the instance" });
  const target = remoteTarget(url, config, database);
  const [server] = await queryRows<{ version: string }>({ ...target, database: undefined }, { sql: "SELECT version() AS version" });
  report({ check: "clickhouse", level: "ok", message: `${url} answers, version ${server?.version ?? "unknown"}` });
  await checkWindows(target, database, report);
}

/** A repeated insert is dropped only where its table remembers tokens. */
async function checkWindows(target: ClickHouseTarget, database: string, report: Report): Promise<void> {
  const sql = `SELECT name FROM system.tables WHERE database = {database:String} AND engine LIKE '%MergeTree' AND engine NOT LIKE 'Replicated%'
               AND NOT match(engine_full, 'non_replicated_deduplication_window = [1-9]') ORDER BY name LIMIT 100`;
  const rows = await queryRows<{ name: string }>({ ...target, database: undefined }, { sql, parameters: { database } });
  if (rows.length === 0) return report({ check: "windows", level: "ok", message: `every table of ${database} drops repeated inserts` });
  report({ check: "windows", level: "warn", message: `without a deduplication window: ${rows.map((row) => row.name).join(", ")}`, cure: "where iot-topology writes to them: ALTER TABLE ... MODIFY SETTING non_replicated_deduplication_window = 1000" });
}
