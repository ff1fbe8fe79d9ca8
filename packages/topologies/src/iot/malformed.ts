import { hash32 } from "./random.ts";

/** What a reading says, as JSON text has it. */
export interface ReadingMessage {
  readonly deviceId: string;
  readonly metric: string;
  readonly seq: number;
  readonly ts: string | number;
  readonly value: number | string;
  readonly unit: string;
}

const NESTING_DEPTH = 100;

/** The ways in which a record can be wrong, each of them refused by the reading's schema for a reason of its own. */
const WAYS: readonly ((reading: ReadingMessage) => string | null)[] = [
  () => null,
  () => "",
  () => "not json",
  () => "[1, 2, 3]",
  (r) => JSON.stringify(r).slice(0, -9),
  (r) => JSON.stringify({ ...r, deviceId: "" }),
  (r) => JSON.stringify({ ...r, deviceId: 7.5 }),
  (r) => JSON.stringify({ ...r, metric: "" }),
  (r) => JSON.stringify({ ...r, seq: -1 - r.seq }),
  (r) => JSON.stringify({ ...r, seq: r.seq + 0.5 }),
  (r) => JSON.stringify({ ...r, ts: "2026-02-30T00:00:00Z" }),
  (r) => JSON.stringify({ ...r, ts: "yesterday" }),
  (r) => JSON.stringify({ ...r, value: "NaN" }),
  (r) => JSON.stringify({ ...r, value: "warm" }),
  (r) => JSON.stringify({ ...r, value: null }),
  (r) => JSON.stringify(r).replace(/"value":[^,]+/, '"value":1e999'),
  ({ value: _, ...r }) => JSON.stringify(r),
  (r) => `{"deviceId":${JSON.stringify(r.deviceId)},"deep":${"[".repeat(NESTING_DEPTH)}${"]".repeat(NESTING_DEPTH)}}`,
];

/** The value of a record that looks like the reading and is wrong in one way, which follows from the seed. */
export function malformedValue(reading: ReadingMessage, seed: number, n: number): string | null {
  return WAYS[hash32(seed, 31, n) % WAYS.length]?.(reading) ?? null;
}

/** How many ways there are to be malformed. */
export const malformedWayCount: number = WAYS.length;
