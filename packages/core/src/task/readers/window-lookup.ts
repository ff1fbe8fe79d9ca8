/** Looks up windows of one key; how they are stored is known to task/windowing. */
import { ByteWriter, TopologyError } from "../../model/index.ts";
import { readEntry } from "../../state/sealed.ts";
import type { Window } from "../../topology/index.ts";
import type { StoredWindow, StoredWindows, WindowedStep } from "../windowing/index.ts";
import type { ReadPlace } from "./reader.ts";

/** Entries that one query looks at, at most. */
const ENTRIES_MAX = 10_000;
/** Epoch milliseconds of dates. */
const TIME_MAX = 8.64e15;

/** The length of windows; sessions have none. */
export function windowSizeMs(window: Window): number | undefined {
  return window.kind === "session" ? undefined : window.kind === "sliding" ? window.timeDifferenceMs : window.sizeMs;
}

/** A key's windows that start between two times, or its sessions that reach into them; both included; by start. Throws USAGE where the range is too long. */
export type WindowLookup = (place: ReadPlace, key: string, from: number, to: number) => StoredWindow[];

/** How the windows of a step are looked up. */
export function windowLookup({ name, window }: WindowedStep, stored: StoredWindows): WindowLookup {
  const isSession = window.kind === "session";
  const scratch = new ByteWriter(256);
  // The length of windows within which a time that nobody bounds is looked for; sessions that are open need no bound.
  const reachMs = isSession ? window.gapMs : (windowSizeMs(window) as number);

  function* windowsOf({ backend, streamTime }: ReadPlace, key: string, from: number, to: number): Generator<StoredWindow, void> {
    const time = streamTime(name);
    if (!Number.isFinite(time)) return;
    // No window begins before the epoch.
    const first = Math.max(from, time - stored.keptMs - reachMs, 0);
    // A session that ended in the range may stand in any segment from there on; none that is closed ended behind the stream time.
    const last = isSession || to === Number.POSITIVE_INFINITY ? Math.max(time, first) : to;
    let looked = 0;
    for (const { prefix, rest } of stored.entriesOf(key, first, Math.min(last, TIME_MAX))) {
      if (++looked > ENTRIES_MAX) throw new TopologyError("USAGE", `the range holds more than ${ENTRIES_MAX} windows`, { place: `store ${name}`, cure: "ask for a shorter time" });
      const payload = readEntry(backend, scratch, prefix, rest, `store ${name}`);
      if (payload === undefined) continue;
      for (const found of stored.windowsOf(prefix, rest, payload)) if ((isSession ? found.end : found.start) >= from && found.start <= to && stored.isKept(found, time)) yield found;
    }
  }

  return (place, key, from, to) => {
    const found = new Map<string, StoredWindow>();
    for (const each of windowsOf(place, key, from, to)) found.set(`${each.start} ${each.end}`, each);
    return [...found.values()].sort((a, b) => a.start - b.start || a.end - b.end);
  };
}
