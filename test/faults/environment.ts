/** What the runs of a fault share: brokers, Apache's client beside them, a ClickHouse server, a folder. */
import { startEmbeddedClickHouse } from "@iot-topology/connectors/clickhouse/embedded";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type KafkaBrokers, kafkaBrokers, type KafkaOptions } from "../kafka/kafka-brokers.ts";
import { type ApacheClient, startApacheClient } from "./apache-client.ts";

export interface Environment {
  readonly kafka: KafkaBrokers;
  readonly apache: ApacheClient;
  readonly dir: string;
  /** What runs check beyond what all check: `tools` asks Apache's command-line tools too. */
  readonly checks: { tools: boolean };
  /** The URL of a ClickHouse server, which is started when it is first asked for. */
  clickhouse(): Promise<string>;
  close(): Promise<void>;
}

/** Opens an environment; undefined where there is no Java or Maven, after a line that says so. */
export async function openEnvironment(options: KafkaOptions = {}): Promise<Environment | undefined> {
  const closers: (() => unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  const kafka = await kafkaBrokers({ pass: () => undefined, teardown: (closer) => closers.push(closer) }, options);
  if (kafka?.distribution === undefined) {
    await close();
    return undefined;
  }
  const dir = mkdtempSync(join(tmpdir(), "iot-topology-faults-"));
  closers.push(() => {
    if (process.env["FAULTS_KEEP"] === undefined) rmSync(dir, { recursive: true, force: true });
  });
  const apache = startApacheClient(kafka.distribution, kafka.brokers);
  closers.push(() => apache.close());
  let server: ReturnType<typeof startEmbeddedClickHouse> | undefined;
  closers.push(async () => (await server)?.stop());
  return {
    kafka,
    apache,
    dir,
    checks: { tools: false },
    async clickhouse() {
      server ??= startEmbeddedClickHouse({ dataDir: join(dir, "clickhouse") });
      return (await server).url;
    },
    close,
  };
}
