/** Aggregates a key without windows: each record makes a change of a table, forwarded at once. Semantics of null keys, null values, null totals and timestamps are Kafka Streams'. */
import { TopologyError } from "../../model/index.ts";
import type { KeyedAggregateNode } from "../../topology/index.ts";
import { drop, type TaskContext } from "../context.ts";
import { frozen } from "../frozen.ts";
import { keyText } from "../key-text.ts";
import type { Link } from "../link.ts";
import { compileRefuse, messageOf } from "../refuse.ts";
import { RowExpiry } from "../row-expiry.ts";
import { openTable } from "./table.ts";

export { frozen };

export function keyedAggregateLink(context: TaskContext, node: KeyedAggregateNode, next: Link): Link {
  const refuse = compileRefuse(context, node.name, node.onError);
  const table = openTable(context, node.name, node.serde);
  context.getters.set(node.id, (key) => table.get(key));
  const { init, add } = node.aggregation;
  const expiry = node.ttlMs === undefined ? undefined : new RowExpiry(context, node.name, node.ttlMs, table, next);
  return (record) => {
    const key = keyText(record.key);
    if (key === null) return drop(context, "null-key");
    const value: unknown = record.value;
    if (value === null || value === undefined) return drop(context, "null-value");
    expiry?.advance(record.timestamp);
    const entry = table.get(key);
    let total: unknown;
    try {
      if (entry === undefined && init === undefined) total = value;
      else total = add(frozen(entry === undefined ? init?.() : entry.value), value, key) ?? null;
    } catch (cause) {
      // Damage in the store is not the record's fault.
      if (cause instanceof TopologyError) throw cause;
      return refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
    const timestamp = entry === undefined ? record.timestamp : Math.max(entry.timestamp, record.timestamp);
    if (total !== null && expiry?.take(key, timestamp) === false) return drop(context, "expired");
    if (total === null) table.delete(key);
    else table.put(key, { value: frozen(total), timestamp });
    next({ key, value: total, old: entry?.value ?? null, timestamp, headers: record.headers });
  };
}
