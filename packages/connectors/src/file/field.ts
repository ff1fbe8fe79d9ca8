import type { EpochMs } from "@iot-topology/core";

/** Which fields of a file's records become the key and the timestamp of the log's records. */
export interface FieldNames {
  readonly key?: string;
  readonly timestamp?: string;
}

/** A record's key: the field's text, a number or boolean as text, and null for anything else. */
export function keyOf(value: unknown): string | null {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : null;
}

/** A record's timestamp: epoch milliseconds, as a number or in a text, or an ISO-8601 text; the given moment for anything else. */
export function timestampOf(value: unknown, nowMs: EpochMs): EpochMs {
  const moment = typeof value === "string" ? (/^-?\d+$/.test(value) ? Number(value) : Date.parse(value)) : value;
  return typeof moment === "number" && Number.isFinite(moment) && Math.abs(moment) <= 8.64e15 ? Math.trunc(moment) : nowMs;
}
