/**
 * Tumbling and hopping windows: `[start, start + size)` for each multiple of the advance, none before the epoch. Late, and closed, when `end + grace <= stream time`.
 *
 *   "w\0" name "\0" start as 16 hex digits "\0" key -> timestamp f64 | total to the end       kept while start > stream time - retention
 *
 * With closing results, the windows that are still open stand in an index besides (open-windows.ts).
 */
import type { ValueCodec } from "../../state/codec.ts";
import type { TimestampedValue } from "../../state/entry-codec.ts";
import { WindowTable } from "../../state/window-table.ts";
import type { HoppingWindow, TumblingWindow } from "../../topology/index.ts";
import { OpenWindows } from "./open-windows.ts";
import { late, storeOptions, type WindowChange, type WindowingOptions, type Windowing } from "./windowing.ts";

interface Update<A> {
  readonly start: number;
  readonly before: TimestampedValue<A> | undefined;
  readonly total: A | null;
}

/** How a window's total stands in an entry. */
export function timedCodec<A>(codec: ValueCodec<A>): ValueCodec<TimestampedValue<A>> {
  return {
    encode(writer, { value, timestamp }) {
      writer.f64(timestamp);
      codec.encode(writer, value);
    },
    decode: (reader) => ({ timestamp: reader.f64(), value: codec.decode(reader) }),
  };
}

/** How long after its start a window is kept. */
export function keptMs({ sizeMs, graceMs }: TumblingWindow | HoppingWindow, retentionMs: number | undefined): number {
  return Math.max(sizeMs + graceMs, retentionMs ?? 0);
}

export function timeWindows<A>(options: WindowingOptions<A, TumblingWindow | HoppingWindow>): Windowing<A> {
  const { context, name, window, codec, closes } = options;
  const { sizeMs, graceMs } = window;
  const advanceMs = window.kind === "hopping" ? window.advanceMs : sizeMs;
  const retentionMs = keptMs(window, options.retentionMs);
  const table = new WindowTable<TimestampedValue<A>>(context.backend, name, timedCodec(codec), storeOptions(context));
  context.windows.push({ table: table, startBound: () => (context.streamTimes[name] ?? Number.NEGATIVE_INFINITY) - retentionMs + 1 });
  const open = closes ? new OpenWindows(options as WindowingOptions<never>) : undefined;

  return {
    add({ key, value, timestamp, streamTime, fold }) {
      const updates: Update<A>[] = [];
      const first = Math.max(0, (Math.floor((timestamp - sizeMs) / advanceMs) + 1) * advanceMs);
      for (let start = first; start <= timestamp; start += advanceMs) {
        if (start + sizeMs <= streamTime - graceMs) continue;
        const before = table.get(start, key);
        updates.push({ start, before, total: fold.add(before?.value ?? null, value, key) });
      }
      if (updates.length === 0) return late();
      const changes: WindowChange<A>[] = [];
      for (const { start, before, total } of updates) {
        const newest = before === undefined ? timestamp : Math.max(before.timestamp, timestamp);
        if (total !== null) {
          table.put(start, key, { value: total, timestamp: newest });
          if (before === undefined) open?.add(start, key);
        } else if (before !== undefined) {
          table.delete(start, key);
          open?.remove(start, key);
        }
        if (!closes) changes.push({ key, start, end: start + sizeMs, value: total, old: before?.value ?? null, timestamp: newest });
      }
      return { isLate: false, changes };
    },
    close(streamTime, emit) {
      if (open === undefined) return;
      for (const { start, key } of open.takeBefore(streamTime - graceMs - sizeMs + 1)) {
        const entry = table.get(start, key);
        if (entry !== undefined) emit({ key, start, end: start + sizeMs, value: entry.value, old: null, timestamp: entry.timestamp });
      }
    },
  };
}
