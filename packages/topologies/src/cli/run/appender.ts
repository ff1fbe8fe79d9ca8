import { type ClusterLog, type Logger, type ProducerRecord, TopologyError } from "@iot-topology/core";
import type { Config } from "../config/keys.ts";
import { type DataFolder, type InstanceRecord, runningInstance } from "../data-folder.ts";
import { onRecordedLog } from "./cluster.ts";
import { isKafka, openKafka } from "./kafka.ts";
import { fromProduced, type ProducedRecord } from "./produced-record.ts";

/** Where records go that a command appends: Kafka, the running instance, or the log of a folder in which nothing runs. */
export interface Appender {
  readonly kind: "kafka" | "instance" | "folder";
  records(topic: string, records: readonly ProducedRecord[]): Promise<void>;
  close(): Promise<void>;
}

const ANSWER_MS_MAX = 60_000;

/** Opens what the configuration says, or what the folder last ran on. `prepare` may make topics before the first record. */
export async function openAppender(configured: Config, folder: DataFolder, logger: Logger, prepare: (log: ClusterLog) => Promise<void> = async () => {}): Promise<Appender> {
  const config = onRecordedLog(configured, folder);
  if (isKafka(config)) {
    const log = await openKafka(config, logger);
    try {
      await prepare(log);
    } catch (error) {
      await log.close();
      throw error;
    }
    return { kind: "kafka", records: async (topic, records) => void (await log.append(topic, fromProduced(records))), close: () => log.close() };
  }
  const instance = runningInstance(folder);
  return instance === undefined ? folderAppender(folder) : instanceAppender(instance);
}

function instanceAppender({ statusUrl, token }: InstanceRecord): Appender {
  return {
    kind: "instance",
    async records(topic, records) {
      const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
      const response = await fetch(`${statusUrl}/produce`, { method: "POST", headers, body: JSON.stringify({ topic, records }), signal: AbortSignal.timeout(ANSWER_MS_MAX) });
      if (response.ok) return;
      const answer = (await response.json().catch(() => ({}))) as { error?: { message?: string } };
      throw new TopologyError("NOT_RUNNING", `the instance refused the records: ${answer.error?.message ?? `status ${response.status}`}`, { place: statusUrl, cure: "what was appended before stands; run it again for the rest" });
    },
    close: () => Promise.resolve(),
  };
}

async function folderAppender(folder: DataFolder): Promise<Appender> {
  const { openEmbeddedLog } = await import("@iot-topology/connectors/embedded-log");
  const log = await openEmbeddedLog({ dir: folder.log });
  return {
    kind: "folder",
    async records(topic, records) {
      const produced: readonly ProducerRecord[] = fromProduced(records);
      await log.append(topic, produced);
    },
    close: () => log.close(),
  };
}
