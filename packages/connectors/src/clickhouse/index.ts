/** ClickHouse as a sink: histories with views that are exactly once, upserts, dead letters. */
import { deadLetters, history, upsert } from "./spec.ts";

/** Makes the specs of ClickHouse sinks. */
export const clickhouse: {
  readonly history: typeof history;
  readonly upsert: typeof upsert;
  readonly deadLetters: typeof deadLetters;
} = Object.freeze({ history, upsert, deadLetters });

export { clickhouseConnector, type ClickHouseConnectorOptions } from "./connector.ts";
export type { AsOfDailyOptions, AsOfOptions, HistoryOptions, LatestOptions, PlainViewOptions, UpsertOptions, WindowOptions } from "./declaration.ts";
