import type { DurationMs } from "../model/index.ts";

/** How far apart in event time two records may be to be joined: from `left - before` to `left + after`, both inclusive. */
export interface JoinWindow {
  readonly kind: "join-window";
  readonly beforeMs: DurationMs;
  readonly afterMs: DurationMs;
  readonly graceMs: DurationMs;
}

/** The lengths of a join's window. */
export interface JoinWindowForm {
  /** How much earlier than the left record the right one may be; below 0 where it must be later. */
  readonly before: DurationMs;
  /** How much later it may be; below 0 where it must be earlier. */
  readonly after: DurationMs;
  /** How long after that, in the join's stream time, a record of the other side may still come; what is unmatched then is sent as such. */
  readonly grace: DurationMs;
}

/**
 * The window of a join of streams. A right record joins a left one if its time is at least `left - before` and at most `left + after`: Kafka Streams' `JoinWindows`.
 *
 * @example joinWindow({ before: 0, after: minutes(10), grace: minutes(1) })
 */
export function joinWindow({ before, after, grace }: JoinWindowForm): JoinWindow {
  return Object.freeze({ kind: "join-window", beforeMs: before, afterMs: after, graceMs: grace });
}
