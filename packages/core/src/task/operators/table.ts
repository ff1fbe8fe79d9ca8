/**
 * Tables: the last value a key. A change carries the new value and the old one, so that steps behind it can take back what they made of the old.
 * Semantics are Kafka Streams' (unversioned tables): every update is forwarded, in the order in which it is read, whatever its timestamp.
 */
import { TopologyError } from "../../model/index.ts";
import { type TimestampedValue, timestampedCodec } from "../../state/entry-codec.ts";
import { StateTable } from "../../state/table.ts";
import { VersionedTable } from "../../state/versioned-table.ts";
import type { AnySerde, TableFilterNode, TableMapNode, TableNode, ToStreamNode } from "../../topology/index.ts";
import { advanceStreamTime, drop, getterOf, type TableGetter, type TaskContext } from "../context.ts";
import { keyText } from "../key-text.ts";
import type { AnyRecord, Link } from "../link.ts";
import { compileRefuse, messageOf } from "../refuse.ts";
import { RowExpiry } from "../row-expiry.ts";

/** Opens a store of values with timestamps. */
export function openTable(context: TaskContext, name: string, serde: AnySerde): StateTable<TimestampedValue<unknown>> {
  const table = new StateTable(context.backend, name, timestampedCodec<unknown>(serde), { entriesMax: context.cacheEntriesMax, scratch: context.scratch });
  context.tables.push(table);
  return table;
}

/** Sets a key's row and gives the change. */
export function applyChange(table: StateTable<TimestampedValue<unknown>>, key: string, value: unknown, record: AnyRecord): AnyRecord {
  const old = table.get(key)?.value ?? null;
  if (value === null || value === undefined) table.delete(key);
  else table.put(key, { value, timestamp: record.timestamp });
  return { key, value: value ?? null, old, timestamp: record.timestamp, headers: record.headers };
}

export function tableLink(context: TaskContext, node: TableNode, next: Link): Link {
  if (node.historyMs !== undefined) return versionedTableLink(context, node, node.historyMs, next);
  const table = openTable(context, node.name, node.serde);
  context.getters.set(node.id, (key) => table.get(key));
  const expiry = node.ttlMs === undefined ? undefined : new RowExpiry(context, node.name, node.ttlMs, table, next);
  return (record) => {
    const key = keyText(record.key);
    if (key === null) return drop(context, "null-key");
    if (expiry !== undefined) {
      expiry.advance(record.timestamp);
      if (record.value !== null && record.value !== undefined && !expiry.take(key, record.timestamp)) return drop(context, "expired");
    }
    next(applyChange(table, key, record.value, record));
  };
}

/** A versioned table: an update takes its place among the versions of its key, and is forwarded wherever that is. */
function versionedTableLink(context: TaskContext, node: TableNode, historyMs: number, next: Link): Link {
  const table = new VersionedTable<unknown>(context.backend, node.name, node.serde, { entriesMax: context.cacheEntriesMax, scratch: context.scratch });
  context.tables.push(table);
  const oldest = (): number => (context.streamTimes[node.name] ?? Number.NEGATIVE_INFINITY) - historyMs;
  context.getters.set(node.id, (key, asOf) => {
    const latest = table.latest(key);
    // The newest version is kept for as long as it is the newest, so it may be asked for beyond the history.
    if (asOf === undefined || (latest !== undefined && latest.timestamp <= asOf)) return latest;
    // What stood before the history may be deleted already, or not yet: nobody sees which.
    return asOf < oldest() ? undefined : table.asOf(key, asOf);
  });
  return (record) => {
    const key = keyText(record.key);
    if (key === null) return drop(context, "null-key");
    const { timestamp, headers } = record;
    const streamTime = advanceStreamTime(context, node.name, timestamp);
    if (timestamp < streamTime - historyMs) return drop(context, "expired");
    const old = table.latest(key)?.value ?? null;
    const value: unknown = record.value ?? null;
    const isLatest = table.put(key, value, timestamp);
    table.expire(streamTime - historyMs);
    next(isLatest ? { key, value, old, timestamp, headers } : { key, value, old, timestamp, headers, outOfOrder: true });
  };
}

type Derive = (value: unknown, key: string) => unknown;

/** What the user's function made of a row before: nothing where it throws, since the row was refused when it came. */
export function madeBefore(make: () => unknown): unknown {
  try {
    return make() ?? null;
  } catch (cause) {
    if (cause instanceof TopologyError) throw cause;
    return null;
  }
}

/** A table made of another, value by value: computed when asked for, or kept in a store. */
function derivedLink(context: TaskContext, node: TableFilterNode | TableMapNode, step: string, derive: Derive, forwards: (change: AnyRecord) => boolean, next: Link): Link {
  const refuse = compileRefuse(context, step, node.onError);
  const of: Derive = (value, key) => (value === null || value === undefined ? null : (derive(value, key) ?? null));
  const table = node.serde === undefined ? undefined : openTable(context, node.name as string, node.serde);
  context.getters.set(node.id, table === undefined ? derivedGetter(getterOf(context, node.upstream[0] as number), of) : (key) => table.get(key));
  return (record) => {
    const key = record.key as string;
    let value: unknown = null;
    try {
      value = of(record.value, key);
    } catch (cause) {
      if (cause instanceof TopologyError) throw cause;
      // The row that stood there is outdated: what cannot be made is a deletion.
      refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
    // The old value of a table without a store is made again: derivations are functions of value and key alone.
    const change = table !== undefined && record.window === undefined ? applyChange(table, key, value, record) : { ...record, value, old: madeBefore(() => of(record.old, key)) };
    if (forwards(change)) next(change);
  };
}

function derivedGetter(before: TableGetter, of: Derive): TableGetter {
  return (key, asOf) => {
    const entry = before(key, asOf);
    if (entry === undefined) return undefined;
    const value = madeBefore(() => of(entry.value, key));
    return value === null ? undefined : { value, timestamp: entry.timestamp };
  };
}

export function tableFilterLink(context: TaskContext, node: TableFilterNode, step: string, next: Link): Link {
  const { predicate } = node;
  // A row that did not fit before and does not now is no change, but for a versioned table, where each version is one.
  const forwards = node.historyMs === undefined ? ({ value, old }: AnyRecord) => value !== null || old !== null : () => true;
  return derivedLink(context, node, step, (value, key) => (predicate(value, key) ? value : null), forwards, next);
}

export function tableMapLink(context: TaskContext, node: TableMapNode, step: string, next: Link): Link {
  return derivedLink(context, node, step, node.map, () => true, next);
}

/** Changes as records: what the value became. */
export function toStreamLink(context: TaskContext, { isLatest }: ToStreamNode, next: Link): Link {
  return (record) => {
    if (isLatest && record.outOfOrder === true) return drop(context, "out-of-order");
    const { key, value, window, timestamp, headers } = record;
    if (window === undefined) next({ key, value, timestamp, headers });
    else next({ key, value: { key, window_start: window.start, window_end: window.end, value }, timestamp, headers });
  };
}
