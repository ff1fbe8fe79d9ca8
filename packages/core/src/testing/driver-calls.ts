import type { Clock } from "../port/index.ts";
import type { AsyncCalls } from "../runtime/async-calls.ts";
import type { Task } from "../task/task.ts";

interface Sleeper {
  readonly until: number;
  readonly wake: () => void;
}

/** The driver's clock: it stands until it is moved. */
export class DriverClock implements Clock {
  #now = 0;
  readonly #sleepers = new Set<Sleeper>();
  #changed: () => void = () => {};
  #change: Promise<void> = Promise.resolve();

  constructor() {
    this.#renew();
  }

  now(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const wake = (): void => {
        this.#sleepers.delete(sleeper);
        signal?.removeEventListener("abort", wake);
        resolve();
      };
      const sleeper: Sleeper = { until: this.#now + ms, wake };
      this.#sleepers.add(sleeper);
      signal?.addEventListener("abort", wake, { once: true });
    });
  }

  /** Moves the clock and wakes whoever has slept enough. */
  pass(ms: number): void {
    this.#now += ms;
    for (const { until, wake } of [...this.#sleepers]) if (until <= this.#now) wake();
  }

  /** Moves the clock to the next who wakes. */
  passToNext(): void {
    const next = Math.min(...[...this.#sleepers].map(({ until }) => until));
    if (Number.isFinite(next)) this.pass(Math.max(0, next - this.#now));
  }

  #renew(): void {
    this.#change = new Promise((resolve) => {
      this.#changed = resolve;
    });
  }

  /** Tells that a call has come back or pauses. */
  changed(): void {
    this.#changed();
    this.#renew();
  }

  /** Resolves with the next change. */
  change(): Promise<void> {
    return this.#change;
  }
}

/** Makes calls until none is pending. */
export async function settleCalls(parts: readonly { readonly task: Task; readonly calls: AsyncCalls }[], clock: DriverClock, drain: () => void): Promise<void> {
  for (;;) {
    const change = clock.change();
    let count = 0;
    for (const { calls } of parts) {
      count += calls.step();
      drain();
    }
    const waiting = parts.filter(({ task }) => task.pendingCalls > 0);
    if (waiting.length === 0) return;
    if (count > 0) continue;
    if (waiting.every(({ calls }) => calls.isSleeping)) {
      clock.passToNext();
      await Promise.resolve();
    }
    await change;
  }
}
