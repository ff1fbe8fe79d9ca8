import type { StoreRow } from "../case.ts";
import { byText, makeThrottle } from "./rules.ts";
import { lateCount, type ModelAggregation, streamTimes, type WindowedModel, type WindowedStep } from "./windowing.ts";

interface Entry {
  readonly key: string;
  readonly start: number;
  total: unknown;
  ts: number;
}

/** Tumbling and hopping windows: `[start, start + size)`, late when `end + grace <= stream time`, closed by that same rule. */
export function timeWindows(step: WindowedStep): WindowedModel {
  const { context, window, forward } = step;
  const size = window.sizeMs as number;
  const advance = window.advanceMs ?? size;
  const retention = step.retentionMs ?? size + window.graceMs;
  const times = streamTimes(context.rules.cogroupSharesTime);
  const entries = new Map<string, Entry>();
  const throttle = makeThrottle(context);
  let putTime = Number.NEGATIVE_INFINITY;
  let closedTo: number | undefined;
  /** What the store still shows: Kafka Streams hides what is older than the retention, by the greatest start that was put; a store for emitting on close shows one more. */
  const isShown = ({ start }: Entry): boolean => start > putTime - retention - (step.emitsOnClose ? 1 : 0);
  const inOrder = (): Entry[] => [...entries.values()].sort((a, b) => a.start - b.start || byText(a.key, b.key));

  const emit = ({ key, start, total, ts }: Entry): void => forward({ key: { key, start, end: start + size }, value: total, ts });
  const close = (closeTime: number): void => {
    if (!throttle()) return;
    const from = closedTo;
    if (from !== undefined && from >= closeTime) return;
    closedTo = closeTime;
    for (const entry of inOrder()) {
      const end = entry.start + size;
      if (end <= closeTime && (from === undefined || end > from) && (context.rules.closesKeepAll || isShown(entry))) emit(entry);
    }
  };
  const update = (key: string, value: unknown, ts: number, start: number, aggregation: ModelAggregation): void => {
    const id = `${start} ${key}`;
    const known = entries.get(id);
    const found = known !== undefined && isShown(known) ? known : undefined;
    const entry: Entry = { key, start, total: aggregation.add(found?.total, value), ts: Math.max(found?.ts ?? ts, ts) };
    putTime = Math.max(putTime, start);
    if (entry.total === null) entries.delete(id);
    else entries.set(id, entry);
    if (!step.emitsOnClose) emit(entry);
  };

  return {
    process(key, value, ts, input, aggregation) {
      if (key === null || (step.dropsNullValues && value === null)) return void context.droppedRecords++;
      const closeTime = times.advance(ts, input) - window.graceMs;
      const first = Math.max(0, Math.ceil((ts - size + 1) / advance) * advance);
      let taken = 0;
      let late = 0;
      for (let start = first; start <= ts; start += advance) {
        if (start + size > closeTime) {
          taken++;
          update(key, value, ts, start, aggregation);
        } else late++;
      }
      context.droppedRecords += lateCount(context, taken, late);
      if (step.emitsOnClose) close(closeTime);
    },
    rows: () => inOrder().filter((entry) => (context.rules.storesShowByTime ? entry.start > times.greatest - Math.max(size + window.graceMs, retention) : isShown(entry))).map(({ key, start, total, ts }): StoreRow => ({ key, start, end: start + size, value: total, ts })),
  };
}
