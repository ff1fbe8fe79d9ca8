import { rm } from "node:fs/promises";
import { join } from "node:path";
import { resetTopology, silentLogger, TopologyError } from "@iot-topology/core";
import type { Context } from "../context.ts";
import { dataFolder, readFolderRecord, runningInstance } from "../data-folder.ts";
import { confirm } from "../output/confirm.ts";
import { onRecordedLog } from "../run/cluster.ts";
import { isKafka } from "../run/kafka.ts";
import { openLog } from "../run/log.ts";
import { databaseOf, openClickHouse } from "../run/clickhouse.ts";
import { connectorsOf } from "../run/session.ts";
import { loadTopology } from "../topology-file.ts";

/** Flags of `reset`. */
export interface ResetFlags {
  readonly yes?: boolean;
  readonly log?: boolean;
  readonly name?: string;
  readonly clickhouse?: string;
  readonly kafka?: string;
}

/** Removes a topology's state and its ClickHouse tables. The input stays, and with it every record, unless `--log` removes the embedded log too. */
export async function reset(context: Context, nameOrFile: string | undefined, flags: ResetFlags): Promise<number> {
  const configured = context.load({ "clickhouse.url": flags.clickhouse, "kafka.brokers": flags.kafka }).config;
  const folder = dataFolder(configured.data);
  const config = onRecordedLog(configured, folder);
  if (flags.log === true && isKafka(config)) throw new TopologyError("USAGE", "--log removes the embedded log, and this topology reads from Kafka", { cure: "leave --log out; topics are deleted with Kafka's own tools" });
  const running = runningInstance(folder);
  if (running !== undefined) {
    throw new TopologyError("FOLDER_IN_USE", `the topology ${running.topology} runs in this folder (process ${running.pid})`, { place: folder.root, cure: `stop it first: kill ${running.pid}` });
  }
  const record = readFolderRecord(folder);
  const loaded = await loadTopology(nameOrFile ?? record?.source ?? config.topology, { folder: context.folder, exportName: flags.name ?? (nameOrFile === undefined ? record?.topology : undefined) });
  const { topology } = loaded;
  const also = flags.log === true ? ", and the log with every record in it" : isKafka(config) ? ", its changelogs, and its group's offsets" : "";
  if (!(await confirm(context, `Remove the state and the ClickHouse tables of ${topology.name}${also}?`, flags.yes === true))) return 1;
  const withUrl = config["clickhouse.url"] === undefined && record !== undefined && record.clickhouse !== "embedded" ? { ...config, "clickhouse.url": record.clickhouse } : config;
  const { log } = await openLog(withUrl, folder, silentLogger);
  try {
    const clickhouse = await openClickHouse(withUrl, folder, record?.database ?? databaseOf(topology.name, config), silentLogger);
    try {
      const connectors = connectorsOf(withUrl, clickhouse, silentLogger);
      await resetTopology(topology, { log, connectors, stateDir: folder.state, logger: silentLogger });
      for (const connector of connectors) await connector.close();
    } finally {
      await clickhouse.stop();
    }
  } finally {
    await log.close();
  }
  if (flags.log === true) await rm(folder.log, { recursive: true, force: true });
  for (const name of ["instance.json", "folder.json"]) await rm(join(folder.root, name), { force: true });
  const removed = `removed the state and tables of ${topology.name}${flags.log === true ? " and the log" : "; the input stays, and the next start processes it anew"}`;
  context.stdout.write(context.json ? `${JSON.stringify({ topology: topology.name, log: flags.log === true })}\n` : `${removed}\n`);
  return 0;
}
