/** Stores of process steps as the test driver reads them: as the last commit left them. How each kind is kept is written in task/stores. */
import { ByteReader } from "../model/index.ts";
import { storePrefix } from "../task/readers/reader.ts";
import { mortalCodec, plainCodec } from "../task/stores/key-value.ts";
import { keyOf, timeAt, versionCodec } from "../task/stores/windows.ts";
import type { AnySerde, ProcessNode, StoreDeclaration } from "../topology/index.ts";
import type { DriverStore, DriverStoreEntry, StoredPart } from "./driver-store.ts";
import { storedEntries } from "./stored-entries.ts";

const NUL = "\0";

/** A store in a part: the steps that use it have its time. */
interface PlacedStore {
  readonly name: string;
  readonly part: StoredPart;
  readonly streamTime: number;
}

interface TimedEntry extends DriverStoreEntry {
  readonly start: number;
}

const compareKeys = (a: DriverStoreEntry, b: DriverStoreEntry): number => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key));
/** Whether a key is in a range, in the order of the keys' bytes. */
const isBetween = (key: string, from: string, to: string | undefined): boolean =>
  Buffer.compare(Buffer.from(key), Buffer.from(from)) >= 0 && (to === undefined || Buffer.compare(Buffer.from(key), Buffer.from(to)) < 0);

/** All that is stored. */
function placedEntries({ name, part }: PlacedStore, from?: string, to?: string): (readonly [string, ByteReader])[] {
  return storedEntries(part.backend, name, storePrefix(name), from, to).map(([key, payload]) => [key, new ByteReader(payload)] as const);
}

/** A store of a value a key. */
function keyValues(place: PlacedStore, serde: AnySerde, ttlMs: number | undefined): DriverStore {
  const plain = plainCodec(serde);
  const mortal = mortalCodec(serde);
  const entryOf = (key: string, reader: ByteReader): DriverStoreEntry | undefined => {
    if (ttlMs === undefined) return { key, value: plain.decode(reader) };
    const { value, expiresAt } = mortal.decode(reader);
    return expiresAt > place.streamTime ? { key, value } : undefined;
  };
  const range = (from?: string, to?: string): DriverStoreEntry[] => placedEntries(place, from, to).flatMap(([key, reader]) => entryOf(key, reader) ?? []);
  return { range, windows: () => [], get: (key) => range(key, `${key}${NUL}`)[0] };
}

/** A store of windows or sessions: entries with a start. `isIn` tells whether one is asked for by two times. */
function timedValues(all: () => TimedEntry[], isIn: (entry: TimedEntry, from: number, to: number) => boolean): DriverStore {
  const sorted = (): TimedEntry[] => all().sort((a, b) => compareKeys(a, b) || a.start - b.start || (a.end ?? 0) - (b.end ?? 0));
  const windows = (key: string, from = Number.NEGATIVE_INFINITY, to = Number.POSITIVE_INFINITY): TimedEntry[] => sorted().filter((entry) => entry.key === key && isIn(entry, from, to));
  return { windows, range: (from = "", to) => sorted().filter(({ key }) => isBetween(key, from, to)), get: (key) => windows(key).at(-1) };
}

function windowValues(place: PlacedStore, serde: AnySerde, retentionMs: number): DriverStore {
  const codec = plainCodec(serde);
  const all = (): TimedEntry[] =>
    placedEntries(place).flatMap(([entryKey, reader]) => {
      const key = keyOf(entryKey, 1);
      const start = timeAt(entryKey, key.length, 0);
      return start < place.streamTime - retentionMs ? [] : [{ key, value: codec.decode(reader), start }];
    });
  return timedValues(all, ({ start }, from, to) => start >= from && start <= to);
}

function sessionValues(place: PlacedStore, serde: AnySerde, retentionMs: number): DriverStore {
  const codec = plainCodec(serde);
  const all = (): TimedEntry[] =>
    placedEntries(place).flatMap(([entryKey, reader]) => {
      const key = keyOf(entryKey, 2);
      const end = timeAt(entryKey, key.length, 0);
      return end < place.streamTime - retentionMs ? [] : [{ key, value: codec.decode(reader), start: timeAt(entryKey, key.length, 1), end }];
    });
  return timedValues(all, ({ start, end = start }, from, to) => end >= from && start <= to);
}

function versionedValues(place: PlacedStore, serde: AnySerde, historyMs: number): DriverStore {
  const codec = versionCodec(serde);
  /** Versions a key, the oldest first; without a value the end of the one before. */
  const versions = (): Map<string, { readonly timestamp: number; readonly value: unknown }[]> => {
    const found = new Map<string, { readonly timestamp: number; readonly value: unknown }[]>();
    for (const [entryKey, reader] of placedEntries(place)) {
      const key = keyOf(entryKey, 1);
      const list = found.get(key) ?? [];
      list.push({ timestamp: timeAt(entryKey, key.length, 0), value: codec.decode(reader).value });
      found.set(key, list);
    }
    return found;
  };
  const get = (key: string, asOf = Number.POSITIVE_INFINITY): DriverStoreEntry | undefined => {
    if (asOf < place.streamTime - historyMs) return undefined;
    const list = versions().get(key) ?? [];
    const version = list.findLast(({ timestamp }) => timestamp <= asOf);
    const next = list.find(({ timestamp }) => timestamp > asOf);
    return version?.value === undefined ? undefined : { key, ...version, ...(next === undefined ? {} : { validTo: next.timestamp }) };
  };
  const range = (from = "", to?: string): DriverStoreEntry[] => [...versions().keys()].flatMap((key) => (isBetween(key, from, to) ? (get(key) ?? []) : [])).sort(compareKeys);
  return { get, range, windows: () => [] };
}

/** The store of a declaration, which a step of the part uses; undefined for a custom store: only the store itself knows what it keeps. */
export function processStore(declaration: StoreDeclaration, part: StoredPart): DriverStore | undefined {
  const { name, form } = declaration;
  const steps = part.nodes.filter((node): node is ProcessNode => node.kind === "process" && node.stores.includes(declaration));
  const streamTime = Math.max(...steps.map((step) => part.streamTimes[step.name] ?? Number.NEGATIVE_INFINITY));
  const place: PlacedStore = { name, part, streamTime };
  switch (form.kind) {
    case "key-value":
    case "ordered":
      return keyValues(place, form.serde, form.ttlMs);
    case "window":
      return windowValues(place, form.serde, form.retentionMs);
    case "session":
      return sessionValues(place, form.serde, form.retentionMs);
    case "versioned":
      return versionedValues(place, form.serde, form.historyMs);
    case "custom":
      return undefined;
  }
}
