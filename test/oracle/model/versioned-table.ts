import type { AsOfRow, StoreDump } from "../case.ts";
import type { Forward, ModelContext } from "./rules.ts";

/** A key's value from a moment on; null is a deletion. */
interface Version {
  readonly ts: number;
  readonly value: unknown;
  /** Whether something before it is kept that ends where it begins. A deletion is such an end itself. */
  readonly isEnd: boolean;
}

export type Row = Pick<Version, "ts" | "value">;

export interface VersionedModel {
  /** A record takes its place among the versions of its key, and is forwarded wherever that is. */
  readonly process: Forward;
  readonly latest: (key: string) => Row | undefined;
  readonly asOf: (key: string, moment: number) => Row | undefined;
  /** What a store shows, asked for some moments a key. */
  readonly dump: (moments: ReadonlyMap<string, readonly number[]>) => StoreDump;
}

const rowOf = (version: Version | undefined): Version | undefined => (version === undefined || version.value === null ? undefined : version);

/** The versions of a key after one more put; none is older than the history. */
function withVersion(context: ModelContext, versions: readonly Version[], value: unknown, ts: number): Version[] {
  const before = versions.filter((version) => version.ts < ts);
  const [next, ...after] = versions.filter((version) => version.ts > ts);
  const replaced = versions.find((version) => version.ts === ts);
  const hadEnd = replaced?.isEnd === true || rowOf(before.at(-1)) !== undefined;
  // Kafka Streams takes the newest row away, and nothing remembers from when on: what ended there would.
  const isForgotten = value === null && next === undefined && rowOf(replaced) !== undefined && !hadEnd;
  if (isForgotten && !context.rules.deletionsAreKept) return before;
  const put = { ts, value, isEnd: hadEnd || value === null };
  return next === undefined ? [...before, put] : [...before, put, { ...next, isEnd: true }, ...after];
}

/** A table that keeps versions for as long as its history is. */
export function versionedTable(context: ModelContext, historyMs: number, forward: Forward): VersionedModel {
  /** By time. */
  const keys = new Map<string, readonly Version[]>();
  let streamTime = Number.NEGATIVE_INFINITY;
  const latest = (key: string): Row | undefined => rowOf(keys.get(key)?.at(-1));
  const asOf = (key: string, moment: number): Row | undefined => {
    const newest = latest(key);
    if (newest !== undefined && newest.ts <= moment) return newest;
    return moment < streamTime - historyMs ? undefined : rowOf(keys.get(key)?.findLast(({ ts }) => ts <= moment));
  };
  return {
    latest,
    asOf,
    process({ key, value, ts }) {
      if (typeof key === "object" && key !== null) throw new Error("the model keeps no windows in tables");
      if (key === null || ts < streamTime - historyMs) return void context.droppedRecords++;
      streamTime = Math.max(streamTime, ts);
      const versions = keys.get(key) ?? [];
      const old = latest(key)?.value ?? null;
      keys.set(key, withVersion(context, versions, value, ts));
      forward({ key, value, old, ts, isOutOfOrder: versions.some((version) => version.ts > ts) });
    },
    dump(moments) {
      const newest = [...moments.keys()].map((key) => ({ key, row: latest(key) }));
      const asOfRows = [...moments].flatMap(([key, times]) =>
        times.map((moment): AsOfRow => {
          const found = asOf(key, moment);
          return { key, asOf: moment, value: found?.value ?? null, ts: found?.ts ?? null };
        }),
      );
      return { type: "versioned", latest: newest.flatMap(({ key, row }) => (row === undefined ? [] : [{ key, value: row.value, ts: row.ts }])), asOf: asOfRows };
    },
  };
}
