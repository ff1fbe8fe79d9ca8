/** Runs a case's inputs through the test driver. */
import { type TestDriver, testDriver } from "@iot-topology/core/testing";
import { buildCase } from "./build.ts";
import type { CaseOutput, CaseResult, OracleCase, StoreDump } from "./case.ts";

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

function storesOf(driver: TestDriver, test: OracleCase): Record<string, StoreDump> {
  void driver.commit();
  const stores: Record<string, StoreDump> = {};
  for (const { store } of test.topology.nodes) {
    if (store === undefined) continue;
    stores[store] = { type: "kv", entries: driver.store(store).range().map(({ key, value, timestamp }) => ({ key, value, ts: timestamp })) };
  }
  return stores;
}

/** What our engine makes of a case. */
export function replay(test: OracleCase): CaseResult {
  const driver = testDriver(buildCase(test));
  const outputs: CaseOutput[] = [];
  for (const [by, input] of test.inputs.entries()) {
    if ("advanceWallClockMs" in input) continue;
    const { topic, key, value, ts } = input;
    driver.pipe(topic, { key, value: value === null ? null : JSON.stringify(value), timestamp: ts });
    outputs.push(...outputsOf(driver, by));
  }
  return { outputs, stores: storesOf(driver, test), droppedRecords: droppedRecords(driver) };
}
