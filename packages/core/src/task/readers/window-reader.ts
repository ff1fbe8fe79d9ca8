/** Readers of window, session and versioned stores of process steps; their layout stands in task/stores/windows.ts. */
import { ByteReader } from "../../model/index.ts";
import type { AnySerde, StoreDeclaration, TopologyNode } from "../../topology/index.ts";
import { plainCodec } from "../stores/key-value.ts";
import { clampTime, keyAt, keyOf, timeAt, versionCodec } from "../stores/windows.ts";
import { type ReadPlace, type ReadRange, readRange, type StoredRow, type StoreReader, storePrefix } from "./reader.ts";

const TIME_LENGTH = 16;
/** Times are hex digits, which end before it. */
const AFTER_TIMES = "~";

/** Entries of one key, whose first time lies between two, both included. */
async function* entriesOf({ backend }: ReadPlace, name: string, key: string, times: number, from: number, to: number, reverse = false): AsyncGenerator<readonly [string, Buffer], void> {
  if (!(from <= to)) return;
  const length = key.length + 1 + times * TIME_LENGTH;
  for await (const entry of readRange(backend, storePrefix(name), { from: keyAt(key, clampTime(from)), below: keyAt(key, clampTime(to)) + AFTER_TIMES, reverse }, `store ${name}`)) {
    if (entry[0].length === length) yield entry;
  }
}

interface Timed {
  readonly declaration: StoreDeclaration;
  readonly node: TopologyNode;
  readonly steps: readonly string[];
}

/** Below this nothing is any more. */
function boundOf({ steps }: Timed, { streamTime }: ReadPlace, keptMs: number): number {
  return Math.max(...steps.map(streamTime)) - keptMs;
}

export function windowStoreReader(timed: Timed, serde: AnySerde, retentionMs: number): StoreReader {
  const { declaration: { name }, node } = timed;
  const codec = plainCodec(serde);
  const decode = (payload: Buffer): unknown => codec.decode(new ByteReader(payload));
  return {
    name,
    kind: "window",
    node,
    async *windows(place, key, from, to) {
      for await (const [entryKey, payload] of entriesOf(place, name, key, 1, Math.max(from, boundOf(timed, place, retentionMs)), to)) yield { key, start: timeAt(entryKey, key.length, 0), value: decode(payload) };
    },
    async *range(place, range: ReadRange) {
      const bound = boundOf(timed, place, retentionMs);
      for await (const [entryKey, payload] of readRange(place.backend, storePrefix(name), range, `store ${name}`)) {
        const key = keyOf(entryKey, 1);
        const start = timeAt(entryKey, key.length, 0);
        if (start >= bound) yield { key, start, value: decode(payload) };
      }
    },
  };
}

export function sessionStoreReader(timed: Timed, serde: AnySerde, retentionMs: number): StoreReader {
  const { declaration: { name }, node } = timed;
  const codec = plainCodec(serde);
  const rowOf = (key: string, entryKey: string, payload: Buffer): StoredRow & { readonly start: number; readonly end: number } => ({
    key,
    start: timeAt(entryKey, key.length, 1),
    end: timeAt(entryKey, key.length, 0),
    value: codec.decode(new ByteReader(payload)),
  });
  return {
    name,
    kind: "session",
    node,
    async *windows(place, key, from, to) {
      for await (const [entryKey, payload] of entriesOf(place, name, key, 2, Math.max(from, boundOf(timed, place, retentionMs)), Number.POSITIVE_INFINITY)) {
        const row = rowOf(key, entryKey, payload);
        if (row.start <= to) yield row;
      }
    },
    async *range(place, range: ReadRange) {
      const bound = boundOf(timed, place, retentionMs);
      for await (const [entryKey, payload] of readRange(place.backend, storePrefix(name), range, `store ${name}`)) {
        const row = rowOf(keyOf(entryKey, 2), entryKey, payload);
        if (row.end >= bound) yield row;
      }
    },
  };
}

export function versionedStoreReader(timed: Timed, serde: AnySerde, historyMs: number): StoreReader {
  const { declaration: { name }, node } = timed;
  const codec = versionCodec(serde);
  return {
    name,
    kind: "versioned",
    node,
    async get(place, key, asOf) {
      if (asOf !== undefined && asOf < boundOf(timed, place, historyMs)) return undefined;
      const versions = entriesOf(place, name, key, 1, Number.NEGATIVE_INFINITY, asOf === undefined ? Number.POSITIVE_INFINITY : Math.floor(asOf), true);
      const latest = await versions.next();
      await versions.return();
      if (latest.done === true) return undefined;
      const [entryKey, payload] = latest.value;
      const { value } = codec.decode(new ByteReader(payload));
      return value === undefined ? undefined : { key, value, timestamp: timeAt(entryKey, key.length, 0) };
    },
  };
}
