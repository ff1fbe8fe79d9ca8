import type { DurationMs } from "../model/index.ts";

/** Windows of one size, side by side, aligned to the epoch: `[n * size, (n + 1) * size)`, as Kafka Streams' `TimeWindows` without advance. */
export interface TumblingWindow {
  readonly kind: "tumbling";
  readonly sizeMs: DurationMs;
  /** How long after a window's end (in stream time) records still count. `Infinity` for ever. */
  readonly graceMs: DurationMs;
}

/**
 * Tumbling windows. A record whose window ended more than `grace` before the stream time is late: it is counted and goes to `.late`.
 *
 * @example tumbling(hours(1), { grace: days(2) })
 */
export function tumbling(size: DurationMs, options: { readonly grace: DurationMs | "unbounded" }): TumblingWindow {
  return Object.freeze({ kind: "tumbling", sizeMs: size, graceMs: options.grace === "unbounded" ? Number.POSITIVE_INFINITY : options.grace });
}
