/**
 * Window, session and versioned stores of process steps. Entries stand by key and time, so that those of a key are one range; an index by time alone finds
 * what has come to its end.
 *
 *   window     key | NUL | start        session    key | NUL | end start        versioned    key | NUL | timestamp      times as 16 hex digits
 */
import { invariant } from "../../model/index.ts";
import type { ValueCodec } from "../../state/codec.ts";
import { OrderedTable } from "../../state/ordered-table.ts";
import { START_OFFSET, startText } from "../../state/window-table.ts";
import type { AnySerde, SessionEntry, SessionStore, Version, VersionedStore, WindowEntry, WindowStore } from "../../topology/index.ts";
import { drop } from "../context.ts";
import { frozen } from "../frozen.ts";
import { set } from "../undo-log.ts";
import { Expiry } from "./expiry.ts";
import { plainCodec } from "./key-value.ts";
import { indexOf, type OpenedStore, type StorePlace, tableOptions } from "./place.ts";

const NUL = "\0";
const TIME_LENGTH = 16;
const TIME_MAX = 8.64e15;

/** The key of an entry; times sort as text. */
export function keyAt(key: string, ...times: readonly number[]): string {
  return key + NUL + times.map(startText).join("");
}

/** Times behind a key that was made by `keyAt`. */
export function timeAt(entryKey: string, keyLength: number, place: number): number {
  const from = keyLength + 1 + place * TIME_LENGTH;
  return Number.parseInt(entryKey.slice(from, from + TIME_LENGTH), 16) - START_OFFSET;
}

/** The key alone, where `times` times stand behind it. */
export function keyOf(entryKey: string, times: number): string {
  return entryKey.slice(0, entryKey.length - times * TIME_LENGTH - 1);
}

export function clampTime(time: number): number {
  return Math.max(-TIME_MAX, Math.min(TIME_MAX, Math.trunc(time)));
}

/** Entries of one key, whose times stand between two bounds, both included. Another key may begin with this one and a NUL: its entries are longer. */
function* entriesOf<V>(table: OrderedTable<V>, key: string, times: number, from: number, to: number, reverse = false): Generator<readonly [string, V], void> {
  if (!(from <= to)) return;
  const length = key.length + 1 + times * TIME_LENGTH;
  for (const entry of table.entries({ from: keyAt(key, clampTime(from)), below: `${keyAt(key, clampTime(to))}\uffff`, reverse })) if (entry[0].length === length) yield entry;
}

function wholeTime(time: number, what: string): number {
  if (Number.isSafeInteger(time) && Math.abs(time) <= TIME_MAX) return time;
  throw new RangeError(`${what} ${time} is no epoch milliseconds`);
}

interface Opened<V> {
  readonly table: OrderedTable<V>;
  readonly expiry: Expiry;
}

function open<V>(place: StorePlace, name: string, codec: ValueCodec<V>): Opened<V> {
  const table = new OrderedTable<V>(place.context.backend, name, codec, tableOptions(place.context));
  place.context.tables.push(table);
  return { table, expiry: new Expiry(indexOf(place, name), place.undo) };
}

/** What moves on with stream time: a bound below which nothing is any more. */
function boundOf(keptMs: number, onMove: (bound: number) => void): { readonly bound: () => number; readonly advance: (streamTime: number) => void } {
  let bound = Number.NEGATIVE_INFINITY;
  return {
    bound: () => bound,
    advance(streamTime) {
      if (!(streamTime - keptMs > bound)) return;
      bound = streamTime - keptMs;
      onMove(bound);
    },
  };
}

/** Sets an entry and keeps the index with it. */
function assign(place: StorePlace, { table, expiry }: Opened<unknown>, entryKey: string, time: number, value: unknown): void {
  const isThere = table.get(entryKey) !== undefined;
  const isKept = value !== null && value !== undefined;
  if (isKept && !isThere) expiry.add(time, entryKey);
  if (!isKept && isThere) expiry.remove(time, entryKey);
  set(place.undo, table, entryKey, isKept ? frozen(value) : undefined);
}

export function openWindowStore(place: StorePlace, name: string, serde: AnySerde, retentionMs: number): OpenedStore {
  const opened = open(place, name, plainCodec(serde));
  const { table, expiry } = opened;
  const { bound, advance } = boundOf(retentionMs, (to) => expiry.takeBefore(to, (entryKey) => table.delete(entryKey)));
  const store: WindowStore<unknown> = {
    get: (key, start) => (start < bound() ? undefined : table.get(keyAt(key, wholeTime(start, "window start")))),
    put(key, start, value) {
      const time = wholeTime(start, "window start");
      if (time < bound()) return drop(place.context, "expired");
      assign(place, opened, keyAt(key, time), time, value);
    },
    *fetch(key, from, to, options): Generator<WindowEntry<unknown>, void> {
      for (const [entryKey, value] of entriesOf(table, key, 1, Math.max(from, bound()), to, options?.reverse)) yield { key, start: timeAt(entryKey, key.length, 0), value };
    },
    *all(from, to): Generator<WindowEntry<unknown>, void> {
      for (const [start, entryKey] of expiry.between(clampTime(Math.max(from, bound())), clampTime(to))) {
        const value = table.get(entryKey);
        if (value !== undefined) yield { key: keyOf(entryKey, 1), start, value };
      }
    },
  };
  return { store, advance };
}

export function openSessionStore(place: StorePlace, name: string, serde: AnySerde, retentionMs: number): OpenedStore {
  const opened = open(place, name, plainCodec(serde));
  const { table, expiry } = opened;
  const { bound, advance } = boundOf(retentionMs, (to) => expiry.takeBefore(to, (entryKey) => table.delete(entryKey)));
  const store: SessionStore<unknown> = {
    get: (key, start, end) => (end < bound() ? undefined : table.get(keyAt(key, wholeTime(end, "session end"), wholeTime(start, "session start")))),
    put(key, start, end, value) {
      if (!(wholeTime(start, "session start") <= wholeTime(end, "session end"))) throw new RangeError(`a session cannot end at ${end} before it starts at ${start}`);
      if (end < bound()) return drop(place.context, "expired");
      assign(place, opened, keyAt(key, end, start), end, value);
    },
    *find(key, earliestEnd, latestStart): Generator<SessionEntry<unknown>, void> {
      for (const [entryKey, value] of entriesOf(table, key, 2, Math.max(earliestEnd, bound()), TIME_MAX)) {
        const start = timeAt(entryKey, key.length, 1);
        if (start <= latestStart) yield { key, start, end: timeAt(entryKey, key.length, 0), value };
      }
    },
  };
  return { store, advance };
}

/** A version; without a value the end of the one before. */
export interface StoredVersion {
  readonly value: unknown;
}

/** 1 | the serde's bytes, or 0 where the version is a deletion. */
export function versionCodec(serde: AnySerde): ValueCodec<StoredVersion> {
  return {
    encode(writer, { value }) {
      writer.u8(value === undefined ? 0 : 1);
      if (value !== undefined) serde.encode(writer, value);
    },
    decode: (reader) => (reader.u8() === 0 ? { value: undefined } : { value: frozen(serde.decode(reader.bytes(reader.remaining)) as unknown) }),
  };
}

function first<T>(entries: Generator<T, void>): T | undefined {
  return entries.next().value ?? undefined;
}

export function openVersionedStore(place: StorePlace, name: string, serde: AnySerde, historyMs: number): OpenedStore {
  const { table, expiry } = open(place, name, versionCodec(serde));
  const { undo } = place;
  const latest = (key: string, asOf: number): readonly [string, StoredVersion] | undefined => first(entriesOf(table, key, 1, -TIME_MAX, asOf, true));
  // The index has each version's own time: once that is past the history, the versions before it, and it too where it is a deletion, are of no use.
  const { bound, advance } = boundOf(historyMs, (to) =>
    expiry.takeBefore(to + 1, (entryKey, time) => {
      const key = keyOf(entryKey, 1);
      const at = latest(key, time);
      invariant(at !== undefined, `version ${time} of store ${name} is there`);
      for (const [older] of entriesOf(table, key, 1, -TIME_MAX, time - 1)) {
        table.delete(older);
        expiry.remove(timeAt(older, key.length, 0), older);
      }
      if (at[1].value === undefined) table.delete(at[0]);
    }),
  );
  const store: VersionedStore<unknown> = {
    get(key, asOf): Version<unknown> | undefined {
      if (asOf !== undefined && asOf < bound()) return undefined;
      const found = latest(key, asOf === undefined ? TIME_MAX : Math.floor(asOf));
      return found?.[1].value === undefined ? undefined : { value: found[1].value, timestamp: timeAt(found[0], key.length, 0) };
    },
    put(key, value, timestamp) {
      const time = wholeTime(timestamp, "timestamp");
      if (time < bound()) return drop(place.context, "expired");
      const entryKey = keyAt(key, time);
      if (table.get(entryKey) === undefined) expiry.add(time, entryKey);
      set(undo, table, entryKey, { value: value === null || value === undefined ? undefined : frozen(value) });
    },
  };
  return { store, advance };
}
