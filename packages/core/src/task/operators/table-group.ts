/** A table's rows under other keys, and totals over them. Which changes leave, in which order and with which time, is as in Kafka Streams' KGroupedTable. */
import { TopologyError } from "../../model/index.ts";
import type { GroupedRow, TableAggregateNode, TableGroupNode } from "../../topology/index.ts";
import type { TaskContext } from "../context.ts";
import type { Link } from "../link.ts";
import { compileRefuse, messageOf } from "../refuse.ts";
import { frozen } from "./keyed-aggregate.ts";
import { madeBefore, openTable } from "./table.ts";

function counted(row: GroupedRow<unknown> | null | undefined): GroupedRow<unknown> | undefined {
  if (row === null || row === undefined || row.key === null || row.key === undefined) return undefined;
  return row.value === null || row.value === undefined ? undefined : row;
}

export function tableGroupLink(context: TaskContext, node: TableGroupNode, step: string, next: Link): Link {
  const refuse = compileRefuse(context, step, node.onError);
  const { group } = node;
  return (record) => {
    // The totals are of the newest rows.
    if (record.outOfOrder === true) return;
    const { timestamp, headers } = record;
    const key = record.key as string;
    const old = record.old === null || record.old === undefined ? undefined : counted(madeBefore(() => group(record.old, key)) as GroupedRow<unknown> | null);
    let current: GroupedRow<unknown> | undefined;
    try {
      if (record.value !== null && record.value !== undefined) current = counted(group(record.value, key));
    } catch (cause) {
      // What the row was is subtracted all the same.
      refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
    if (old !== undefined && current !== undefined && old.key === current.key) return next({ key: old.key, value: current.value, old: old.value, timestamp, headers });
    if (old !== undefined) next({ key: old.key, value: null, old: old.value, timestamp, headers });
    if (current !== undefined) next({ key: current.key, value: current.value, old: null, timestamp, headers });
  };
}

export function tableAggregateLink(context: TaskContext, node: TableAggregateNode, next: Link): Link {
  const refuse = compileRefuse(context, node.name, { kind: "fail" });
  const table = openTable(context, node.name, node.serde);
  context.getters.set(node.id, (key) => table.get(key));
  const { init, add, subtract } = node.aggregation;
  return (record) => {
    const key = record.key as string;
    const entry = table.get(key);
    let total: unknown = entry?.value ?? null;
    try {
      if (record.old !== null && total !== null) total = frozen(subtract(total, record.old, key)) ?? null;
      if (record.value !== null) {
        if (total === null && init === undefined) total = record.value;
        else total = add(total ?? frozen(init?.()), record.value, key) ?? null;
      }
    } catch (cause) {
      // Damage in the store is not the record's fault.
      if (cause instanceof TopologyError) throw cause;
      return refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
    const timestamp = entry === undefined ? record.timestamp : Math.max(entry.timestamp, record.timestamp);
    if (total === null) table.delete(key);
    else table.put(key, { value: frozen(total), timestamp });
    next({ key, value: total, old: entry?.value ?? null, timestamp, headers: record.headers });
  };
}
