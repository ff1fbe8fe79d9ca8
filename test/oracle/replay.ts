/** Runs a case's inputs through the test driver. */
import { type DriverStore, type TestDriver, testDriver } from "@iot-topology/core/testing";
import { buildCase } from "./build.ts";
import { type AsOfRow, type CaseOutput, type CaseResult, momentsOf, type OracleCase, type StoreDump, type StoreRow } from "./case.ts";

interface WindowedValue {
  readonly key: string;
  readonly window_start: number;
  readonly window_end: number;
  readonly value: unknown;
}

function isWindowed(value: unknown): value is WindowedValue {
  return typeof value === "object" && value !== null && "window_start" in value && "window_end" in value;
}

/** A record of a windowed table carries its window in its value; the format has it in the key. */
function outputsOf(driver: TestDriver, by: number): CaseOutput[] {
  return driver.read().map(({ target, key, value, timestamp }): CaseOutput => {
    const text = key === null || typeof key === "string" ? key : Buffer.from(key).toString("utf8");
    if (!isWindowed(value)) return { topic: target, key: text, value, ts: timestamp, by };
    return { topic: target, key: { key: value.key, start: value.window_start, end: value.window_end }, value: value.value, ts: timestamp, by };
  });
}

/** Records that steps did not take: no key, no value, too late. */
function droppedRecords(driver: TestDriver): number {
  const { dropped, late } = driver.counters();
  return Object.values(dropped).reduce((sum, count) => sum + count, late);
}

function versionedDump(store: DriverStore, moments: ReadonlyMap<string, readonly number[]>): StoreDump {
  const asOf = [...moments].flatMap(([key, times]) =>
    times.map((moment): AsOfRow => {
      const found = store.get(key, moment);
      return { key, asOf: moment, value: found?.value ?? null, ts: found?.timestamp ?? null, validTo: found?.validTo ?? null };
    }),
  );
  return { type: "versioned", latest: store.range().map(({ key, value, timestamp }) => ({ key, value, ts: timestamp ?? null })), asOf };
}

/** A session has no time but its end, so the format has none either. */
function entriesDump(store: DriverStore): StoreDump {
  const entries = store.range().map(({ key, start, end, value, timestamp }): StoreRow => (start === undefined || end === undefined ? { key, value, ts: timestamp ?? null } : { key, start, end, value, ts: timestamp ?? null }));
  return { type: "kv", entries };
}

function storesOf(driver: TestDriver, test: OracleCase): Record<string, StoreDump> {
  void driver.commit();
  const stores: Record<string, StoreDump> = {};
  for (const { store: name, historyMs, topic } of test.topology.nodes) {
    if (name === undefined) continue;
    const store = driver.store(name);
    stores[name] = historyMs === undefined ? entriesDump(store) : versionedDump(store, momentsOf(test, topic));
  }
  return stores;
}

/** What our engine makes of a case. */
export function replay(test: OracleCase, throughTopics: boolean): CaseResult {
  const driver = testDriver(buildCase(test, throughTopics));
  const outputs: CaseOutput[] = [];
  for (const [by, input] of test.inputs.entries()) {
    if ("advanceWallClockMs" in input) {
      driver.advanceWallClock(input.advanceWallClockMs);
      outputs.push(...outputsOf(driver, by));
      continue;
    }
    const { topic, key, value, ts } = input;
    driver.pipe(topic, { key, value: value === null ? null : JSON.stringify(value), timestamp: ts });
    outputs.push(...outputsOf(driver, by));
  }
  return { outputs, stores: storesOf(driver, test), droppedRecords: droppedRecords(driver) };
}
