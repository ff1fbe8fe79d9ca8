/** Reader of windowed aggregates of a key; how they are stored is known to task/windowing. */
import { ByteWriter, TopologyError } from "../../model/index.ts";
import { readEntry } from "../../state/sealed.ts";
import type { WindowedAggregateNode } from "../../topology/index.ts";
import { type StoredWindow, storedWindows } from "../windowing/index.ts";
import type { ReadPlace, StoreReader } from "./reader.ts";

/** Entries that one query looks at, at most. */
const ENTRIES_MAX = 10_000;
/** Epoch milliseconds of dates. */
const TIME_MAX = 8.64e15;

function sizeOf({ window }: WindowedAggregateNode): number | undefined {
  return window.kind === "session" ? undefined : window.kind === "sliding" ? window.timeDifferenceMs : window.sizeMs;
}

/** The length of windows within which a time that nobody bounds is looked for; sessions that are open need no bound. */
function reachOf(node: WindowedAggregateNode): number {
  return node.window.kind === "session" ? node.window.gapMs : (sizeOf(node) as number);
}

export function windowedReader(node: WindowedAggregateNode): StoreReader {
  const { name, window } = node;
  const stored = storedWindows(node);
  const isSession = window.kind === "session";
  const scratch = new ByteWriter(256);
  const windowMs = sizeOf(node);

  function* windowsOf({ backend, streamTime }: ReadPlace, key: string, from: number, to: number): Generator<StoredWindow, void> {
    const time = streamTime(name);
    if (!Number.isFinite(time)) return;
    // No window begins before the epoch.
    const first = Math.max(from, time - stored.keptMs - reachOf(node), 0);
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

  return {
    name,
    kind: isSession ? "session" : "window",
    node,
    ...(windowMs === undefined ? {} : { windowMs }),
    async *windows(place, key, from, to) {
      const found = new Map<string, StoredWindow>();
      for (const each of windowsOf(place, key, from, to)) found.set(`${each.start} ${each.end}`, each);
      yield* await Promise.resolve([...found.values()].sort((a, b) => a.start - b.start || a.end - b.end));
    },
  };
}
