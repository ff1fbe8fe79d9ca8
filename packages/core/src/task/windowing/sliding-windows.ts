/**
 * Sliding windows as Kafka Streams keeps them: for each record of a key the window `[time - difference, time]`, and the one right behind it where another record falls into that;
 * records of the first `difference` after the epoch share `[0, difference]`. A window's time is that of its last record. Late when `end < stream time - grace`.
 *
 * Which records there were is read off the windows: the newest one that holds a record's time begins at it or right behind the record before it. One rule is ours: the record before
 * another one is always the last of those; Kafka Streams may take an older one, and then counts records in a window that they lie outside of.
 * As there, a record that comes when its own window is closed, but some that hold it are not, counts in those only: no window tells that it was there, so that one which a later record
 * begins may lack it, or begin with a total that holds it although it lies before.
 *
 *   "w\0" name "\0" segment as 16 hex digits "\0" key -> chunk := windows of the key that start in the segment, by start:
 *     count varint | (first start f64, then distances varint | timestamp - start varint | total, sized)*
 *
 * A segment is a difference long and 1 s at least. Windows are kept as long as a record that is not late may ask for them: three differences and the grace.
 */
import type { ValueCodec } from "../../state/codec.ts";
import { WindowTable } from "../../state/window-table.ts";
import type { SlidingWindow } from "../../topology/index.ts";
import { OpenWindows } from "./open-windows.ts";
import { late, sizedCodec, storeOptions, type WindowChange, type WindowInput, type WindowingOptions, type WindowResult, type Windowing } from "./windowing.ts";

const SEGMENT_MS_MIN = 1_000;

/** A window of a key. */
export interface Slide<A> {
  readonly start: number;
  readonly total: A;
  /** The time of its last record. */
  readonly timestamp: number;
}

/** Windows of a key that start in one segment. */
export type Chunk<A> = Slide<A>[];

/** How they stand in an entry. */
export function chunkCodec<A>(totals: ValueCodec<A>): ValueCodec<Chunk<A>> {
  const total = sizedCodec(totals);
  return {
    encode(writer, chunk) {
      writer.varint(chunk.length);
      let before: number | undefined;
      for (const slide of chunk) {
        if (before === undefined) writer.f64(slide.start);
        else writer.varint(slide.start - before);
        before = slide.start;
        writer.varint(slide.timestamp - slide.start);
        total.encode(writer, slide.total);
      }
    },
    decode(reader) {
      const chunk: Chunk<A> = [];
      let start = 0;
      for (let left = reader.varint(), isFirst = true; left > 0; left--, isFirst = false) {
        start = isFirst ? reader.f64() : start + reader.varint();
        const timestamp = start + reader.varint();
        chunk.push({ start, timestamp, total: total.decode(reader) });
      }
      return chunk;
    },
  };
}

/** How long the segments are in which windows stand, by their starts. */
export function segmentMsOf({ timeDifferenceMs }: SlidingWindow): number {
  return Math.max(SEGMENT_MS_MIN, timeDifferenceMs + 1);
}

/** A key's windows in order of their starts. */
class SlideTable<A> {
  readonly #table: WindowTable<Chunk<A>>;
  readonly #segmentMs: number;

  constructor(options: WindowingOptions<A, SlidingWindow>, kept: number) {
    const { context, name, window } = options;
    this.#segmentMs = segmentMsOf(window);
    this.#table = new WindowTable(context.backend, name, chunkCodec(options.codec), storeOptions(context));
    const startBound = (): number => (context.streamTimes[name] ?? Number.NEGATIVE_INFINITY) - kept - this.#segmentMs + 1;
    context.windows.push({ table: this.#table, startBound });
  }

  #segment(start: number): number {
    return Math.floor(start / this.#segmentMs) * this.#segmentMs;
  }

  get(start: number, key: string): Slide<A> | undefined {
    return this.#table.get(this.#segment(start), key)?.find((slide) => slide.start === start);
  }

  /** Windows that start from `from` to `to`, both included, the newest first. */
  newestFirst(from: number, to: number, key: string): Slide<A>[] {
    const found: Slide<A>[] = [];
    for (let segment = this.#segment(to); segment >= this.#segment(from); segment -= this.#segmentMs) {
      const chunk = this.#table.get(segment, key);
      if (chunk === undefined) continue;
      for (let place = chunk.length - 1; place >= 0; place--) {
        const slide = chunk[place] as Slide<A>;
        if (slide.start < from) break;
        if (slide.start <= to) found.push(slide);
      }
    }
    return found;
  }

  /** Sets a window, or takes it out. */
  set(key: string, start: number, total: A | null, timestamp: number): void {
    const segment = this.#segment(start);
    const chunk = this.#table.get(segment, key) ?? [];
    let place = chunk.length;
    while (place > 0 && (chunk[place - 1] as Slide<A>).start >= start) place--;
    const known = chunk[place]?.start === start ? 1 : 0;
    if (total === null) chunk.splice(place, known);
    else chunk.splice(place, known, { start, total, timestamp });
    if (chunk.length === 0) this.#table.delete(segment, key);
    else this.#table.put(segment, key, chunk);
  }
}

/** What a record makes of one window: before it is known that the fold takes the record for all of them, nothing is changed. */
interface Update<A> {
  readonly start: number;
  readonly old: A | null;
  readonly total: A | null;
  readonly timestamp: number;
}

class Updates<A> {
  readonly list: Update<A>[] = [];
  isTaken = false;
  readonly #input: WindowInput<A>;
  readonly #differenceMs: number;
  readonly #closeTime: number;

  constructor(input: WindowInput<A>, differenceMs: number, closeTime: number) {
    this.#input = input;
    this.#differenceMs = differenceMs;
    this.#closeTime = closeTime;
  }

  /** Adds the record to a window, unless that is closed; `from` is what the window holds, or begins with. */
  add(start: number, from: Slide<A> | undefined, isNew: boolean): void {
    if (start + this.#differenceMs < this.#closeTime) return;
    const { key, value, timestamp, fold } = this.#input;
    const total = fold.add(from?.total ?? null, value, key);
    this.list.push({ start, old: isNew ? null : (from?.total ?? null), total, timestamp: from === undefined ? timestamp : Math.max(from.timestamp, timestamp) });
    this.isTaken = true;
  }

  /** Makes a window of what stands in another, without the record. */
  copy(start: number, { total, timestamp }: Slide<A>): void {
    this.list.push({ start, old: null, total, timestamp });
  }
}

/** A record of the first difference after the epoch. */
function early<A>(slides: SlideTable<A>, { key, timestamp }: WindowInput<A>, updates: Updates<A>): void {
  const found = slides.newestFirst(0, timestamp + 1, key).reverse();
  const shared = found[0]?.start === 0 ? found[0] : undefined;
  const containing = found.filter(({ start }) => start > 0 && start <= timestamp);
  for (const slide of containing) updates.add(slide.start, slide, false);
  const last = containing.at(-1) ?? shared;
  if (last !== undefined && last.timestamp > timestamp && found.at(-1)?.start !== timestamp + 1) updates.copy(timestamp + 1, last);
  if (shared !== undefined && shared.timestamp < timestamp) {
    const behind = shared.timestamp + 1;
    if (found.every(({ start }) => start !== behind)) updates.add(behind, undefined, true);
  }
  updates.add(0, shared, false);
}

function usual<A>(slides: SlideTable<A>, { key, timestamp }: WindowInput<A>, differenceMs: number, updates: Updates<A>): void {
  const found = slides.newestFirst(Math.max(0, timestamp - 2 * differenceMs), timestamp + 1, key);
  let left: Slide<A> | undefined;
  let before: Slide<A> | undefined;
  let newest: Slide<A> | undefined;
  for (const slide of found) {
    const end = slide.start + differenceMs;
    if (slide.start > timestamp) continue;
    if (end < timestamp) {
      before = slide;
      break;
    }
    if (end === timestamp) left = slide;
    else newest ??= slide;
    updates.add(slide.start, slide, false);
  }
  const previous = left !== undefined && left.timestamp < timestamp ? left.timestamp : before?.timestamp;
  if (previous !== undefined && previous + 1 + differenceMs >= timestamp && found.every(({ start }) => start !== previous + 1)) updates.add(previous + 1, undefined, true);
  if (left === undefined) updates.add(timestamp - differenceMs, previous !== undefined && previous >= timestamp - differenceMs ? before : undefined, true);
  if (newest !== undefined && newest.timestamp > timestamp && found[0]?.start !== timestamp + 1) updates.copy(timestamp + 1, newest);
}

/** How long after its start a window is kept. */
export function keptMs({ timeDifferenceMs, graceMs }: SlidingWindow, retentionMs: number | undefined): number {
  return Math.max(3 * timeDifferenceMs + graceMs + 1, retentionMs ?? 0);
}

export function slidingWindows<A>(options: WindowingOptions<A, SlidingWindow>): Windowing<A> {
  const { timeDifferenceMs, graceMs } = options.window;
  const slides = new SlideTable(options, keptMs(options.window, options.retentionMs));
  const open = options.closes ? new OpenWindows(options as WindowingOptions<never>) : undefined;

  const apply = (key: string, { start, total, old, timestamp }: Update<A>): WindowChange<A> => {
    const isKnown = open !== undefined && slides.get(start, key) !== undefined;
    slides.set(key, start, total, timestamp);
    if (total !== null && !isKnown) open?.add(start, key);
    if (total === null && isKnown) open?.remove(start, key);
    return { key, start, end: start + timeDifferenceMs, value: total, old, timestamp };
  };

  return {
    add(input): WindowResult<A> {
      const { key, timestamp, streamTime } = input;
      const closeTime = streamTime - graceMs;
      if (timestamp + 1 + timeDifferenceMs <= closeTime) return late();
      const updates = new Updates(input, timeDifferenceMs, closeTime);
      if (timestamp < timeDifferenceMs) early(slides, input, updates);
      else usual(slides, input, timeDifferenceMs, updates);
      const changes = updates.list.map((update) => apply(key, update));
      return { isLate: !updates.isTaken, changes: open === undefined ? changes : [] };
    },
    close(streamTime, emit) {
      if (open === undefined) return;
      for (const { start, key } of open.takeBefore(streamTime - graceMs - timeDifferenceMs)) {
        const slide = slides.get(start, key);
        if (slide !== undefined) emit({ key, start, end: start + timeDifferenceMs, value: slide.total, old: null, timestamp: slide.timestamp });
      }
    },
  };
}
