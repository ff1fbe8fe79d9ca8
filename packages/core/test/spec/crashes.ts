/** A random life of a topology, with commits and crashes, beside the same life without. */
import type { Test } from "tap";
import type { Header, Topology } from "@iot-topology/core";
import { type PipedRecord, type TestDriver, testDriver } from "@iot-topology/core/testing";

/** A seed that is told, so that a failure can be run again: `SEED=n node ... x.test.ts`. */
export function seedOf(t: Test): number {
  const seed = Number(process.env["SEED"] ?? Date.now() & 0xfffff);
  t.comment(`seed ${seed}`);
  return seed;
}

/** Random numbers in [0, 1) from a seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Headers as `key=value,...`. */
export function headersText(headers: readonly Header[]): string {
  return headers.map(({ key, value }) => `${key}=${value === null ? "null" : Buffer.from(value).toString()}`).join();
}

type Made = PipedRecord & { readonly topic: string };

function rowsOf(driver: TestDriver): unknown[] {
  return driver.rows("out").map(({ key, value, timestamp, topic, offset, index }) => [key, value, timestamp, topic, offset, index]);
}

/** Pipes the same random records into two drivers, one of which commits and crashes at random places, at least once, and compares what `out` got and the counters. */
export async function withCrashes(t: Test, topology: Topology, seed: number, make: (random: () => number, index: number) => Made, { records = 300, lives = 20 }: { readonly records?: number; readonly lives?: number } = {}): Promise<void> {
  for (let life = 0; life < lives; life++) {
    const random = randomOf(seed + life);
    const made = Array.from({ length: records }, (_, index) => make(random, index));
    const [calm, torn] = [testDriver(topology), testDriver(topology)];
    for (const { topic, ...record } of made) calm.pipe(topic, record);
    await calm.commit();
    let committed = 0;
    let crashes = 0;
    for (let at = 0; at < made.length; ) {
      const { topic, ...record } = made[at] as Made;
      torn.pipe(topic, record);
      at++;
      const chance = random();
      const spared = crashes === 0 && at === made.length;
      if (chance < 0.1 && !spared) {
        await torn.commit();
        committed = at;
      } else if (chance < 0.15 || spared) {
        torn.crash();
        crashes++;
        at = committed;
      }
    }
    await torn.commit();
    if (JSON.stringify(rowsOf(torn)) !== JSON.stringify(rowsOf(calm))) return void t.same(rowsOf(torn), rowsOf(calm), `life ${life} of seed ${seed}`);
    t.same(torn.counters(), calm.counters(), `counters of life ${life}`);
  }
}
