import type { DurationMs } from "../model/index.ts";

/** How long after a window's end (in stream time) records still count. */
export interface GraceOptions {
  readonly grace: DurationMs | "unbounded";
}

/** Windows of one size, side by side, aligned to the epoch: `[n * size, (n + 1) * size)`, as Kafka Streams' `TimeWindows` without advance. */
export interface TumblingWindow {
  readonly kind: "tumbling";
  readonly sizeMs: DurationMs;
  /** How long after a window's end (in stream time) records still count. `Infinity` for ever. */
  readonly graceMs: DurationMs;
}

/** Windows of one size that begin every `advance`: `[n * advance, n * advance + size)`, as Kafka Streams' `TimeWindows` with `advanceBy`. */
export interface HoppingWindow {
  readonly kind: "hopping";
  readonly sizeMs: DurationMs;
  readonly advanceMs: DurationMs;
  /** How long after a window's end (in stream time) records still count. `Infinity` for ever. */
  readonly graceMs: DurationMs;
}

/** Windows that hold records at most a time apart, both ends included: one that ends with each record, and one right behind each record, as Kafka Streams' `SlidingWindows`. */
export interface SlidingWindow {
  readonly kind: "sliding";
  readonly timeDifferenceMs: DurationMs;
  /** How long after a window's end (in stream time) records still count. `Infinity` for ever. */
  readonly graceMs: DurationMs;
}

/** Windows as long as a key's records are at most a gap apart, from the first record's time to the last one's, both included, as Kafka Streams' `SessionWindows`. */
export interface SessionWindow {
  readonly kind: "session";
  readonly gapMs: DurationMs;
  /** How long after a session's end and the gap (in stream time) records still count. `Infinity` for ever. */
  readonly graceMs: DurationMs;
}

/** A kind of window with its lengths of time. */
export type Window = TumblingWindow | HoppingWindow | SlidingWindow | SessionWindow;

function graceMs({ grace }: GraceOptions): DurationMs {
  return grace === "unbounded" ? Number.POSITIVE_INFINITY : grace;
}

/**
 * Tumbling windows. A record whose window ended `grace` or more before the stream time is late: it is counted and goes to `.late`.
 *
 * @example readings.groupBy("deviceId").windowed(tumbling(hours(1), { grace: days(2) })).count("readings-an-hour").sink(collect("hours"))
 */
export function tumbling(size: DurationMs, options: GraceOptions): TumblingWindow {
  return Object.freeze({ kind: "tumbling", sizeMs: size, graceMs: graceMs(options) });
}

/**
 * Hopping windows: a record counts in each window that holds its time, `size / advance` of them. It is late where all of these ended `grace` or more before the stream time; where
 * only some did, it counts in the others. No window begins before the epoch.
 *
 * @example clicks.groupByKey().windowed(hopping(minutes(10), { advance: minutes(1), grace: minutes(5) })).count("clicks-in-ten-minutes").toStream()
 */
export function hopping(size: DurationMs, options: GraceOptions & { readonly advance: DurationMs }): HoppingWindow {
  return Object.freeze({ kind: "hopping", sizeMs: size, advanceMs: options.advance, graceMs: graceMs(options) });
}

/**
 * Sliding windows. For each record of a key there is the window `[time - difference, time]`, and `[time + 1, time + 1 + difference]` where other records fall into that; records of
 * the first `difference` after the epoch share `[0, difference]`. A window takes records until the stream time is greater than its end and the grace.
 *
 * @example clicks.groupByKey().windowed(sliding(minutes(10), { grace: minutes(1) })).count("clicks-within-ten-minutes").toStream()
 */
export function sliding(timeDifference: DurationMs, options: GraceOptions): SlidingWindow {
  return Object.freeze({ kind: "sliding", timeDifferenceMs: timeDifference, graceMs: graceMs(options) });
}

/**
 * Session windows. A record at most `gap` from a session of its key extends it, and merges the sessions that it so brings together. A session is closed, and never changes again,
 * when the stream time is greater than its end, the gap and the grace.
 *
 * @example clicks.groupByKey().windowed(session(minutes(30), { grace: minutes(5) })).count("visits").toStream()
 */
export function session(gap: DurationMs, options: GraceOptions): SessionWindow {
  return Object.freeze({ kind: "session", gapMs: gap, graceMs: graceMs(options) });
}

/** How long a window is at least open: its size, difference or gap. */
export function windowLengthMs(window: Window): DurationMs {
  switch (window.kind) {
    case "sliding":
      return window.timeDifferenceMs;
    case "session":
      return window.gapMs;
    default:
      return window.sizeMs;
  }
}
