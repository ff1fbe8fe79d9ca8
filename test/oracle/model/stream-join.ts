import { joined } from "../functions.ts";
import { byText, type Forward, makeThrottle, type ModelContext, type ModelRecord } from "./rules.ts";

interface Kept {
  readonly key: string;
  readonly value: unknown;
  readonly ts: number;
  readonly isLeft: boolean;
}

export interface StreamJoinStep {
  readonly context: ModelContext;
  readonly type: "inner" | "left" | "outer";
  readonly beforeMs: number;
  readonly afterMs: number;
  readonly graceMs: number;
  readonly forward: Forward;
}

/** A join of two streams: right matches left where `left.ts - before <= right.ts <= left.ts + after`. */
export function streamJoin(step: StreamJoinStep): (record: ModelRecord, isLeft: boolean) => void {
  const { context, type, beforeMs, afterMs, graceMs, forward } = step;
  const { rules } = context;
  const sides: { readonly [side in "left" | "right"]: { kept: Kept[]; time: number } } = { left: { kept: [], time: Number.NEGATIVE_INFINITY }, right: { kept: [], time: Number.NEGATIVE_INFINITY } };
  const retention = beforeMs + afterMs + graceMs;
  const throttle = makeThrottle(context);
  /** Records that nothing has matched yet, by time, right before left, key. */
  let unmatched: Kept[] = [];
  /** Those that have left unmatched. */
  const gone = new Set<Kept>();
  let streamTime = Number.NEGATIVE_INFINITY;
  let leastUnmatched = Number.POSITIVE_INFINITY;

  const keepsUnmatched = (isLeft: boolean): boolean => type === "outer" || (type === "left" && isLeft);
  const lookAhead = (isLeft: boolean): number => (isLeft ? afterMs : beforeMs);
  const send = (key: string | null, left: unknown, right: unknown, ts: number): void => forward({ key, value: joined(left, right), ts });
  const sendUnmatched = ({ key, value, ts, isLeft }: { readonly key: string | null; readonly value: unknown; readonly ts: number; readonly isLeft: boolean }): void =>
    send(key, isLeft ? value : null, isLeft ? null : value, ts);
  const isOpen = (record: Kept): boolean => record.ts + lookAhead(record.isLeft) + graceMs >= streamTime;

  const closeUnmatched = (isLeft: boolean): void => {
    if (type === "inner") return;
    // Before anything was ever kept the sum overflows in Kafka Streams, and the throttle is used up by nothing.
    const isOverflow = leastUnmatched === Number.POSITIVE_INFINITY && lookAhead(isLeft) + graceMs > 0;
    if (!rules.closesByEitherSide && !isOverflow && leastUnmatched + lookAhead(isLeft) + graceMs >= streamTime) return;
    if (!throttle()) return;
    leastUnmatched = Number.POSITIVE_INFINITY;
    const order = [...unmatched].sort((a, b) => a.ts - b.ts || Number(a.isLeft) - Number(b.isLeft) || byText(a.key, b.key));
    const open = { left: false, right: false };
    for (const record of order) {
      leastUnmatched = record.ts;
      if (open.left && open.right) break;
      if (isOpen(record)) {
        open[record.isLeft ? "left" : "right"] = true;
        continue;
      }
      sendUnmatched(record);
      gone.add(record);
      unmatched = unmatched.filter((other) => other !== record);
    }
  };

  return ({ key, value, ts }, isLeft) => {
    streamTime = Math.max(streamTime, ts);
    const own = sides[isLeft ? "left" : "right"];
    const other = sides[isLeft ? "right" : "left"];
    if (key !== null && typeof key === "object") throw new Error("the model joins no windowed records");
    if (value !== null && key === null && keepsUnmatched(isLeft)) return sendUnmatched({ key, value, ts, isLeft });
    if (key === null || value === null) return void context.droppedRecords++;
    const record: Kept = { key, value, ts, isLeft };
    own.time = Math.max(own.time, ts);
    if (ts === streamTime) closeUnmatched(isLeft);
    const least = rules.epochIsNoBound ? Number.NEGATIVE_INFINITY : 0;
    const from = Math.max(least, ts - (isLeft ? beforeMs : afterMs));
    const to = Math.max(least, ts + (isLeft ? afterMs : beforeMs));
    const matches = other.kept
      .filter((candidate) => candidate.key === key && candidate.ts >= from && candidate.ts <= to && candidate.ts > other.time - retention && !(rules.unmatchedOnce && gone.has(candidate)))
      .sort((a, b) => a.ts - b.ts);
    for (const match of matches) {
      unmatched = unmatched.filter((candidate) => !(candidate.isLeft !== isLeft && candidate.key === key && candidate.ts === match.ts));
      send(key, isLeft ? value : match.value, isLeft ? match.value : value, Math.max(ts, match.ts));
    }
    const isAlone = matches.length === 0 && keepsUnmatched(isLeft);
    const isDue = isAlone && (rules.unmatchedOnce ? !isOpen(record) : to < streamTime);
    if (isDue) sendUnmatched(record);
    if (isDue && rules.unmatchedOnce) return;
    own.kept.push(record);
    if (rules.joinsCountLate && ts <= own.time - retention) context.droppedRecords++;
    if (!isAlone || isDue) return;
    unmatched.push(record);
    leastUnmatched = Math.min(leastUnmatched, ts);
  };
}
