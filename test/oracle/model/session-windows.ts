import type { StoreRow } from "../case.ts";
import { byText, makeThrottle } from "./rules.ts";
import { streamTimes, type WindowedModel, type WindowedStep } from "./windowing.ts";

interface Session {
  readonly key: string;
  readonly start: number;
  readonly end: number;
  readonly total: unknown;
}

const SEGMENT_LEAST_MS = 60_000;

/** Sessions: records at most a gap apart; late when the merged session's end lies before stream time - grace - gap. */
export function sessionWindows(step: WindowedStep): WindowedModel {
  const { context, window, forward } = step;
  const gap = window.gapMs as number;
  const retention = step.retentionMs ?? gap + window.graceMs;
  const segmentMs = Math.max(retention / 2, SEGMENT_LEAST_MS);
  const times = streamTimes(context.rules.cogroupSharesTime);
  const throttle = makeThrottle(context);
  let sessions: Session[] = [];
  let putTime = Number.NEGATIVE_INFINITY;
  let closedTo: number | undefined;
  const isShown = ({ end }: Session): boolean => end > putTime - retention;
  /** A close looks at whole segments of the store, those that were not dropped. */
  const isStored = ({ end }: Session): boolean => Math.floor(end / segmentMs) >= Math.floor((putTime - retention) / segmentMs);

  const emit = ({ key, start, end }: Session, value: unknown): void => forward({ key: { key, start, end }, value, ts: end });
  const close = (closeTime: number): void => {
    if (!throttle()) return;
    const from = closedTo;
    if (from !== undefined && from >= closeTime) return;
    closedTo = closeTime;
    const due = sessions.filter((session) => session.end < closeTime && (from === undefined || session.end >= from) && (context.rules.closesKeepAll || isStored(session)));
    for (const session of due.sort((a, b) => a.end - b.end || a.start - b.start || byText(a.key, b.key))) emit(session, session.total);
  };

  return {
    process(key, value, ts, input, aggregation) {
      if (key === null || (step.dropsNullValues && value === null)) return void context.droppedRecords++;
      const closeTime = times.advance(ts, input) - window.graceMs - gap;
      const near = sessions
        .filter((session) => session.key === key && session.end >= ts - gap && session.start <= ts + gap && (context.rules.sessionsAreFound ? session.end >= closeTime : isShown(session)))
        .sort((a, b) => a.end - b.end);
      const start = Math.min(ts, ...near.map((session) => session.start));
      const end = Math.max(ts, ...near.map((session) => session.end));
      if (end < closeTime) {
        context.droppedRecords++;
      } else {
        const before = near.reduce((total, session) => aggregation.merge(total, session.total), aggregation.init());
        const merged: Session = { key, start, end, total: aggregation.add(before, value) };
        const isNew = near.length === 0 || (start === ts && end === ts);
        sessions = sessions.filter((session) => !near.includes(session) && !(session.key === key && session.start === start && session.end === end));
        if (!isNew && !step.emitsOnClose) for (const session of near) emit(session, null);
        if (merged.total !== null) sessions.push(merged);
        putTime = Math.max(putTime, end);
        if (!step.emitsOnClose) emit(merged, merged.total);
      }
      if (step.emitsOnClose) close(closeTime);
    },
    rows: () =>
      sessions
        .filter((session) => (context.rules.storesShowByTime ? session.end >= times.greatest - gap - window.graceMs || session.end > times.greatest - retention : isShown(session)))
        .sort((a, b) => byText(a.key, b.key) || a.start - b.start || a.end - b.end)
        .map(({ key, start, end, total }): StoreRow => ({ key, start, end, value: total })),
  };
}
