import type { OpenLab, Placed, ReadingInput } from "./fixture.ts";

/*
 * What the tables of `readings` must hold, computed from the rows alone, and what they do hold, both as sorted lines. Values are whole numbers, so that sums are exact.
 */

const DAY = 86_400_000;
type Row = Placed<ReadingInput>;
const timeOf = (row: Row): number => Number(row.value.event_time);

/** Lines of a window view. */
export function windowModel(rows: readonly Row[], everyMs: number, byDevice: boolean): string[] {
  const windows = new Map<string, number[]>();
  for (const row of rows) {
    const key = [Math.floor(timeOf(row) / everyMs) * everyMs, ...(byDevice ? [row.value.device_id] : []), row.value.metric].join(" ");
    const values = windows.get(key);
    if (values === undefined) windows.set(key, [row.value.value]);
    else values.push(row.value.value);
  }
  return [...windows].map(([key, values]) => `${key} ${values.length} ${Math.min(...values)} ${Math.max(...values)} ${values.reduce((sum, value) => sum + value, 0)}`).sort();
}

function isNewer(row: Row, other: Row | undefined): boolean {
  return other === undefined || timeOf(row) > timeOf(other) || (timeOf(row) === timeOf(other) && row.value.seq > other.value.seq);
}

function newest(rows: readonly Row[]): string[] {
  const known = new Map<string, Row>();
  for (const row of rows) {
    const key = `${row.value.device_id} ${row.value.metric}`;
    if (isNewer(row, known.get(key))) known.set(key, row);
  }
  return [...known].map(([key, row]) => `${key} ${row.value.seq} ${timeOf(row)} ${row.value.value}`);
}

/** Lines of the latest values. */
export function latestModel(rows: readonly Row[]): string[] {
  return newest(rows).sort();
}

/** Lines of the daily snapshots, up to the last midnight that any row was loaded after. */
export function asOfModel(rows: readonly Row[], start: number): string[] {
  const watermark = rows.reduce((most, row) => Math.max(most, row.loadTime), 0);
  const lines: string[] = [];
  for (let midnight = start + DAY; midnight <= watermark; midnight += DAY) {
    for (const line of newest(rows.filter((row) => row.loadTime < midnight))) lines.push(`${midnight} ${line}`);
  }
  return lines.sort();
}

/** What a database holds. */
export interface Stored {
  readonly history: readonly { readonly n: string; readonly places: string }[];
  readonly latest: readonly string[];
  readonly asOf: readonly string[];
  windows(view: string): readonly string[];
}

/** Reads everything. */
export async function stored(db: OpenLab, database: string): Promise<Stored> {
  const lines = async (parts: string, from: string): Promise<string[]> =>
    (await db.rows<{ line: string }>(`SELECT arrayStringConcat(arrayMap(x -> toString(x), [${parts}]), ' ') AS line FROM ${database}.${from}`)).map((row) => row.line).sort();
  const windows = new Map<string, string[]>();
  const text = (parts: readonly string[]): string => parts.map((part) => `toString(${part})`).join(", ");
  for (const view of ["readings_1m", "readings_1h", "readings_1d"]) {
    const by = view === "readings_1d" ? ["metric"] : ["device_id", "metric"];
    windows.set(view, await lines(text(["toUnixTimestamp64Milli(window_start)", ...by, "n", "min", "max", "sum"]), view));
  }
  const row = ["device_id", "metric", "seq", "toUnixTimestamp64Milli(event_time)", "value"];
  return {
    history: await db.rows(`SELECT count() AS n, uniqExact(_partition, _offset, _index) AS places FROM ${database}.readings`),
    latest: await lines(text(row), "readings_latest"),
    asOf: await lines(text(["toUnixTimestamp64Milli(as_of)", ...row]), "readings_as_of_daily"),
    windows: (view) => windows.get(view) ?? [],
  };
}
