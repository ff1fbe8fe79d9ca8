import type { InstanceStatus, Logger } from "@iot-topology/core";
import type { EmbeddedLog, EmbeddedLogOptions } from "@iot-topology/connectors/embedded-log";
import type { Config } from "../config/keys.ts";

const PASS_EVERY_MS = 60_000;

/** The retention of every topic, or none where the log is kept for ever. */
export function retentionOf(config: Config, topics: readonly string[]): Pick<EmbeddedLogOptions, "retention"> {
  const [ms, bytes] = [config["log.retentionMs"], config["log.retentionBytes"]];
  if (ms === undefined && bytes === undefined) return {};
  const retention = { ...(ms === undefined ? {} : { ms }), ...(bytes === undefined ? {} : { bytes }) };
  return { retention: Object.fromEntries(topics.map((topic) => [topic, retention])) };
}

/** Trims the log now and then, never beyond what is committed. Gives the function that ends it. */
export function trimLog(log: EmbeddedLog, status: () => InstanceStatus, logger: Logger): () => void {
  const pass = (): void => {
    const inputs = status().tasks.flatMap((task) => task.inputs);
    const committed = (topic: string, partition: number): number => inputs.find((input) => input.topic === topic && input.partition === partition)?.committed ?? 0;
    log.retain(committed).then(
      ({ batches, bytes }) => batches > 0 && logger.info({ batches, bytes }, "processed records were removed from the log"),
      (error: unknown) => logger.warn({ error: String(error) }, "the log could not be trimmed; it is tried again"),
    );
  };
  const timer = setInterval(pass, PASS_EVERY_MS);
  timer.unref();
  return () => clearInterval(timer);
}
