/**
 * Session windows: `[first record's time, last record's time]` of records at most a gap apart. A record merges the sessions that it brings together; the totals of these come first,
 * the older before the newer, then the record. Late when the merged session's end lies before `stream time - gap - grace`; a session is closed, and never changes again, by that rule.
 *
 *   "s\0" name "\0" key -> due end f64 | due start f64 | sessions of the key that are not closed := count varint | (start f64 | end - start varint | total, sized)*, by time
 *   "x\0" name "\0" ... -> an index (state/key-index.ts) of 16 hex digits of the due end, 16 of the due start, then the key
 *   "w\0" name "\0" segment as 16 hex digits "\0" key -> closed sessions that end in the segment, as above without the due time; only where they are kept longer
 *
 * What is due is at most the key's oldest session, as it was when it was last looked at: a session that grows costs nothing in the index until its former end is due.
 */
import type { ValueCodec } from "../../state/codec.ts";
import { KeyIndex } from "../../state/key-index.ts";
import { keyBehindTime, timedKey, timeOfKey } from "../../state/ordered-table.ts";
import { StateTable } from "../../state/table.ts";
import { WindowTable } from "../../state/window-table.ts";
import type { SessionWindow } from "../../topology/index.ts";
import { type Fold, late, sizedCodec, storeOptions, type WindowChange, type WindowingOptions, type Windowing } from "./windowing.ts";

const ARCHIVE_SEGMENTS = 32;
const SEGMENT_MS_MIN = 1_000;

/** A session of a key. */
export interface Session<A> {
  readonly start: number;
  readonly end: number;
  readonly total: A;
}
/** The sessions of a key that are not closed. */
export interface Sessions<A> {
  dueEnd: number;
  dueStart: number;
  list: Session<A>[];
}

/** How totals of sessions start and come together. */
export interface SessionFold<A> extends Fold<A> {
  /** What a session's total is merged into first; null where the first one stands as it is. */
  init(): A | null;
  merge(total: A | null, other: A, key: string): A | null;
}

/** How sessions stand in an entry. */
export function listCodec<A>(totals: ValueCodec<A>): ValueCodec<Session<A>[]> {
  const total = sizedCodec(totals);
  return {
    encode(writer, list) {
      writer.varint(list.length);
      for (const session of list) {
        writer.f64(session.start);
        writer.varint(session.end - session.start);
        total.encode(writer, session.total);
      }
    },
    decode(reader) {
      const list: Session<A>[] = [];
      for (let left = reader.varint(); left > 0; left--) {
        const start = reader.f64();
        list.push({ start, end: start + reader.varint(), total: total.decode(reader) });
      }
      return list;
    },
  };
}

/** How those that are not closed stand in an entry. */
export function sessionsCodec<A>(lists: ValueCodec<Session<A>[]>): ValueCodec<Sessions<A>> {
  return {
    encode(writer, { dueEnd, dueStart, list }) {
      writer.f64(dueEnd);
      writer.f64(dueStart);
      lists.encode(writer, list);
    },
    decode: (reader) => ({ dueEnd: reader.f64(), dueStart: reader.f64(), list: lists.decode(reader) }),
  };
}

/** How long the segments are in which closed sessions stand, by when they ended. */
export function archiveSegmentMs(keptMs: number): number {
  return Math.max(SEGMENT_MS_MIN, Math.floor(keptMs / ARCHIVE_SEGMENTS));
}

/** Closed sessions, for those who keep them longer than records can come for them. */
class SessionArchive<A> {
  readonly #table: WindowTable<Session<A>[]>;
  readonly #segmentMs: number;

  constructor({ context, name }: WindowingOptions<A>, codec: ValueCodec<Session<A>[]>, keptMs: number) {
    this.#segmentMs = archiveSegmentMs(keptMs);
    this.#table = new WindowTable(context.backend, name, codec, storeOptions(context));
    context.windows.push({ table: this.#table, startBound: () => (context.streamTimes[name] ?? Number.NEGATIVE_INFINITY) - keptMs - this.#segmentMs + 1 });
  }

  add(key: string, session: Session<A>): void {
    const segment = Math.floor(session.end / this.#segmentMs) * this.#segmentMs;
    const list = this.#table.get(segment, key) ?? [];
    list.push(session);
    this.#table.put(segment, key, list);
  }
}

/** The sessions of each key that are not closed, and when they are due. */
class OpenSessions<A> {
  readonly #table: StateTable<Sessions<A>>;
  readonly #due: KeyIndex;
  /** Nothing is due before it; undefined where that is not known. */
  #earliest: number | undefined;

  constructor({ context, name }: WindowingOptions<A>, codec: ValueCodec<Session<A>[]>) {
    this.#table = new StateTable(context.backend, name, sessionsCodec(codec), storeOptions(context));
    this.#due = new KeyIndex(context.backend, name, storeOptions(context));
    context.tables.push(this.#table, this.#due);
  }

  get(key: string): readonly Session<A>[] {
    return this.#table.get(key)?.list ?? [];
  }

  set(key: string, list: Session<A>[]): void {
    const [first] = list;
    const known = this.#table.get(key);
    if (first === undefined) {
      if (known === undefined) return;
      this.#due.remove(dueKey(known.dueEnd, known.dueStart, key));
      return this.#table.delete(key);
    }
    if (known !== undefined && (known.dueEnd < first.end || (known.dueEnd === first.end && known.dueStart <= first.start))) {
      known.list = list;
      return this.#table.put(key, known);
    }
    if (known !== undefined) this.#due.remove(dueKey(known.dueEnd, known.dueStart, key));
    this.#table.put(key, { dueEnd: first.end, dueStart: first.start, list });
    this.#due.insert(dueKey(first.end, first.start, key));
    if (this.#earliest !== undefined && first.end < this.#earliest) this.#earliest = first.end;
  }

  /** Takes out sessions that end before a time, in order of (end, start, key). */
  takeBefore(endBound: number, take: (key: string, session: Session<A>) => void): void {
    if (!Number.isFinite(endBound) || (this.#earliest !== undefined && this.#earliest >= endBound)) return;
    const bound = timedKey(endBound, "");
    for (;;) {
      const { value: due } = this.#due.walk("", undefined).next();
      this.#earliest = due === undefined ? Number.POSITIVE_INFINITY : timeOfKey(due);
      if (due === undefined || due >= bound) return;
      const key = keyBehindTime(keyBehindTime(due));
      const sessions = this.#table.get(key);
      this.#due.remove(due);
      const [first, ...rest] = sessions?.list ?? [];
      if (sessions === undefined || first === undefined) continue;
      const isDue = first.end === sessions.dueEnd && first.start === sessions.dueStart;
      const left = isDue ? rest : sessions.list;
      this.#table.delete(key);
      this.set(key, left);
      if (isDue) take(key, first);
    }
  }
}

function dueKey(end: number, start: number, key: string): string {
  return timedKey(end, timedKey(start, key));
}

export function sessionWindows<A>(options: WindowingOptions<A, SessionWindow>): Windowing<A> {
  const { window, closes, retentionMs = 0 } = options;
  const waitMs = window.gapMs + window.graceMs;
  const lists = listCodec(options.codec);
  const open = new OpenSessions(options, lists);
  const archive = retentionMs > waitMs ? new SessionArchive(options, lists, retentionMs) : undefined;

  return {
    add({ key, value, timestamp, streamTime, fold }) {
      const closeTime = streamTime - waitMs;
      const list = open.get(key);
      const near = list.filter((session) => session.end >= closeTime && session.end >= timestamp - window.gapMs && session.start <= timestamp + window.gapMs);
      const start = Math.min(timestamp, near[0]?.start ?? timestamp);
      const end = Math.max(timestamp, near.at(-1)?.end ?? timestamp);
      if (end < closeTime) return late();
      const sessions = fold as SessionFold<A>;
      let total = near.length === 0 ? null : sessions.init();
      for (const session of near) total = sessions.merge(total, session.total, key);
      total = sessions.add(total, value, key);
      const left = list.filter((session) => !near.includes(session));
      const place = left.findIndex((session) => session.start > end);
      if (total !== null) left.splice(place < 0 ? left.length : place, 0, { start, end, total });
      open.set(key, left);
      if (closes) return { isLate: false, changes: [] };
      // One session at the record's very time is the same window as before: it changes, and nothing is merged.
      const isSame = near.length === 1 && start === end;
      const changes: WindowChange<A>[] = isSame ? [] : near.map((session) => ({ key, start: session.start, end: session.end, value: null, old: session.total, timestamp: session.end }));
      changes.push({ key, start, end, value: total, old: isSame ? (near[0]?.total ?? null) : null, timestamp: end });
      return { isLate: false, changes };
    },
    close(streamTime, emit) {
      open.takeBefore(streamTime - waitMs, (key, session) => {
        archive?.add(key, session);
        if (closes) emit({ key, start: session.start, end: session.end, value: session.total, old: null, timestamp: session.end });
      });
    },
  };
}
