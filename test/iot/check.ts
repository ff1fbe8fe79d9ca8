import { startEmbeddedClickHouse } from "@iot-topology/connectors/clickhouse/embedded";
import { join } from "node:path";
import type { Test } from "tap";
import { modelOf, tablesOf } from "./model.ts";
import { differences, iotQueries, select } from "./tables.ts";

/** Opens the ClickHouse of a data folder that no instance runs in, and hands its URL to the work. */
export async function withClickHouse<T>(data: string, work: (url: string) => Promise<T>): Promise<T> {
  const server = await startEmbeddedClickHouse({ dataDir: join(data, "clickhouse") });
  try {
    return await work(server.url);
  } finally {
    await server.stop();
  }
}

/** Compares every table of the IoT system with the model's. `deadLetters`: how often the file's malformed records are in the log. */
export async function checkTables(t: Pick<Test, "same" | "equal">, url: string, file: string, deadLetters: number, label: string): Promise<void> {
  const model = modelOf(file);
  const expected = tablesOf(model);
  for (const [table, query] of Object.entries(iotQueries)) {
    t.same(differences(await select(url, query), expected[table] ?? []), [], `${label}: ${table} equals the model's`);
  }
  t.same(await select(url, "SELECT count() FROM iot.dead_letters"), [[model.malformed * deadLetters]], `${label}: dead letters`);
}
