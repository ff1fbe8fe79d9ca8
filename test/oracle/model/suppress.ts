import type { WindowSpec } from "../case.ts";
import { byText, type Forward, type ModelContext, type ModelRecord } from "./rules.ts";

/**
 * `suppress(untilWindowCloses)`: keeps the last update of each window, and sends it when the greatest time of an update has passed the window's end and
 * the wait (grace, and the gap of sessions).
 */
export function suppressWindows({ rules }: ModelContext, { type, graceMs, gapMs = 0 }: WindowSpec, forward: Forward): Forward {
  // Sliding windows and sessions may still change at that very moment.
  const waitMs = graceMs + gapMs + (rules.suppressOnce && (type === "sliding" || type === "session") ? 1 : 0);

  const kept = new Map<string, ModelRecord>();
  let time = Number.NEGATIVE_INFINITY;
  return (record) => {
    const { key, ts } = record;
    if (key === null || typeof key !== "object") throw new Error("suppress(untilWindowCloses) stands behind windows");
    time = Math.max(time, ts);
    kept.set(`${key.end} ${key.start} ${key.key}`, record);
    const due = [...kept].filter(([, { key: window }]) => (window as typeof key).end + waitMs <= time);
    const windows = due.map(([id, entry]) => ({ id, entry, window: entry.key as typeof key }));
    windows.sort((a, b) => a.window.end - b.window.end || byText(a.window.key, b.window.key) || a.window.start - b.window.start);
    for (const { id, entry } of windows) {
      kept.delete(id);
      if (entry.value !== null) forward(entry);
    }
  };
}
