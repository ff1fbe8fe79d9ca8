/**
 * What any right load of the IoT topics must give, computed from a replay file in plain JavaScript: nothing here uses the code under test.
 * Rules: the issue's: the first record in the log of an identity stands, latest and as-of are by event time, load time is the line's `ts`.
 */
import { readFileSync } from "node:fs";

export interface Reading {
  readonly device: string;
  readonly metric: string;
  readonly seq: bigint;
  readonly eventMs: number;
  readonly value: number;
  readonly unit: string;
  readonly loadMs: number;
}
export interface EntityState {
  readonly entity: string;
  readonly id: string;
  readonly eventMs: number;
  readonly loadMs: number;
  readonly attributes: Readonly<Record<string, string>>;
  readonly relationships: Readonly<Record<string, string>>;
}
export interface Model {
  readonly lines: number;
  readonly readings: readonly Reading[];
  readonly entities: readonly EntityState[];
  readonly malformed: number;
  readonly duplicates: number;
}

const ISO = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)$/;
const NUMERIC = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/;

function momentOf(value: unknown): number | undefined {
  if (typeof value === "number") return Number.isSafeInteger(value) ? value : undefined;
  if (typeof value !== "string") return undefined;
  if (/^-?\d+$/.test(value)) return Number(value);
  const match = ISO.exec(value);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction = "", zone = "Z"] = match;
  const date = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second)));
  if (date.getUTCMonth() !== Number(month) - 1 || date.getUTCDate() !== Number(day) || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  const offsetMinutes = zone === "Z" ? 0 : (zone.startsWith("-") ? -1 : 1) * (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2)));
  return date.getTime() + Math.floor(Number(`0.${fraction || "0"}`) * 1_000 + 1e-9) - offsetMinutes * 60_000;
}

function numberOf(value: unknown): number | undefined {
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  if (typeof value === "string" && NUMERIC.test(value) && Number.isFinite(Number(value))) return Number(value);
  return undefined;
}

const own = (object: object, name: string): unknown => (Object.hasOwn(object, name) ? (object as Record<string, unknown>)[name] : undefined);
const isText = (value: unknown): value is string => typeof value === "string" && value !== "";

function readingOf(json: object, payload: string, loadMs: number): Reading | undefined {
  const [device, metric, unit] = ["deviceId", "metric", "unit"].map((name) => own(json, name));
  const rawSeq = own(json, "seq");
  // Exact beyond 2^53: the digits are taken from the text.
  const digits = typeof rawSeq === "string" ? rawSeq : typeof rawSeq === "number" ? (/"seq"\s*:\s*(-?\d+)\s*[,}]/.exec(payload)?.[1] ?? "") : "";
  const eventMs = momentOf(own(json, "ts"));
  const value = numberOf(own(json, "value"));
  if (!isText(device) || !isText(metric) || typeof unit !== "string" || !/^\d+$/.test(digits) || eventMs === undefined || value === undefined) return undefined;
  const seq = BigInt(digits);
  return seq < 2n ** 64n ? { device, metric, seq, eventMs, value, unit, loadMs } : undefined;
}

function textMap(value: unknown): Record<string, string> | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return Object.values(value).every((member) => typeof member === "string") ? (value as Record<string, string>) : undefined;
}

function entityOf(json: object, loadMs: number): EntityState | undefined {
  const [entity, id] = ["entity", "id"].map((name) => own(json, name));
  const eventMs = momentOf(own(json, "ts"));
  const [attributes, relationships] = ["attributes", "relationships"].map((name) => textMap(own(json, name)));
  if (!isText(entity) || !isText(id) || eventMs === undefined || attributes === undefined || relationships === undefined) return undefined;
  return { entity, id, eventMs, loadMs, attributes, relationships };
}

function parse(payload: string | null): object | undefined {
  try {
    const json: unknown = JSON.parse(payload ?? "");
    return typeof json === "object" && json !== null && !Array.isArray(json) ? json : undefined;
  } catch {
    return undefined;
  }
}

/** Reads a replay file. */
export function modelOf(file: string): Model {
  const seen = new Set<string>();
  const model = { lines: 0, readings: [] as Reading[], entities: [] as EntityState[], malformed: 0, duplicates: 0 };
  for (const line of readFileSync(file, "utf8").split("\n")) {
    if (line === "") continue;
    model.lines++;
    const { topic, ts, payload } = JSON.parse(line) as { topic: string; ts: number; payload: string | null };
    const json = parse(payload);
    const reading = json !== undefined && topic === "iot.readings" ? readingOf(json, payload ?? "", ts) : undefined;
    const state = json !== undefined && topic === "iot.entities" ? entityOf(json, ts) : undefined;
    if (reading === undefined && state === undefined) {
      model.malformed++;
      continue;
    }
    const identity = JSON.stringify(reading === undefined ? [state?.entity, state?.id, state?.eventMs] : [reading.device, reading.metric, String(reading.seq)]);
    if (seen.has(`${topic}${identity}`)) {
      model.duplicates++;
      continue;
    }
    seen.add(`${topic}${identity}`);
    if (reading !== undefined) model.readings.push(reading);
    else if (state !== undefined) model.entities.push(state);
  }
  return model;
}

const DAY_MS = 86_400_000;
type Cell = string | number;
export type Rows = readonly (readonly Cell[])[];

const seriesOf = (reading: Reading): string => JSON.stringify([reading.device, reading.metric]);
const newer = (a: Reading, b: Reading): boolean => a.eventMs > b.eventMs || (a.eventMs === b.eventMs && a.seq > b.seq);

function newestBy<T>(rows: readonly T[], keyOf: (row: T) => string, isNewer: (a: T, b: T) => boolean): T[] {
  const newest = new Map<string, T>();
  for (const row of rows) {
    const known = newest.get(keyOf(row));
    if (known === undefined || isNewer(row, known)) newest.set(keyOf(row), row);
  }
  return [...newest.values()];
}

const json = (map: Readonly<Record<string, string>>): string => JSON.stringify(Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1))));

/** Each table's rows, in the columns of `iotQueries` (tables.ts). As-of days reach from the first to the newest load of all records. */
export function tablesOf({ readings, entities }: Model): Readonly<Record<string, Rows>> {
  const windows = (sizeMs: number): Rows => {
    const groups = new Map<string, Reading[]>();
    for (const reading of readings) {
      const name = `${seriesOf(reading)}@${Math.floor(reading.eventMs / sizeMs) * sizeMs}`;
      groups.set(name, [...(groups.get(name) ?? []), reading]);
    }
    return [...groups.values()].map((group) => {
      const [first] = group as [Reading, ...Reading[]];
      const values = group.map((reading) => reading.value);
      const sum = values.reduce((a, b) => a + b, 0);
      return [first.device, first.metric, Math.floor(first.eventMs / sizeMs) * sizeMs, group.length, Math.min(...values), Math.max(...values), sum, sum / group.length];
    });
  };
  const loads = [...readings, ...entities].map((row) => row.loadMs);
  const newestLoad = Math.max(...loads);
  const midnights = (first: number): number[] => {
    const days: number[] = [];
    for (let day = (Math.floor(first / DAY_MS) + 1) * DAY_MS; day <= newestLoad; day += DAY_MS) days.push(day);
    return days;
  };
  const readingsAt = (day: number) => newestBy(readings.filter((row) => row.loadMs < day), seriesOf, newer);
  const newerState = (a: EntityState, b: EntityState) => a.eventMs > b.eventMs;
  const statesAt = (day: number) => newestBy(entities.filter((row) => row.loadMs < day), (row) => JSON.stringify([row.entity, row.id]), newerState);
  return {
    readings: readings.map((row) => [row.device, row.metric, String(row.seq), row.eventMs, row.value, row.unit, row.loadMs]),
    readings_latest: readingsAt(Number.POSITIVE_INFINITY).map((row) => [row.device, row.metric, row.value, row.eventMs]),
    readings_1m: windows(60_000),
    readings_1h: windows(3_600_000),
    readings_1d: windows(DAY_MS),
    windows_1h: windows(3_600_000),
    readings_as_of_daily: readings.length === 0 ? [] : midnights(Math.min(...readings.map((row) => row.loadMs))).flatMap((day) => readingsAt(day).map((row) => [day, row.device, row.metric, row.value, row.eventMs])),
    entities: entities.map((row) => [row.entity, row.id, row.eventMs, row.loadMs, json(row.attributes), json(row.relationships)]),
    entities_latest: statesAt(Number.POSITIVE_INFINITY).map((row) => [row.entity, row.id, json(row.attributes), json(row.relationships), row.eventMs]),
    entities_as_of_daily: entities.length === 0 ? [] : midnights(Math.min(...entities.map((row) => row.loadMs))).flatMap((day) => statesAt(day).map((row) => [day, row.entity, row.id, json(row.attributes), json(row.relationships), row.eventMs])),
    relationships_latest: statesAt(Number.POSITIVE_INFINITY).flatMap((row) => Object.entries(row.relationships).map(([relation, related]) => [row.entity, row.id, relation, related, row.eventMs])),
  };
}
