import { existsSync } from "node:fs";
import { silentLogger, TopologyError } from "@iot-topology/core";
import type { ClickHouseTarget } from "./clickhouse-query.ts";
import type { Config } from "./config/keys.ts";
import { type DataFolder, type FolderRecord, type InstanceRecord, readFolderRecord, runningInstance } from "./data-folder.ts";
import { databaseOf, openClickHouse, remoteTarget } from "./run/clickhouse.ts";

/** A ClickHouse that can be asked, however it came to run. */
export interface Attached {
  readonly target: ClickHouseTarget;
  readonly instance: InstanceRecord | undefined;
  readonly record: FolderRecord | undefined;
  /** Ends what was started for it. */
  close(): Promise<void>;
}

/**
 * Finds the ClickHouse that holds a folder's data: the one of the running instance, a configured one, or else the embedded one of the
 * folder, which is started until `close()`.
 *
 * @throws TopologyError NOT_RUNNING where nothing ever ran in the folder, and what the start of the embedded server throws.
 */
export async function attachClickHouse(config: Config, folder: DataFolder): Promise<Attached> {
  const instance = runningInstance(folder);
  const record = readFolderRecord(folder);
  const database = config["clickhouse.database"] ?? record?.database ?? databaseOf(config.topology, config);
  const url = config["clickhouse.url"] ?? (record?.clickhouse === "embedded" ? instance?.clickhouseUrl : record?.clickhouse);
  const nothing = () => Promise.resolve();
  if (url !== undefined) return { target: remoteTarget(url, config, database), instance, record, close: nothing };
  if (!existsSync(folder.clickhouse)) {
    throw new TopologyError("NOT_RUNNING", "nothing has run in this data folder yet", { place: folder.root, cure: "run `iot-topology start` with this --data first, or name the folder with --data" });
  }
  const opened = await openClickHouse(config, folder, database, silentLogger);
  return { target: opened.target, instance, record, close: () => opened.stop() };
}
