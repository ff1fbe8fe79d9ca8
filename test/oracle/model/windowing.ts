/** What the models of the three kinds of windowed aggregates share. */
import type { StoreRow, WindowSpec } from "../case.ts";
import type { Forward, ModelContext } from "./rules.ts";

/** How a total grows. */
export interface ModelAggregation {
  /** The total after one more value; `undefined` before the first. */
  readonly add: (total: unknown, value: unknown) => unknown;
  readonly merge: (left: unknown, right: unknown) => unknown;
  /** The total that a session starts from, into which those it replaces are merged. */
  readonly init: () => unknown;
  /** The total without a value that a table's row had before. */
  readonly subtract: (total: unknown, value: unknown) => unknown;
}

export interface WindowedStep {
  readonly context: ModelContext;
  readonly window: WindowSpec;
  readonly emitsOnClose: boolean;
  readonly retentionMs: number | undefined;
  readonly forward: Forward;
  /** Whether a null value is dropped; sliding windows do so always. */
  readonly dropsNullValues: boolean;
}

/** A windowed aggregate in the model. A cogroup feeds one from several inputs, by their number. */
export interface WindowedModel {
  process(key: string | null, value: unknown, ts: number, input: number, aggregation: ModelAggregation): void;
  rows(): StoreRow[];
}

/** How many dropped records a record counts for, by how many windows took it and for how many it was late. */
export function lateCount({ rules }: ModelContext, taken: number, late: number): number {
  return rules.lateOnce ? Number(taken === 0 && late > 0) : late;
}

export interface StreamTimes {
  /** Takes note of a timestamp, and gives the stream time that holds for this input. */
  advance(ts: number, input: number): number;
  /** The greatest of all. */
  readonly greatest: number;
}

/** One stream time, or one an input. */
export function streamTimes(isShared: boolean): StreamTimes {
  const times = new Map<number, number>();
  return {
    advance(ts, input) {
      const slot = isShared ? 0 : input;
      const time = Math.max(times.get(slot) ?? Number.NEGATIVE_INFINITY, ts);
      times.set(slot, time);
      return time;
    },
    get greatest() {
      return Math.max(...times.values());
    },
  };
}
