import type { Logger } from "@iot-topology/core";
import { type EmbeddedLog, openEmbeddedLog } from "@iot-topology/connectors/embedded-log";
import type { PositionedLog } from "@iot-topology/connectors/file";
import type { KafkaLog } from "@iot-topology/connectors/kafka";
import type { Config } from "../config/keys.ts";
import type { DataFolder } from "../data-folder.ts";
import { isKafka, openKafka } from "./kafka.ts";
import { retentionOf } from "./retention.ts";

/** The log that a command works on: the data folder's own, or Kafka. */
export type OpenedLog = { readonly kind: "embedded"; readonly log: EmbeddedLog } | { readonly kind: "kafka"; readonly log: KafkaLog };

/** What both kinds can do. */
export type AnyLog = PositionedLog;

/** Opens the one that the configuration says. `topics` are those that the embedded log's retention holds for. */
export async function openLog(config: Config, folder: DataFolder, logger: Logger, topics: readonly string[] = []): Promise<OpenedLog> {
  if (isKafka(config)) return { kind: "kafka", log: await openKafka(config, logger) };
  return { kind: "embedded", log: await openEmbeddedLog({ dir: folder.log, logger, fsync: config["log.fsync"], ...retentionOf(config, topics) }) };
}
