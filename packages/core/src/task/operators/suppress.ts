/**
 * Holds changes back: those of windows until nothing can change them any more, those of other tables for a time from the key's first held change. What is held of a key is its last
 * change; it keeps the first one's place. Semantics are Kafka Streams', but that a window's result leaves once: for sliding windows and sessions, whose windows still change at the very
 * moment at which Kafka Streams sends them, one millisecond of stream time later than there.
 *
 *   "s\0" name "\0" id -> place f64 | timestamp f64 | flags u8 | key text | window start f64, end f64 | value sized | prior sized | headers | bytes varint
 *   "x\0" name "\0" ... -> an index (state/key-index.ts) of 16 hex digits of the place, then the id
 *   "s\0" name " bytes\0" "sum" -> i64: the bytes held; only where they are bounded
 *
 * The id is the key, or for windows the key, NUL and 16 hex digits of the window's start. The place is the window's end, or the time of the key's first held change.
 */
import type { ByteReader} from "../../model/index.ts";
import { ByteWriter, type Header, invariant, TopologyError } from "../../model/index.ts";
import { integerCodec, type ValueCodec } from "../../state/codec.ts";
import { KeyIndex } from "../../state/key-index.ts";
import { keyBehindTime, timedKey } from "../../state/ordered-table.ts";
import { StateTable } from "../../state/table.ts";
import { startText } from "../../state/window-table.ts";
import type { AnySerde, SuppressNode } from "../../topology/index.ts";
import { advanceStreamTime, getterOf, type TaskContext } from "../context.ts";
import type { AnyRecord, Link, WindowOfKey } from "../link.ts";

interface Held {
  readonly place: number;
  readonly timestamp: number;
  readonly key: string;
  readonly window: WindowOfKey | undefined;
  readonly value: unknown;
  /** What the key was when its first change was held back: what those behind still see. */
  readonly prior: unknown;
  readonly headers: readonly Header[];
  readonly bytes: number;
}

const HAS_VALUE = 1;
const HAS_PRIOR = 2;
const HAS_WINDOW = 4;

function writeHeaders(writer: ByteWriter, headers: readonly Header[]): void {
  writer.varint(headers.length);
  for (const { key, value } of headers) {
    writer.text(key);
    writer.u8(value === null ? 0 : 1);
    if (value !== null) writer.sized(value);
  }
}

function readHeaders(reader: ByteReader): Header[] {
  return Array.from({ length: reader.varint() }, () => ({ key: reader.text(), value: reader.u8() === 0 ? null : Buffer.from(reader.sized()) }));
}

function heldCodec(serde: AnySerde): ValueCodec<Held> {
  const scratch = new ByteWriter(256);
  const write = (writer: ByteWriter, value: unknown): void => {
    scratch.reset();
    serde.encode(scratch, value);
    writer.sized(scratch.buffer.subarray(0, scratch.position));
  };
  return {
    encode(writer, { place, timestamp, key, window, value, prior, headers, bytes }) {
      writer.f64(place);
      writer.f64(timestamp);
      writer.u8((value === null ? 0 : HAS_VALUE) | (prior === null ? 0 : HAS_PRIOR) | (window === undefined ? 0 : HAS_WINDOW));
      writer.text(key);
      if (window !== undefined) {
        writer.f64(window.start);
        writer.f64(window.end);
      }
      if (value !== null) write(writer, value);
      if (prior !== null) write(writer, prior);
      writeHeaders(writer, headers);
      writer.varint(bytes);
    },
    decode(reader) {
      const place = reader.f64();
      const timestamp = reader.f64();
      const flags = reader.u8();
      const key = reader.text();
      const window = (flags & HAS_WINDOW) === 0 ? undefined : { start: reader.f64(), end: reader.f64() };
      const value: unknown = (flags & HAS_VALUE) === 0 ? null : serde.decode(reader.sized());
      const prior: unknown = (flags & HAS_PRIOR) === 0 ? null : serde.decode(reader.sized());
      return { place, timestamp, key, window, value, prior, headers: readHeaders(reader), bytes: reader.varint() };
    },
  };
}

/** What is held, by its place in time. */
class HeldChanges {
  readonly #entries: StateTable<Held>;
  readonly #order: KeyIndex;
  readonly #bytes: StateTable<number> | undefined;
  readonly #bytesOf: (change: Omit<Held, "bytes">) => number;
  /** Nothing is held at a place before it; undefined where that is not known. */
  #earliest: number | undefined;

  constructor(context: TaskContext, { name, buffer }: SuppressNode, serde: AnySerde) {
    const options = { entriesMax: context.cacheEntriesMax, scratch: context.scratch };
    const codec = heldCodec(serde);
    const measure = new ByteWriter(256);
    this.#entries = new StateTable(context.backend, name, codec, { ...options, entriesMax: buffer.full === "spill" ? Math.min(options.entriesMax, buffer.recordsMax ?? options.entriesMax) : options.entriesMax });
    this.#order = new KeyIndex(context.backend, name, options);
    this.#bytes = buffer.bytesMax === undefined ? undefined : new StateTable(context.backend, `${name} bytes`, integerCodec, options);
    this.#bytesOf = (change) => {
      if (this.#bytes === undefined) return 0;
      measure.reset();
      codec.encode(measure, { ...change, bytes: 0 });
      return measure.position;
    };
    context.tables.push(this.#entries, this.#order, ...(this.#bytes === undefined ? [] : [this.#bytes]));
  }

  get size(): number {
    return this.#order.size;
  }
  get bytes(): number {
    return this.#bytes?.get("sum") ?? 0;
  }
  get(id: string): Held | undefined {
    return this.#entries.get(id);
  }

  put(id: string, change: Omit<Held, "bytes">): void {
    const known = this.#entries.get(id);
    const held: Held = { ...change, bytes: this.#bytesOf(change) };
    this.#entries.put(id, held);
    this.#bytes?.put("sum", this.bytes + held.bytes - (known?.bytes ?? 0));
    if (known !== undefined) return;
    this.#order.insert(timedKey(held.place, id));
    if (this.#earliest !== undefined && held.place < this.#earliest) this.#earliest = held.place;
  }

  remove(id: string): void {
    const held = this.#entries.get(id);
    if (held === undefined) return;
    this.#entries.delete(id);
    this.#order.remove(timedKey(held.place, id));
    this.#bytes?.put("sum", this.bytes - held.bytes);
  }

  /** Takes out the oldest change whose place is at most a time. */
  takeOldest(until: number): Held | undefined {
    if (this.#earliest !== undefined && this.#earliest > until) return undefined;
    const { value: first } = this.#order.walk("", undefined).next();
    if (first === undefined) {
      this.#earliest = Number.POSITIVE_INFINITY;
      return undefined;
    }
    const id = keyBehindTime(first);
    const held = this.#entries.get(id);
    invariant(held !== undefined, "what is in order is held");
    this.#earliest = held.place;
    if (held.place > until) return undefined;
    this.remove(id);
    return held;
  }
}

/** How long after a place in stream time a change leaves. */
function waitOf({ until, windowed }: SuppressNode): number {
  if (until.kind === "time-limit") return until.limitMs;
  invariant(windowed !== undefined, "a plan has windows before each suppress until they close");
  const { window } = windowed;
  switch (window.kind) {
    case "session":
      return window.gapMs + window.graceMs + 1;
    case "sliding":
      return window.graceMs + 1;
    default:
      return window.graceMs;
  }
}

export function suppressLink(context: TaskContext, node: SuppressNode, next: Link): Link {
  const { name, buffer, until, serde } = node;
  invariant(serde !== undefined, "a plan has a serde for each suppress");
  const held = new HeldChanges(context, node, serde);
  const waitMs = waitOf(node);
  const isFinal = until.kind === "window-closes";
  const before = getterOf(context, node.upstream[0] as number);
  // Those behind see a key as it was when its first change was held back.
  context.getters.set(node.id, (key, asOf) => {
    const change = held.get(key);
    if (change === undefined) return before(key, asOf);
    return change.prior === null ? undefined : { value: change.prior, timestamp: change.place };
  });
  const send = ({ key, value, prior, window, timestamp, headers }: Held): void => next(window === undefined ? { key, value, old: prior, timestamp, headers } : { key, value, old: null, window, timestamp, headers });
  const isOver = (): boolean => (buffer.recordsMax !== undefined && held.size > buffer.recordsMax) || (buffer.bytesMax !== undefined && held.bytes > buffer.bytesMax);

  const sendUntil = (place: number): void => {
    for (let due = held.takeOldest(place); due !== undefined; due = held.takeOldest(place)) send(due);
  };
  // Windows close by the time of the step that has them, whether one of its changes comes here or is filtered away.
  if (isFinal && node.windowed !== undefined) {
    const followers = context.timeFollowers.get(node.windowed.node) ?? [];
    context.timeFollowers.set(node.windowed.node, followers);
    followers.push((streamTime) => sendUntil(streamTime - waitMs));
  }

  return (record: AnyRecord) => {
    const { window, timestamp, headers } = record;
    const key = record.key as string;
    const value: unknown = record.value ?? null;
    const id = window === undefined ? key : `${key}\0${startText(window.start)}`;
    if (isFinal && value === null) held.remove(id);
    else {
      const known = held.get(id);
      const prior: unknown = isFinal ? null : known === undefined ? (record.old ?? null) : known.prior;
      held.put(id, { place: known?.place ?? (isFinal ? (window as WindowOfKey).end : timestamp), timestamp, key, window, value, prior, headers });
    }
    if (!isFinal) sendUntil(advanceStreamTime(context, name, timestamp) - waitMs);
    if (buffer.full === "spill" || !isOver()) return;
    if (buffer.full === "fail") {
      throw new TopologyError("BUFFER_FULL", `${held.size} changes${buffer.bytesMax === undefined ? "" : ` of ${held.bytes} bytes`} are held back, more than the buffer takes`, {
        place: `${context.taskId}, step ${name}`,
        cure: "raise recordsMax or bytesMax, shorten the windows' grace or the limit, or let the buffer spill",
      });
    }
    while (isOver()) send(held.takeOldest(Number.POSITIVE_INFINITY) as Held);
  };
}
