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

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Makes a {@link ManualClock} that begins at the given epoch milliseconds. */
export function manualClock(startMs = 0): ManualClock {
  let now = startMs;
  const sleepers = new Set<Sleeper>();
  return {
    now: () => now,
    sleep(ms, signal) {
      if (signal?.aborted === true) return Promise.resolve();
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
