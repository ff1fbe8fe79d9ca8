import type { StoreShape } from "./store-shape.ts";

/** Where values stand in a store whose entries hold one each, at their end. */
export interface StoredValues {
  /** The first byte of the entries' keys: `s` by key, `w` by window and key. */
  readonly prefix: "s" | "w";
  /** Where the value begins in an entry's payload; RangeError where the payload is shorter. */
  readonly valueAt: (payload: Buffer) => number;
}

const TIMESTAMP_BYTES = 8;

function afterTimestamp(payload: Buffer, before = 0): number {
  const at = before + TIMESTAMP_BYTES;
  if (payload.length < at) throw new RangeError(`an entry of ${payload.length} bytes has no value`);
  return at;
}

/** Behind the count of updates, a varint, and the timestamp. */
function afterGroup(payload: Buffer): number {
  const end = payload.findIndex((byte) => byte < 0x80);
  return afterTimestamp(payload, end < 0 ? payload.length : end + 1);
}

/** Entries that are the value alone. */
const PLAIN = /^process, (key-value|ordered|window|session)$/;
/** Entries that begin with a time: the row's, or that at which it ends. */
const TIMED = /^(table|global-table|global-table|table-filter|table-map|table-join|(keyed-aggregate|table-aggregate), \w+|process, (key-value|ordered), with a ttl)(, with a ttl)?$/;

/** The same a window, where windows lie apart: sessions and sliding windows stand several in an entry. */
const WINDOWED = /^windowed-aggregate(, \w+)?(, on close)?$/;

/** How to get at the values of a store; undefined where its entries hold something else, so that its values cannot be made over one by one. */
export function storedValues({ kind, settings }: StoreShape): StoredValues | undefined {
  if (kind === "reduce") return { prefix: settings["window"] === undefined ? "s" : "w", valueAt: afterGroup };
  if (PLAIN.test(kind)) return { prefix: "s", valueAt: () => 0 };
  if (WINDOWED.test(kind) && (settings["window"] === "tumbling" || settings["window"] === "hopping")) return { prefix: "w", valueAt: afterTimestamp };
  if (TIMED.test(kind)) return { prefix: "s", valueAt: afterTimestamp };
  return undefined;
}
