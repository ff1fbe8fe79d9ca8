/** Reads the IoT tables back over HTTP and compares them with rows worked out elsewhere. */
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import type { Rows } from "./model.ts";

const WINDOW = "device_id, metric, toUnixTimestamp64Milli(toDateTime64(window_start, 3, 'UTC')), n, min, max, sum, avg";
const MAPS = "toJSONString(mapSort(attributes)), toJSONString(mapSort(relationships))";

/** A query a table, with columns in the order of the model and of the expected CSV files. */
export const iotQueries: Readonly<Record<string, string>> = {
  readings: "SELECT device_id, metric, toString(seq), toUnixTimestamp64Milli(event_time), value, unit, toUnixTimestamp64Milli(load_time) FROM iot.readings",
  readings_latest: "SELECT device_id, metric, value, toUnixTimestamp64Milli(event_time) FROM iot.readings_latest",
  readings_1m: `SELECT ${WINDOW} FROM iot.readings_1m`,
  readings_1h: `SELECT ${WINDOW} FROM iot.readings_1h`,
  readings_1d: `SELECT ${WINDOW} FROM iot.readings_1d`,
  windows_1h: `SELECT ${WINDOW} FROM iot.windows_1h`,
  readings_as_of_daily: "SELECT toUnixTimestamp64Milli(toDateTime64(as_of, 3, 'UTC')), device_id, metric, value, toUnixTimestamp64Milli(event_time) FROM iot.readings_as_of_daily",
  entities: `SELECT entity, id, toUnixTimestamp64Milli(event_time), toUnixTimestamp64Milli(load_time), ${MAPS} FROM iot.entities`,
  entities_latest: `SELECT entity, id, ${MAPS}, toUnixTimestamp64Milli(event_time) FROM iot.entities_latest`,
  entities_as_of_daily: `SELECT toUnixTimestamp64Milli(toDateTime64(as_of, 3, 'UTC')), entity, id, ${MAPS}, toUnixTimestamp64Milli(event_time) FROM iot.entities_as_of_daily`,
  relationships_latest: "SELECT entity, id, relation, related_id, toUnixTimestamp64Milli(event_time) FROM iot.relationships_latest",
};

/** A connection a request: one that is kept open makes the server wait for it when it stops. */
function post(url: string, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request(url, { method: "POST", agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("end", () => (response.statusCode === 200 ? resolve(text) : reject(new Error(text))));
      response.on("error", reject);
    });
    call.on("error", reject).end(body);
  });
}

/** Rows of a query, numbers as numbers. */
export async function select(url: string, sql: string): Promise<(string | number)[][]> {
  const text = await post(`${url}/?output_format_json_quote_64bit_integers=0`, `${sql} FORMAT JSONCompactEachRow`);
  return text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as (string | number)[]]));
}

// Sums of doubles depend on their order in the last digits.
const TOLERANCE = 1e-9;

function same(a: string | number | undefined, b: string | number | undefined): boolean {
  if (typeof a === "number" && typeof b === "number") return a === b || Math.abs(a - b) <= TOLERANCE * Math.max(Math.abs(a), Math.abs(b), 1e-3);
  return a === b;
}

/** Orders rows by everything that is exact in them. */
function sorted(rows: Rows): Rows {
  const keyed = rows.map((row) => [row.map((cell) => (typeof cell === "number" && !Number.isInteger(cell) ? "" : String(cell))).join("\u0001"), row] as const);
  return keyed.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, row]) => row);
}

/** The first differences of two sets of rows, or none. Duplicates differ. `keys` leading columns identify a row, where rows hold doubles. */
export function differences(actual: Rows, expected: Rows): string[] {
  const problems: string[] = [];
  if (actual.length !== expected.length) problems.push(`${actual.length} rows instead of ${expected.length}`);
  const [left, right] = [sorted(actual), sorted(expected)];
  for (let index = 0; index < Math.max(left.length, right.length) && problems.length < 5; index++) {
    const [a, b] = [left[index], right[index]];
    if (a === undefined || b === undefined || a.length !== b.length || !a.every((cell, column) => same(cell, b[column]))) {
      problems.push(`row ${index}: ${JSON.stringify(a)} instead of ${JSON.stringify(b)}`);
    }
  }
  return problems;
}

/** Rows of a CSV file with a header; numbers where `numeric` says so. */
export function readCsv(path: string): { readonly columns: readonly string[]; readonly rows: readonly (readonly string[])[] } {
  const rows: string[][] = [];
  let row: string[] = [];
  let field = "";
  let quoted = false;
  const text = readFileSync(path, "utf8");
  for (let index = 0; index < text.length; index++) {
    const char = text[index] as string;
    if (quoted) {
      if (char !== '"') field += char;
      else if (text[index + 1] === '"') {
        field += char;
        index++;
      } else quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === ",") {
      row.push(field);
      field = "";
    } else if (char === "\n") {
      row.push(field.replace(/\r$/, ""));
      rows.push(row);
      row = [];
      field = "";
    } else field += char;
  }
  const [columns = [], ...rest] = rows;
  return { columns, rows: rest };
}

const TEXT = new Set(["device_id", "metric", "seq", "unit", "entity", "id", "attributes", "relationships"]);

/** The expected rows of a table from the folder of CSV files, as the queries give them. */
export function expectedRows(folder: string, table: string): Rows {
  const { columns, rows } = readCsv(join(folder, `${table}.csv`));
  return rows.map((row) =>
    row.map((cell, index) => {
      const column = columns[index] ?? "";
      if (column === "attributes" || column === "relationships") {
        const map = JSON.parse(cell) as Record<string, string>;
        return JSON.stringify(Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1))));
      }
      return TEXT.has(column) ? cell : Number(cell);
    }),
  );
}
