import type { EpochMs } from "../model/index.ts";

/** Time as the engine sees it, so that a run can be simulated. */
export interface Clock {
  /** Wall clock in epoch milliseconds. */
  now(): EpochMs;
  /** Resolves after the given milliseconds, or earlier when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Lets timers, sockets and other loops have their turn; a turn of the event loop where absent. */
  turn?(): Promise<void>;
}

/** A turn of the given clock. */
export function turnOf(clock: Clock): Promise<void> {
  return clock.turn?.() ?? new Promise<void>((resolve) => setImmediate(resolve));
}

/** The machine's clock. */
export const systemClock: Clock = Object.freeze({
  now: () => Date.now(),
  sleep: (ms: number, signal?: AbortSignal) =>
    new Promise<void>((resolve) => {
      if (signal?.aborted === true) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener("abort", done, { once: true });
    }),
});
