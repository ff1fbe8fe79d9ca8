import type { Clock } from "../port/index.ts";

/** A clock that stands until a test moves it. */
export interface ManualClock extends Clock {
  /** Lets time pass: wakes sleepers in the order of their times, and gives each a few turns of the event loop. */
  advance(ms: number): Promise<void>;
  /** How many sleep. */
  sleepers(): number;
}

interface Sleeper {
  readonly until: number;
  readonly wake: () => void;
}

const TURNS_A_WAKING = 8;
const STILL_MAX = 20_000;

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Makes a {@link ManualClock} that begins at the given epoch milliseconds. */
export function manualClock(startMs = 0): ManualClock {
  let now = startMs;
  /** How often sleepers were woken without time passing. */
  let stillCount = 0;
  let lastSleeper = "";
  const sleepers = new Set<Sleeper>();
  return {
    now: () => now,
    sleep(ms, signal) {
      if (signal?.aborted === true) return Promise.resolve();
      if (stillCount > STILL_MAX / 2) lastSleeper = new Error("sleeps").stack ?? "";
      return new Promise<void>((resolve) => {
        const wake = (): void => {
          sleepers.delete(sleeper);
          signal?.removeEventListener("abort", wake);
          resolve();
        };
        const sleeper: Sleeper = { until: now + Math.max(0, ms), wake };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", wake, { once: true });
      });
    },
    async advance(ms) {
      const target = now + ms;
      for (;;) {
        let next: Sleeper | undefined;
        for (const sleeper of sleepers) if (sleeper.until <= target && (next === undefined || sleeper.until < next.until)) next = sleeper;
        if (next === undefined) break;
        stillCount = next.until > now ? 0 : stillCount + 1;
        if (stillCount > STILL_MAX) throw new Error(`time stands still at ${now}: somebody sleeps for no time, again and again: ${lastSleeper}`);
        now = Math.max(now, next.until);
        next.wake();
        await turns(TURNS_A_WAKING);
      }
      now = target;
      await turns(TURNS_A_WAKING);
    },
    sleepers: () => sleepers.size,
  };
}
