import { type TestDriver, testDriver } from "@iot-topology/core/testing";
import type { Topology } from "@iot-topology/core";

/** A record of a schedule: topic, key, value, epoch milliseconds. */
export type ScheduledRecord = readonly [topic: string, key: string | null, value: unknown, timestamp: number];

/** Records with times that mostly go forward, over a few keys; one in eight is a deletion. */
export function randomRecords(random: () => number, topics: readonly string[], count: number, valueOf: (n: number, topic: string) => unknown): ScheduledRecord[] {
  let time = 0;
  return Array.from({ length: count }, (_, n) => {
    time += Math.floor(random() * 6);
    const topic = topics[Math.floor(random() * topics.length)] as string;
    const value = random() < 0.125 ? null : valueOf(n, topic);
    return [topic, "abcde"[Math.floor(random() * 5)] as string, value, Math.max(0, time - (random() < 0.3 ? Math.floor(random() * 40) : 0))] as const;
  });
}

function pipe(driver: TestDriver, [topic, key, value, timestamp]: ScheduledRecord): void {
  driver.pipe(topic, { key, value: value === null ? null : JSON.stringify(value), timestamp });
}

/** All rows of a run in which nothing happens but the records. */
export function straightRun(topology: Topology, records: readonly ScheduledRecord[]): TestDriver {
  const driver = testDriver(topology);
  for (const record of records) pipe(driver, record);
  void driver.commit();
  return driver;
}

/** The same with commits and crashes in between, after which what was not committed comes again; there is at least one crash. */
export function crashingRun(topology: Topology, records: readonly ScheduledRecord[], random: () => number): TestDriver {
  const driver = testDriver(topology);
  let crashes = 0;
  let committed = 0;
  for (let next = 0; next < records.length; ) {
    pipe(driver, records[next++] as ScheduledRecord);
    const chance = random();
    const spared = crashes === 0 && next === records.length;
    if (chance < 0.15 && !spared) {
      void driver.commit();
      committed = next;
    } else if (chance < 0.25 || spared) {
      driver.crash();
      next = committed;
      crashes++;
    }
  }
  void driver.commit();
  return driver;
}
