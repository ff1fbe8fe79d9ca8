import { hash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClickHouseClient, createClient } from "@clickhouse/client";
import { ByteWriter, c, count, days, hours, type InferInput, max, min, minutes, record, type SealedBatch, silentLogger, type Sink, type SinkSpec, sum, avg } from "@iot-topology/core";
import { clickhouse, clickhouseConnector, type ClickHouseConnectorOptions } from "@iot-topology/connectors/clickhouse";
import { type SupervisedClickHouse, superviseEmbeddedClickHouse } from "@iot-topology/connectors/clickhouse/embedded";

/** The shape that the tests of this folder deliver. */
export const Reading = record("Reading", {
  device_id: c.string(),
  metric: c.lowCardinality(c.string()),
  seq: c.uint64(),
  event_time: c.dateTime64(3, "UTC"),
  value: c.float64(),
  extra: c.json(),
});
export type ReadingInput = InferInput<typeof Reading>;

const series = ["device_id", "metric"] as const;
const newest = { by: series, newest: ["event_time", "seq"] } as const;
const aggregates = { n: count(), min: min("value"), max: max("value"), sum: sum("value"), avg: avg("value") };

/** A history with everything that may hang on it. */
export const readings: SinkSpec<ReadingInput> = clickhouse.history("readings", Reading, {
  orderBy: [...series, "event_time", "seq"],
  latest: [{ view: "readings_latest", ...newest }],
  windows: [
    { view: "readings_1m", every: minutes(1), time: "event_time", by: series, aggregates },
    { view: "readings_1h", every: hours(1), time: "event_time", by: series, aggregates },
    { view: "readings_1d", every: days(1), time: "event_time", by: ["metric"], aggregates },
  ],
  asOfDaily: [{ table: "readings_as_of_daily", ...newest }],
  asOf: [{ view: "readings_as_of", ...newest }],
  views: [{ view: "hot", select: "SELECT device_id, value FROM {readings_latest} WHERE value > 50" }],
});

/** A row on its way, with its place in the log. */
export interface Placed<V> {
  readonly value: V;
  readonly offset: number;
  readonly partition?: number;
  readonly loadTime: number;
  readonly index?: number;
}

let sequence = 0;

/** Seals rows as the engine does: token with a hash of the content. */
export function seal<V>(spec: SinkSpec<V>, rows: readonly Placed<V>[], token?: string): SealedBatch {
  const encode = spec.encoder();
  const writer = new ByteWriter();
  const topic = "t";
  const ranges = new Map<number, { topic: string; partition: number; firstOffset: number; lastOffset: number }>();
  for (const { value, offset, partition = 0, loadTime, index = 0 } of rows) {
    encode(writer, value, { topic, partition, offset, index, loadTime }, null, loadTime, []);
    const range = ranges.get(partition) ?? { topic, partition, firstOffset: offset, lastOffset: offset };
    ranges.set(partition, { ...range, firstOffset: Math.min(range.firstOffset, offset), lastOffset: Math.max(range.lastOffset, offset) });
  }
  const bytes = writer.take();
  const task = ranges.size === 1 ? `0_${[...ranges.keys()][0]}` : "0_0";
  const loadTimeMin = rows.reduce((least, row) => Math.min(least, row.loadTime), Number.POSITIVE_INFINITY);
  const loadTimeMax = rows.reduce((greatest, row) => Math.max(greatest, row.loadTime), 0);
  return {
    token: token ?? `test:1:${spec.target}:${task}:${++sequence}:${hash("sha256", bytes, "hex")}`,
    topology: "test",
    version: 1,
    connector: spec.connector,
    target: spec.target,
    task,
    sequence,
    rowCount: rows.length,
    bytes,
    inputs: [...ranges.values()],
    loadTimeMin,
    loadTimeMax,
  };
}

/** A reading that says where it stands. */
export function reading(offset: number, more: Partial<ReadingInput> = {}, place: Partial<Placed<ReadingInput>> = {}): Placed<ReadingInput> {
  const value: ReadingInput = { device_id: `device-${offset % 3}`, metric: "temperature", seq: BigInt(offset), event_time: Date.UTC(2026, 0, 1) + offset * 30_000, value: offset % 101, extra: {}, ...more };
  return { value, offset, loadTime: Date.UTC(2026, 0, 1) + offset * 30_000 + 500, ...place };
}

/** Readings of consecutive offsets. */
export function readingsFrom(first: number, n: number): Placed<ReadingInput>[] {
  return Array.from({ length: n }, (_, index) => reading(first + index));
}

/** The server of a test file. */
export interface Lab {
  readonly url: string;
  readonly server: SupervisedClickHouse;
  /** A new database with the specs' tables. */
  open(specs: readonly SinkSpec<never>[], options?: Partial<ClickHouseConnectorOptions>): Promise<OpenLab>;
  stop(): Promise<void>;
}

/** A database of one test. */
export interface OpenLab {
  readonly database: string;
  readonly sinks: readonly Sink[];
  readonly sink: Sink;
  readonly client: ClickHouseClient;
  rows<Row>(query: string): Promise<Row[]>;
  reopen(specs: readonly SinkSpec<never>[], options?: Partial<ClickHouseConnectorOptions>): Promise<readonly Sink[]>;
  close(): Promise<void>;
}

/** Starts the server of a test file. */
export async function startLab(): Promise<Lab> {
  const dir = mkdtempSync(join(tmpdir(), "iot-topology-clickhouse-"));
  const server = await superviseEmbeddedClickHouse({ dataDir: join(dir, "data"), fsync: false, crashesMax: 100, backoffMsMax: 100 });
  let databases = 0;
  return {
    url: server.url,
    server,
    open: (specs, options = {}) => openDatabase(server.url, `test_${process.pid}_${++databases}`, specs, options),
    async stop() {
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function openDatabase(url: string, database: string, specs: readonly SinkSpec<never>[], options: Partial<ClickHouseConnectorOptions>): Promise<OpenLab> {
  const client = createClient({ url, database, clickhouse_settings: { output_format_json_quote_64bit_integers: 1 } });
  const connectors: { close(): Promise<void> }[] = [];
  const reopen = async (again: readonly SinkSpec<never>[], more: Partial<ClickHouseConnectorOptions> = {}): Promise<readonly Sink[]> => {
    const connector = clickhouseConnector({ url, database, embedded: true, ...options, ...more });
    connectors.push(connector);
    return connector.open({ topology: "test", version: 1, logger: silentLogger }, again);
  };
  const sinks = await reopen(specs);
  return {
    database,
    sinks,
    sink: sinks[0] as Sink,
    client,
    reopen,
    async rows<Row>(query: string) {
      return (await client.query({ query, format: "JSONEachRow" })).json<Row>();
    },
    async close() {
      for (const connector of connectors) await connector.close();
      await client.close();
    },
  };
}

/** What the windows must be, from the history's rows, by another way than the views'. */
export const WINDOW_MISMATCHES: string = ["readings_1m:60000:device_id, metric", "readings_1h:3600000:device_id, metric", "readings_1d:86400000:metric"]
  .map((text) => text.split(":"))
  .map(
    ([view, every, by]) =>
      `SELECT '${view}' AS view, ifNull(a.n, 0) AS seen, ifNull(b.n, 0) AS wanted FROM (SELECT * FROM ${view}) AS a FULL OUTER JOIN (SELECT fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(event_time), ${every}) * ${every}, 'UTC') AS window_start, ${by}, count() AS n, min(value) AS min, max(value) AS max, sum(value) AS sum, avg(value) AS avg FROM readings GROUP BY window_start, ${by}) AS b USING (window_start, ${by}) WHERE a.n != b.n OR a.min != b.min OR a.max != b.max OR abs(a.sum - b.sum) > 1e-6 OR abs(a.avg - b.avg) > 1e-6`,
  )
  .join(" UNION ALL ");
