/**
 * Joins of a stream with a table: each record with the row that its key has when it is processed, or, of a versioned table, had at the record's own time. Changes of the table send
 * nothing. Semantics are Kafka Streams'; a record without a key in a left join with grace, which stops Kafka Streams, waits as the others do and is joined with nothing.
 */
import { invariant } from "../../model/index.ts";
import { type HeldRecord, heldCodec } from "../../state/held-codec.ts";
import { keyBehindTime, OrderedTable, timedKey, timeOfKey } from "../../state/ordered-table.ts";
import type { AnySerde, NodeId, StreamGlobalTableJoinNode, StreamTableJoinNode } from "../../topology/index.ts";
import { advanceStreamTime, drop, getterOf, type TaskContext } from "../context.ts";
import { keyText } from "../key-text.ts";
import type { AnyRecord, Link } from "../link.ts";
import { frozen } from "./keyed-aggregate.ts";
import { compileRefuse, messageOf } from "../refuse.ts";

/** Takes a record whose key in the table is known. */
type Take = (record: AnyRecord, key: string | null) => void;

const ignored: Link = () => {};

/** Joins a record with the row that a key has. */
function lookUp(context: TaskContext, node: Pick<StreamTableJoinNode, "join" | "joiner" | "onError">, table: NodeId, step: string, next: Link): Take {
  const refuse = compileRefuse(context, step, node.onError);
  const get = getterOf(context, table);
  const { joiner } = node;
  const isLeft = node.join === "left";
  return (record, key) => {
    const row = key === null ? undefined : get(key, record.timestamp);
    if (row === undefined && !isLeft) return;
    let value: unknown;
    try {
      value = joiner(record.value, row === undefined ? null : row.value, key);
    } catch (cause) {
      return refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
    next({ key: record.key, value, timestamp: record.timestamp, headers: record.headers });
  };
}

/** Keeps records until the stream's time has passed their own by the grace, and sends them on in the order of time, then key, then arrival. */
function holding(context: TaskContext, name: string, { graceMs, serde }: { readonly graceMs: number; readonly serde: AnySerde }, join: Take): Take {
  const { backend, cacheEntriesMax: entriesMax, scratch } = context;
  const waiting = new OrderedTable<readonly HeldRecord<unknown>[]>(backend, name, heldCodec<unknown>(serde), { entriesMax, scratch });
  context.tables.push(waiting);
  /** Nothing that waits is older; unknown after a start. */
  let earliest = Number.NEGATIVE_INFINITY;
  const sendDue = (bound: number): void => {
    for (const [place, records] of waiting.entries({ below: timedKey(bound + 1, "") })) {
      waiting.delete(place);
      const [timestamp, key] = [timeOfKey(place), keyOfHeld(keyBehindTime(place))];
      for (const { value, headers } of records) join({ key, value, timestamp, headers }, key);
    }
    const first = waiting.keys().next();
    earliest = first.done === true ? Number.POSITIVE_INFINITY : timeOfKey(first.value);
  };
  return (record, key) => {
    const { timestamp, value, headers } = record;
    const bound = advanceStreamTime(context, name, timestamp) - graceMs;
    if (bound >= earliest) sendDue(bound);
    // What the grace has passed already waits for nothing.
    if (timestamp <= bound) return join({ key, value, timestamp, headers }, key);
    const place = timedKey(timestamp, heldKey(key));
    const held = { value: frozen(value), headers };
    if (waiting.has(place)) waiting.put(place, [...(waiting.get(place) ?? []), held]);
    else waiting.add(place, [held]);
    earliest = Math.min(earliest, timestamp);
  };
}

// Records without a key stand before those with one.
const heldKey = (key: string | null): string => (key === null ? "0" : `1${key}`);
const keyOfHeld = (held: string): string | null => (held === "0" ? null : held.slice(1));

/** One entry for the stream, one for the table. */
export function streamTableJoinLinks(context: TaskContext, node: StreamTableJoinNode, step: string, next: Link): readonly Link[] {
  const join = lookUp(context, node, node.upstream[1] as NodeId, step, next);
  const isLeft = node.join === "left";
  const keyOf = (record: AnyRecord): string | null | undefined => {
    const hasValue = record.value !== null && record.value !== undefined;
    const key = keyText(record.key);
    if (hasValue && (key !== null || isLeft)) return key;
    drop(context, hasValue ? "null-key" : "null-value");
    return undefined;
  };
  const { name, hold } = node;
  invariant(hold === undefined || name !== undefined, "a join that holds records has a name");
  const take = hold === undefined ? join : holding(context, name as string, hold, join);
  return [
    (record) => {
      const key = keyOf(record);
      if (key !== undefined) take(record, key);
    },
    ignored,
  ];
}

/** The same with a global table, whose key a function gives. */
export function streamGlobalTableJoinLink(context: TaskContext, node: StreamGlobalTableJoinNode, step: string, next: Link): Link {
  const join = lookUp(context, node, node.globalTable, step, next);
  const refuse = compileRefuse(context, step, node.onError);
  const isLeft = node.join === "left";
  const { key: keyOf } = node;
  return (record) => {
    if (record.value === null || record.value === undefined) return drop(context, "null-value");
    let key: string | null;
    try {
      key = keyOf(record.value, record) ?? null;
    } catch (cause) {
      return refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
    if (key === null && !isLeft) return drop(context, "null-key");
    join(record, key);
  };
}
