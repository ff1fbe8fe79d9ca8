/**
 * The places at which the model can follow either Kafka Streams or this project. With none of the rules the model gives what Kafka Streams gives,
 * surprises included; each rule replaces one of them.
 */
export interface ModelRules {
  /** A window is closed with all that it holds, however far stream time has jumped. */
  readonly closesKeepAll: boolean;
  /** A session that a record may still be merged into is found. */
  readonly sessionsAreFound: boolean;
  /** `suppress(untilWindowCloses)` sends one result a window, once nothing can change it any more. */
  readonly suppressOnce: boolean;
  /** An unmatched record is sent once nothing can match it any more, and matches nothing after that. */
  readonly unmatchedOnce: boolean;
  /** A join's window that ends before the epoch holds nothing. */
  readonly epochIsNoBound: boolean;
  /** What a record closes does not depend on which side of a join brought it. */
  readonly closesByEitherSide: boolean;
  /** The last record before another one is that with the greatest time, so that no window begins with what lies before it. */
  readonly slidingSeesLastRecord: boolean;
  /** A record that is late for all of its windows is counted once, and one that some window took is not. */
  readonly lateOnce: boolean;
  /** Sliding windows that a record still needs are found. */
  readonly slidingWindowsAreFound: boolean;
  /** A record that a join of streams can no longer keep is counted. */
  readonly joinsCountLate: boolean;
  /** A store shows what is kept by stream time. */
  readonly storesShowByTime: boolean;
  /** A record without a key, where keys bring records together, is counted. */
  readonly countsNullKeys: boolean;
  /** A filter of a table knows whether there is anything to delete. */
  readonly filtersKnowBefore: boolean;
  /** All streams of a cogroup share one stream time. */
  readonly cogroupSharesTime: boolean;
  /** A versioned table remembers from when on a row is deleted, whatever stands before it. */
  readonly deletionsAreKept: boolean;
  /** Closed windows and unmatched records leave by stream time alone. */
  readonly unthrottled: boolean;
}

export const KAFKA_RULES: ModelRules = Object.freeze({
  closesKeepAll: false,
  sessionsAreFound: false,
  suppressOnce: false,
  unmatchedOnce: false,
  epochIsNoBound: false,
  closesByEitherSide: false,
  slidingSeesLastRecord: false,
  lateOnce: false,
  slidingWindowsAreFound: false,
  joinsCountLate: false,
  storesShowByTime: false,
  countsNullKeys: false,
  filtersKnowBefore: false,
  cogroupSharesTime: false,
  deletionsAreKept: false,
  unthrottled: false,
});

export type RuleName = keyof ModelRules;

/** A record in the model. */
export interface ModelRecord {
  readonly key: string | null | { readonly key: string; readonly start: number; readonly end: number };
  readonly value: unknown;
  readonly ts: number;
  /** The value before, in a table's change. */
  readonly old?: unknown;
  /** Set where a versioned table has a newer version. */
  readonly isOutOfOrder?: boolean;
}

export type Forward = (record: ModelRecord) => void;

/** What the model's steps share. */
export interface ModelContext {
  readonly rules: ModelRules;
  readonly emitIntervalMs: number;
  wallClockMs: number;
  droppedRecords: number;
}

/** Kafka Streams' throttle by wall clock: true where it is time, and then not before the interval has passed. */
export function makeThrottle(context: ModelContext): () => boolean {
  let nextMs = Number.NEGATIVE_INFINITY;
  return () => {
    if (context.rules.unthrottled) return true;
    if (context.wallClockMs < nextMs) return false;
    nextMs = context.wallClockMs + context.emitIntervalMs;
    return true;
  };
}

/** Text as Java's strings compare, for what we use: code units. */
export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
