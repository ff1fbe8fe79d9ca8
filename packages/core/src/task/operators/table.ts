/**
 * Tables: the last value a key. A change carries the new value and the old one, so that steps behind it can take back what they made of the old.
 * Semantics are Kafka Streams' (unversioned tables): every update is forwarded, in the order in which it is read, whatever its timestamp.
 */
import { TopologyError } from "../../model/index.ts";
import { type TimestampedValue, timestampedCodec } from "../../state/entry-codec.ts";
import { StateTable } from "../../state/table.ts";
import type { AnySerde, TableFilterNode, TableMapNode, TableNode } from "../../topology/index.ts";
import { drop, getterOf, type TableGetter, type TaskContext } from "../context.ts";
import { keyText } from "../key-text.ts";
import type { AnyRecord, Link } from "../link.ts";
import { compileRefuse, messageOf } from "../refuse.ts";

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
  const table = openTable(context, node.name, node.serde);
  context.getters.set(node.id, (key) => table.get(key));
  return (record) => {
    const key = keyText(record.key);
    if (key === null) return drop(context, "null-key");
    next(applyChange(table, key, record.value, record));
  };
}

type Derive = (value: unknown, key: string) => unknown;

/** A table made of another, value by value: computed when asked for, or kept in a store. */
function derivedLink(context: TaskContext, node: TableFilterNode | TableMapNode, step: string, derive: Derive, next: Link): Link {
  const refuse = compileRefuse(context, step, node.onError);
  const of: Derive = (value, key) => (value === null || value === undefined ? null : (derive(value, key) ?? null));
  const table = node.serde === undefined ? undefined : openTable(context, node.name as string, node.serde);
  context.getters.set(node.id, table === undefined ? derivedGetter(getterOf(context, node.upstream[0] as number), of) : (key) => table.get(key));
  return (record) => {
    const key = record.key as string;
    let change: AnyRecord;
    try {
      const value = of(record.value, key);
      // The old value of a table without a store is made again: derivations are functions of value and key alone.
      if (table !== undefined && record.window === undefined) change = applyChange(table, key, value, record);
      else change = { ...record, value, old: of(record.old, key) };
      // The row was not in the result before and is not now.
      if (node.kind === "table-filter" && change.value === null && change.old === null) return;
    } catch (cause) {
      if (cause instanceof TopologyError) throw cause;
      return refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
    next(change);
  };
}

function derivedGetter(before: TableGetter, of: Derive): TableGetter {
  return (key, asOf) => {
    const entry = before(key, asOf);
    if (entry === undefined) return undefined;
    const value = of(entry.value, key);
    return value === null ? undefined : { value, timestamp: entry.timestamp };
  };
}

export function tableFilterLink(context: TaskContext, node: TableFilterNode, step: string, next: Link): Link {
  const { predicate } = node;
  return derivedLink(context, node, step, (value, key) => (predicate(value, key) ? value : null), next);
}

export function tableMapLink(context: TaskContext, node: TableMapNode, step: string, next: Link): Link {
  return derivedLink(context, node, step, node.map, next);
}

/** Changes as records: what the value became. */
export function toStreamLink(next: Link): Link {
  return (record) => {
    const { key, value, window, timestamp, headers } = record;
    if (window === undefined) next({ key, value, timestamp, headers });
    else next({ key, value: { key, window_start: window.start, window_end: window.end, value }, timestamp, headers });
  };
}
