import { type Logger, TopologyError } from "@iot-topology/core";
import type { SupervisedClickHouse } from "@iot-topology/connectors/clickhouse/embedded";
import type { ClickHouseTarget } from "../clickhouse-query.ts";
import type { Config } from "../config/keys.ts";
import type { DataFolder } from "../data-folder.ts";

/** The ClickHouse that a command uses: its own embedded one, or a server named by URL. */
export interface OpenedClickHouse {
  readonly target: ClickHouseTarget;
  readonly embedded: SupervisedClickHouse | undefined;
  stop(): Promise<void>;
}

/** A topology's database when none is configured: its name, as an identifier. */
export function databaseOf(topologyName: string, config: Config): string {
  return config["clickhouse.database"] ?? topologyName.replace(/[^A-Za-z0-9_]/g, "_");
}

/**
 * Starts and supervises the embedded server in the data folder, or takes the one that the configuration names.
 *
 * @throws TopologyError as `superviseEmbeddedClickHouse` does.
 */
export async function openClickHouse(config: Config, folder: DataFolder, database: string, logger: Logger, signal?: AbortSignal): Promise<OpenedClickHouse> {
  const url = config["clickhouse.url"];
  if (url !== undefined) return { target: remoteTarget(url, config, database), embedded: undefined, stop: () => Promise.resolve() };
  const { superviseEmbeddedClickHouse } = await import("@iot-topology/connectors/clickhouse/embedded");
  const embedded = await superviseEmbeddedClickHouse({ dataDir: folder.clickhouse, httpPort: config["clickhouse.httpPort"], logger, ...(signal === undefined ? {} : { signal }) });
  return { target: { url: embedded.url, database }, embedded, stop: () => embedded.stop() };
}

/** A server by URL. A password is never sent over the network in the clear. */
export function remoteTarget(url: string, config: Config, database: string): ClickHouseTarget {
  const password = config["clickhouse.password"];
  const { protocol, hostname } = new URL(url);
  const isLoopback = hostname === "localhost" || hostname === "[::1]" || hostname.startsWith("127.");
  if (password !== undefined && protocol === "http:" && !isLoopback) {
    throw new TopologyError("CONFIG_INVALID", "a password would go over the network unencrypted", { place: url, cure: "use https://, or a server on this machine" });
  }
  return { url, username: config["clickhouse.username"], password, database };
}
