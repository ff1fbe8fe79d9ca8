/** Joins with versioned tables. */
import { joined } from "../functions.ts";
import { byText, type Forward, type ModelContext, type ModelRecord } from "./rules.ts";
import type { VersionedModel } from "./versioned-table.ts";

export interface StreamTableJoinStep {
  readonly context: ModelContext;
  readonly type: "inner" | "left";
  /** For how long records wait for the table. */
  readonly graceMs: number | undefined;
  readonly table: VersionedModel;
  readonly forward: Forward;
}

/** A record's key, in a place where no windows are. */
function plainKey({ key }: ModelRecord): string | null {
  if (key !== null && typeof key === "object") throw new Error("the model joins no windowed records with tables");
  return key;
}

/** Each record with the row that stood at its time: at once, or when the stream's time has passed it by the grace. */
export function streamTableJoin({ context, type, graceMs, table, forward }: StreamTableJoinStep): Forward {
  const join = (record: ModelRecord): void => {
    const key = plainKey(record);
    const row = key === null ? undefined : table.asOf(key, record.ts);
    if (row !== undefined || type === "left") forward({ key, value: joined(record.value, row?.value ?? null), ts: record.ts });
  };
  let held: ModelRecord[] = [];
  let streamTime = Number.NEGATIVE_INFINITY;
  return (record) => {
    if (record.value === null || (record.key === null && type === "inner")) return void context.droppedRecords++;
    if (graceMs === undefined || record.ts < streamTime - graceMs) return join(record);
    streamTime = Math.max(streamTime, record.ts);
    const due = streamTime - graceMs;
    held.push(record);
    held.sort((a, b) => a.ts - b.ts || byText(plainKey(a) ?? "", plainKey(b) ?? ""));
    for (const waited of held.filter(({ ts }) => ts <= due)) join(waited);
    held = held.filter(({ ts }) => ts > due);
  };
}

export interface TableTableJoinStep {
  readonly context: ModelContext;
  readonly type: "inner" | "left" | "outer";
  readonly left: VersionedModel;
  readonly right: VersionedModel;
  readonly forward: Forward;
}

/** A change of either side with the newest row of the other. */
export function tableTableJoin({ context, type, left, right, forward }: TableTableJoinStep): (record: ModelRecord, isLeft: boolean) => void {
  const make = (leftValue: unknown, rightValue: unknown): unknown => {
    const isNothing = leftValue === null ? rightValue === null || type !== "outer" : rightValue === null && type === "inner";
    return isNothing ? null : joined(leftValue, rightValue);
  };
  return (record, isLeft) => {
    const { value, old = null, ts } = record;
    const key = plainKey(record) as string;
    if (record.isOutOfOrder === true) return void context.droppedRecords++;
    const other = (isLeft ? right : left).latest(key);
    const needsOther = isLeft ? type === "inner" : type !== "outer";
    if (other === undefined && (needsOther || (value === null && old === null))) return;
    const of = (own: unknown): unknown => (isLeft ? make(own, other?.value ?? null) : make(other?.value ?? null, own));
    forward({ key, value: of(value), old: of(old), ts: Math.max(ts, other?.ts ?? ts) });
  };
}
