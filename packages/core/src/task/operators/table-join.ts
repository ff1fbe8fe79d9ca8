/** Joins of two tables by their keys. Which changes leave, and with which time, is as in Kafka Streams' table-table joins. */
import { TopologyError } from "../../model/index.ts";
import type { TableJoinNode } from "../../topology/index.ts";
import { drop, getterOf, type TableEntry, type TableGetter, type TaskContext } from "../context.ts";
import type { Link } from "../link.ts";
import { compileRefuse, messageOf } from "../refuse.ts";
import { applyChange, madeBefore, openTable } from "./table.ts";

/** Makes the result's row of what both sides have: null where they have none together. */
type Make = (left: unknown, right: unknown, key: string) => unknown;

function compileMake({ join, joiner }: TableJoinNode): Make {
  return (left, right, key) => {
    if (left === null && (right === null || join !== "outer")) return null;
    if (right === null && join === "inner") return null;
    return joiner(left, right, key) ?? null;
  };
}

function joinedGetter(left: TableGetter, right: TableGetter, make: Make): TableGetter {
  return (key) => {
    const l = left(key);
    const r = right(key);
    const value = madeBefore(() => make(l?.value ?? null, r?.value ?? null, key));
    return value === null ? undefined : { value, timestamp: Math.max(l?.timestamp ?? Number.NEGATIVE_INFINITY, r?.timestamp ?? Number.NEGATIVE_INFINITY) };
  };
}

export function tableJoinLinks(context: TaskContext, node: TableJoinNode, step: string, next: Link): readonly Link[] {
  const refuse = compileRefuse(context, step, node.onError);
  const make = compileMake(node);
  const [left, right] = node.upstream.map((id) => getterOf(context, id)) as [TableGetter, TableGetter];
  const store = node.serde === undefined ? undefined : openTable(context, node.name as string, node.serde);
  context.getters.set(node.id, store === undefined ? joinedGetter(left, right, make) : (key) => store.get(key));

  /** `needsOther` where nothing of this side stands in the result without a row of the other. */
  const side = (getOther: TableGetter, needsOther: boolean, of: (own: unknown, other: unknown, key: string) => unknown): Link => (record) => {
    // A version that is not the newest has nothing to do with the newest of the other side.
    if (record.outOfOrder === true) return drop(context, "out-of-order");
    const key = record.key as string;
    const other: TableEntry | undefined = getOther(key);
    if (other === undefined && (needsOther || (record.value === null && record.old === null))) return;
    const otherValue = other?.value ?? null;
    let value: unknown = null;
    try {
      value = of(record.value, otherValue, key);
    } catch (cause) {
      if (cause instanceof TopologyError) throw cause;
      refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
    const timestamp = other === undefined ? record.timestamp : Math.max(record.timestamp, other.timestamp);
    const change = { key, value, old: store === undefined ? madeBefore(() => of(record.old, otherValue, key)) : null, timestamp, headers: record.headers };
    next(store === undefined ? change : applyChange(store, key, value, change));
  };
  return [side(right, node.join === "inner", (own, other, key) => make(own, other, key)), side(left, node.join !== "outer", (own, other, key) => make(other, own, key))];
}
