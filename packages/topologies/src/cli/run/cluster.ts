import { type Plan, silentLogger, TopologyError } from "@iot-topology/core";
import type { KafkaLog } from "@iot-topology/connectors/kafka";
import type { Config } from "../config/keys.ts";
import type { Context } from "../context.ts";
import { type DataFolder, dataFolder, readFolderRecord } from "../data-folder.ts";
import { type LoadedTopology, loadTopology } from "../topology-file.ts";
import { isKafka, LOOK, openKafka } from "./kafka.ts";

/** Flags that name a topology and its cluster. */
export interface TopologyFlags {
  readonly topology?: string;
  readonly name?: string;
  readonly kafka?: string;
  readonly partitions?: string;
}

/** A topology with where it runs. */
export interface Located {
  readonly config: Config;
  readonly folder: DataFolder;
  readonly loaded: LoadedTopology;
  readonly plan: Plan;
}

/** Finds the topology that is named, or that last ran in the data folder, and the brokers that it ran on where none are named. */
export async function locate(context: Context, nameOrFile: string | undefined, flags: TopologyFlags): Promise<Located> {
  const configured = context.load({ "kafka.brokers": flags.kafka, partitions: flags.partitions }).config;
  const folder = dataFolder(configured.data);
  const record = readFolderRecord(folder);
  const config = onRecordedLog(configured, folder);
  const named = nameOrFile ?? flags.topology;
  const loaded = await loadTopology(named ?? record?.source ?? config.topology, { folder: context.folder, exportName: flags.name ?? (named === undefined ? record?.topology : undefined) });
  return { config, folder, loaded, plan: loaded.plan };
}

/** The configuration with the brokers that the folder's topology last ran on, where none are configured. */
export function onRecordedLog(config: Config, folder: DataFolder): Config {
  const recorded = readFolderRecord(folder)?.log;
  return isKafka(config) || recorded === undefined || recorded === "embedded" ? config : { ...config, "kafka.brokers": recorded.split(",") };
}

/** Opens the cluster of a command that makes no sense without one, and closes it behind the work. */
export async function withCluster<T>(config: Config, use: (log: KafkaLog) => Promise<T>): Promise<T> {
  if (!isKafka(config)) throw new TopologyError("USAGE", "this needs Kafka, and no brokers are named", { cure: "add --kafka HOST:PORT, or set kafka.brokers" });
  const log = await openKafka(config, silentLogger, LOOK);
  try {
    return await use(log);
  } finally {
    await log.close();
  }
}
