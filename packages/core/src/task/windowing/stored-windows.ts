/** What a windowed step's store holds, for those who look into it from outside: how it is stored is written at the top of the files beside this one. */
import { ByteReader } from "../../model/index.ts";
import type { ValueCodec } from "../../state/codec.ts";
import { keyBehindTime, timeOfKey } from "../../state/ordered-table.ts";
import type { SessionWindow, SlidingWindow, Window, WindowedAggregateNode } from "../../topology/index.ts";
import { startText } from "../../state/window-table.ts";
import { archiveSegmentMs, listCodec, type Session, sessionsCodec } from "./session-windows.ts";
import { chunkCodec, keptMs as slidingKeptMs, segmentMsOf } from "./sliding-windows.ts";
import { keptMs, timedCodec } from "./time-windows.ts";
import { serdeCodec } from "./windowing.ts";

/** A window, or a session, with its total. */
export interface StoredWindow {
  readonly key: string;
  readonly start: number;
  readonly end: number;
  readonly value: unknown;
  /** The greatest time of its records; a session's end. */
  readonly timestamp: number;
}

/** Where a step's windows stand, and how an entry is read. */
export interface StoredWindows {
  /** The prefixes of its entries. */
  readonly prefixes: readonly string[];
  /** The windows of an entry; `rest` is what stands in its key behind the prefix. */
  windowsOf(prefix: string, rest: string, payload: Buffer): StoredWindow[];
  /**
   * The entries that may hold windows of a key that start between two times, or sessions that reach into them; both included and finite. A session that is
   * closed while they are read may be in two of them.
   */
  entriesOf(key: string, from: number, to: number): Generator<StoredPlace, void>;
  /** How long windows are kept, behind the stream time. */
  readonly keptMs: number;
  /** Whether a window is within what the step keeps at a stream time: what is older may be deleted already, or not yet. */
  isKept(window: StoredWindow, streamTime: number): boolean;
}

/** Where an entry stands. */
export interface StoredPlace {
  readonly prefix: string;
  readonly rest: string;
}

/** What a step says of how its windows are stored. */
export type WindowedStep<W extends Window = Window> = Pick<WindowedAggregateNode, "name" | "retentionMs"> & { readonly window: W };

const NUL = "\0";

/** Entries by a time, every `stepMs`, that cover the times between two. */
function* entriesByTime(prefix: string, key: string, stepMs: number, from: number, to: number): Generator<StoredPlace, void> {
  for (let time = Math.floor(from / stepMs) * stepMs; time <= to; time += stepMs) yield { prefix, rest: `${startText(time)}${NUL}${key}` };
}
/** Of entries that begin with a time as text, a NUL behind it. */
const keyOf = (rest: string): string => keyBehindTime(rest).slice(1);

function storedSessions({ name, window, retentionMs = 0 }: WindowedStep<SessionWindow>, totals: ValueCodec<unknown>): StoredWindows {
  const lists = listCodec(totals);
  const open = sessionsCodec(lists);
  const openPrefix = `s${NUL}${name}${NUL}`;
  const waitMs = window.gapMs + window.graceMs;
  const archivePrefix = `w${NUL}${name}${NUL}`;
  return {
    prefixes: [openPrefix, archivePrefix],
    keptMs: Math.max(waitMs, retentionMs),
    *entriesOf(key, from, to) {
      // First: one that is closed between two looks is then seen twice, and not missed.
      yield { prefix: openPrefix, rest: key };
      if (retentionMs > waitMs) yield* entriesByTime(archivePrefix, key, archiveSegmentMs(retentionMs), from, to);
    },
    windowsOf(prefix, rest, payload) {
      const reader = new ByteReader(payload);
      const sessions: readonly Session<unknown>[] = prefix === openPrefix ? open.decode(reader).list : lists.decode(reader);
      const key = prefix === openPrefix ? rest : keyOf(rest);
      return sessions.map(({ start, end, total }) => ({ key, start, end, value: total, timestamp: end }));
    },
    isKept: ({ end }, streamTime) => end >= streamTime - waitMs || end > streamTime - retentionMs,
  };
}

function storedSlides({ name, window, retentionMs }: WindowedStep<SlidingWindow>, totals: ValueCodec<unknown>): StoredWindows {
  const chunks = chunkCodec(totals);
  const kept = slidingKeptMs(window, retentionMs);
  return {
    prefixes: [`w${NUL}${name}${NUL}`],
    keptMs: kept,
    entriesOf: (key, from, to) => entriesByTime(`w${NUL}${name}${NUL}`, key, segmentMsOf(window), from, to),
    windowsOf: (_prefix, rest, payload) =>
      chunks.decode(new ByteReader(payload)).map(({ start, total, timestamp }) => ({ key: keyOf(rest), start, end: start + window.timeDifferenceMs, value: total, timestamp })),
    isKept: ({ start }, streamTime) => start > streamTime - kept,
  };
}

/** The windows that a step's store holds. */
export function storedWindows(node: WindowedAggregateNode): StoredWindows {
  return storedTotals(node, serdeCodec(node.serde));
}

/** The same with totals of any kind. */
export function storedTotals({ name, window, retentionMs }: WindowedStep, totals: ValueCodec<unknown>): StoredWindows {
  if (window.kind === "session") return storedSessions({ name, window, retentionMs }, totals);
  if (window.kind === "sliding") return storedSlides({ name, window, retentionMs }, totals);
  const codec = timedCodec(totals);
  const kept = keptMs(window, retentionMs);
  return {
    prefixes: [`w${NUL}${name}${NUL}`],
    keptMs: kept,
    entriesOf: (key, from, to) => entriesByTime(`w${NUL}${name}${NUL}`, key, window.kind === "hopping" ? window.advanceMs : window.sizeMs, from, to),
    windowsOf(_prefix, rest, payload) {
      const { value, timestamp } = codec.decode(new ByteReader(payload));
      const start = timeOfKey(rest);
      return [{ key: keyOf(rest), start, end: start + window.sizeMs, value, timestamp }];
    },
    isKept: ({ start }, streamTime) => start > streamTime - kept,
  };
}
