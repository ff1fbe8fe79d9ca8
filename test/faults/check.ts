/** The invariants that must hold after every run, whatever happened in it. */
import type { ClusterLog, InstanceStatus } from "@iot-topology/core";
import { select } from "../iot/tables.ts";
import type { ApacheClient, SeenRecord } from "./apache-client.ts";
import { compareSequences, compareSets, compareValues, type Findings } from "./findings.ts";
import type { LoadEvent } from "./load.ts";
import { type Expected, expectedOf, type Totals, windowName } from "./model.ts";
import { OUTPUTS, PARTITIONS, repartitionOf, topicOf } from "./topology.ts";

const SEEN_DEADLINE_MS = 20_000;
const FETCH_LIMITS = { recordsMax: 5_000, bytesMax: 8 << 20 };

type Row = Readonly<Record<string, unknown>>;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const rowOf = ({ value }: { readonly value: Buffer | null }): Row => JSON.parse(String(value)) as Row;
const moment = (value: unknown): number => (typeof value === "number" ? value : Date.parse(String(value)));
const eventText = ({ device, seq, site, value, at }: LoadEvent): string => JSON.stringify([device, seq, site, value, at]);
const rowText = ({ device, seq, site, value, at }: Row): string => JSON.stringify([device, seq, site, value, moment(at)]);

/** All that a topic holds for a read_committed reader, through the client under test. */
export async function readTopic(log: ClusterLog, topic: string): Promise<SeenRecord[]> {
  const records: SeenRecord[] = [];
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const { start, end } = await log.offsets(topic, partition);
    for (let at = start; at < end; ) {
      const { records: some, nextOffset } = await log.fetch(topic, partition, at, FETCH_LIMITS);
      for (const { offset, timestamp, key, value } of some) if (offset < end) records.push({ topic, partition, offset, timestamp, key, value });
      if (nextOffset === at) await pause(5);
      at = nextOffset;
    }
  }
  return records;
}

const placeText = ({ partition, offset, key, value }: SeenRecord): string => `${partition}/${offset} ${key?.toString("base64") ?? "-"} ${value?.toString("base64") ?? "-"}`;

/** What Apache's reader has seen of a topic, once that is all. It read along, so it must agree with a reader that comes afterwards. */
async function seenBy(apache: ApacheClient, log: ClusterLog, topic: string, findings: Findings): Promise<readonly SeenRecord[]> {
  const ours = await readTopic(log, topic);
  const until = Date.now() + SEEN_DEADLINE_MS;
  while (apache.seen(topic).length < ours.length && Date.now() < until) await pause(20);
  const seen = apache.seen(topic);
  compareSets(findings, `${topic} as our client reads it, beside Apache's`, ours.map(placeText), seen.map(placeText));
  return seen;
}

function byKey(records: readonly SeenRecord[], key: "device" | "site"): Map<string, Row[]> {
  const rows = new Map<string, Row[]>();
  for (const record of records) {
    const row = rowOf(record);
    const name = String(row[key]);
    const list = rows.get(name);
    if (list === undefined) rows.set(name, [row]);
    else list.push(row);
  }
  return rows;
}

function checkSequences(findings: Findings, what: string, seen: readonly SeenRecord[], expected: ReadonlyMap<string, readonly LoadEvent[]>): void {
  const actual = byKey(seen, "device");
  for (const device of new Set([...actual.keys(), ...expected.keys()])) {
    compareSequences(findings, `${what} of ${JSON.stringify(device)}`, (actual.get(device) ?? []).map(rowText), (expected.get(device) ?? []).map(eventText));
  }
}

/** Rows of a window come with growing counts, each once, and the last is the model's. */
function checkWindows(findings: Findings, what: string, seen: readonly SeenRecord[], key: "device" | "site", expected: ReadonlyMap<string, Totals>): void {
  const last = new Map<string, Row>();
  for (const [name, rows] of byKey(seen, key)) {
    for (const row of rows) {
      const window = windowName(name, moment(row["window_start"]));
      const known = last.get(window);
      if (known !== undefined && Number(row["updates"]) <= Number(known["updates"])) {
        findings.doubled++;
        findings.problems.push(`${what} ${window}: update ${String(row["updates"])} comes behind update ${String(known["updates"])}`);
      }
      last.set(window, row);
    }
  }
  const text = (n: unknown, total: unknown, ...more: unknown[]): string => JSON.stringify([n, total, ...more]);
  const actual = [...last].map(([window, { n, total, updates, low, high }]) => `${window} ${key === "site" ? text(n, total, updates, low, high) : text(n, total, updates)}`);
  compareSets(findings, what, actual, [...expected].map(([window, { n, total, low, high }]) => `${window} ${key === "site" ? text(n, total, n, low, high) : text(n, total, n)}`));
}

/** Every output topic against the model, as Apache's reader saw it. Answers the model, which comes from the input as that reader saw it. */
export async function checkTopics(findings: Findings, name: string, apache: ApacheClient, log: ClusterLog): Promise<Expected> {
  const expected = expectedOf(await seenBy(apache, log, topicOf(name, "input"), findings));
  const seen = new Map<string, readonly SeenRecord[]>();
  for (const output of OUTPUTS) seen.set(output, await seenBy(apache, log, topicOf(name, output), findings));
  checkSequences(findings, "clean", seen.get("clean") ?? [], expected.clean);
  checkSequences(findings, "late", seen.get("late") ?? [], expected.late);
  compareSets(findings, "dead", (seen.get("dead") ?? []).map(rowOf).map(({ partition, offset, code }) => `${String(partition)}/${String(offset)} ${String(code)}`), expected.dead);
  checkWindows(findings, "device-hours", seen.get("device-hours") ?? [], "device", expected.deviceHours);
  checkWindows(findings, "site-hours", seen.get("site-hours") ?? [], "site", expected.siteHours);
  return expected;
}

/** Every record read is accounted for, in the counters that stand in the changelogs. */
export function checkCounters(findings: Findings, name: string, { counters }: InstanceStatus, expected: Expected): void {
  const { read, deduplicated, filtered, late, deadLetters, clean } = expected.counters;
  compareValues(findings, "counters", [counters.read, counters.deduplicated, counters.filtered, counters.late], [read, deduplicated, filtered, late]);
  compareValues(findings, "dead letters counted", Object.values(counters.deadLetters).reduce((sum, count) => sum + count, 0), deadLetters);
  for (const topic of [topicOf(name, "clean"), repartitionOf(name)]) compareValues(findings, `rows written to ${topic}`, counters.written[topic] ?? 0, clean);
  const { [topicOf(name, "clean")]: written = 0 } = counters.written;
  compareValues(findings, "read = written + deduplicated + filtered + dead letters", counters.read - clean, written + deduplicated + filtered + deadLetters);
}

/** The group stands at the end of everything, and nothing is open: as Apache's admin client sees it. */
export async function checkGroup(findings: Findings, name: string, apache: ApacheClient): Promise<void> {
  for (const [place, { committed, end }] of await apache.groupPlaces(name, [topicOf(name, "input"), repartitionOf(name)])) {
    if (end > 0 && committed !== end) findings.problems.push(`${place}: committed ${committed}, end ${end}`);
  }
  const open = await apache.openTransactions(`${name}:`);
  if (open.size > 0) findings.problems.push(`transactions left open: ${[...open].map(([id, state]) => `${id} ${state}`).join(", ")}`);
}

/** The history and both of its views against the model. */
export async function checkClickHouse(findings: Findings, url: string, database: string, { clean, latest, allHours }: Expected): Promise<void> {
  const at = (column: string): string => `toUnixTimestamp64Milli(${column})`;
  const rows = async (sql: string): Promise<string[]> => (await select(url, sql)).map((row) => JSON.stringify(row));
  compareSets(findings, "ClickHouse history", await rows(`SELECT device, seq, site, value, ${at("at")} FROM ${database}.readings`), [...clean.values()].flat().map(eventText));
  compareSets(findings, "ClickHouse latest", await rows(`SELECT device, seq, site, value, ${at("at")} FROM ${database}.readings_latest`), [...latest.values()].map(eventText));
  const windows = await rows(`SELECT concat(device, '@', toString(${at("toDateTime64(window_start, 3, 'UTC')")})), n, total, high FROM ${database}.readings_1h`);
  compareSets(findings, "ClickHouse windows", windows, [...allHours].map(([window, { n, total, high }]) => JSON.stringify([window, n, total, high])));
}
