import type { StoreRow } from "../case.ts";
import { byText, makeThrottle } from "./rules.ts";
import { lateCount, type ModelAggregation, streamTimes, type WindowedModel, type WindowedStep } from "./windowing.ts";

/** A total with the greatest time of its records. */
interface Total {
  readonly total: unknown;
  readonly ts: number;
}

interface Incoming {
  readonly key: string;
  readonly value: unknown;
  readonly ts: number;
  readonly closeTime: number;
  readonly aggregation: ModelAggregation;
}

/**
 * Sliding windows as Kafka Streams keeps them: for each record of a key the window that ends with it, and the one right behind it where another record
 * falls into that. Only windows are kept, no records: what no open window holds is forgotten. Late when the window's end lies before stream time - grace.
 */
export function slidingWindows(step: WindowedStep): WindowedModel {
  const { context, window, forward } = step;
  const difference = window.timeDifferenceMs as number;
  const retention = step.retentionMs ?? 2 * difference + window.graceMs;
  const times = streamTimes(context.rules.cogroupSharesTime);
  const throttle = makeThrottle(context);
  const windows = new Map<string, Map<number, Total>>();
  let putTime = Number.NEGATIVE_INFINITY;
  let closedTo: number | undefined;
  /** Of the record that is being processed. */
  let taken = 0;
  let late = 0;
  const isShown = (start: number): boolean => start > putTime - retention - (step.emitsOnClose ? 1 : 0);

  const all = (): { readonly key: string; readonly start: number; readonly total: unknown; readonly ts: number }[] =>
    [...windows].flatMap(([key, starts]) => [...starts].map(([start, total]) => ({ key, start, ...total }))).sort((a, b) => a.start - b.start || byText(a.key, b.key));
  const emit = (key: string, start: number, { total, ts }: Total): void => forward({ key: { key, start, end: start + difference }, value: total, ts });
  const put = (key: string, start: number, total: Total): void => {
    const starts = windows.get(key) ?? new Map<number, Total>();
    windows.set(key, starts);
    starts.set(start, total);
    putTime = Math.max(putTime, start);
    if (!step.emitsOnClose) emit(key, start, total);
  };
  const update = ({ key, value, ts, closeTime, aggregation }: Incoming, start: number, before: Total | undefined): void => {
    if (start + difference < closeTime) return void late++;
    taken++;
    put(key, start, { total: aggregation.add(before?.total, value), ts: Math.max(before?.ts ?? ts, ts) });
  };
  const near = (key: string, from: number, to: number): { readonly start: number; readonly found: Total }[] =>
    [...(windows.get(key) ?? [])].filter(([start]) => start >= from && start <= to && (context.rules.slidingWindowsAreFound || isShown(start))).map(([start, found]) => ({ start, found })).sort((a, b) => b.start - a.start);

  /** A record that came before a window's length had passed since 0: all such share `[0, difference]`. */
  const processEarly = (incoming: Incoming): void => {
    const { key, ts } = incoming;
    const found = near(key, 0, ts + 1);
    const shared = found.find(({ start }) => start === 0)?.found;
    const containing = found.filter(({ start }) => start > 0 && start <= ts);
    for (const { start, found: total } of containing) update(incoming, start, total);
    const behind = containing[0]?.found ?? (shared !== undefined && shared.ts > ts ? shared : undefined);
    if (found.every(({ start }) => start !== ts + 1) && behind !== undefined && behind.ts > ts) put(key, ts + 1, behind);
    if (shared !== undefined && shared.ts < ts && found.every(({ start }) => start !== shared.ts + 1)) update(incoming, shared.ts + 1, undefined);
    update(incoming, 0, shared);
  };

  const processOne = (incoming: Incoming): void => {
    const { key, ts } = incoming;
    const found = near(key, Math.max(0, ts - 2 * difference), ts + 1);
    const containing = found.filter(({ start }) => start <= ts && start + difference > ts);
    const left = found.find(({ start }) => start + difference === ts);
    const before = found.find(({ start }) => start + difference < ts)?.found;
    const lastInLeft = left !== undefined && left.found.ts < ts ? left.found.ts : undefined;
    const previous = context.rules.slidingSeesLastRecord ? (lastInLeft ?? before?.ts) : (before?.ts ?? lastInLeft);
    for (const { start, found: total } of containing) update(incoming, start, total);
    if (left !== undefined) update(incoming, left.start, left.found);
    else update(incoming, ts - difference, previous !== undefined && previous >= ts - difference ? before : undefined);
    if (previous !== undefined && previous + 1 + difference >= ts && found.every(({ start }) => start !== previous + 1)) update(incoming, previous + 1, undefined);
    const behind = containing[0]?.found;
    if (found.every(({ start }) => start !== ts + 1) && behind !== undefined && behind.ts > ts) put(key, ts + 1, behind);
  };

  const close = (closeTime: number): void => {
    if (!throttle()) return;
    const from = closedTo;
    if (from !== undefined && from >= closeTime) return;
    closedTo = closeTime;
    for (const { key, start, total, ts } of all()) {
      const end = start + difference;
      if (end < closeTime && (from === undefined || end >= from) && (context.rules.closesKeepAll || isShown(start))) emit(key, start, { total, ts });
    }
  };

  return {
    process(key, value, ts, input, aggregation) {
      if (key === null || value === null) return void context.droppedRecords++;
      const closeTime = times.advance(ts, input) - window.graceMs;
      const incoming: Incoming = { key, value, ts, closeTime, aggregation };
      taken = late = 0;
      if (ts + 1 + difference <= closeTime) late++;
      else if (ts < difference) processEarly(incoming);
      else processOne(incoming);
      context.droppedRecords += lateCount(context, taken, late);
      if (step.emitsOnClose) close(closeTime);
    },
    rows: () => all().filter(({ start }) => (context.rules.storesShowByTime ? start > times.greatest - Math.max(3 * difference + window.graceMs + 1, step.retentionMs ?? 0) : isShown(start))).map(({ key, start, total, ts }): StoreRow => ({ key, start, end: start + difference, value: total, ts })),
  };
}
