/** A topic that the task keeps as a whole: what comes in changes the store, and goes on only to joins by foreign key. */
import { TopologyError } from "../../model/index.ts";
import type { GlobalTableNode } from "../../topology/index.ts";
import { drop, enter, type TaskContext } from "../context.ts";
import { exactKeyText } from "../key-text.ts";
import type { Link } from "../link.ts";
import { compileRefuse, messageOf } from "../refuse.ts";
import { applyChange, openTable } from "./table.ts";

export function globalTableLink(context: TaskContext, node: GlobalTableNode): Link {
  const refuse = compileRefuse(context, node.name, node.onError);
  const table = openTable(context, node.name, node.serde);
  context.getters.set(node.id, (key) => table.get(key));
  const { serde } = node;
  return (record) => {
    const { value } = record;
    const text = exactKeyText(record.key);
    if (text === undefined) return refuse("INVALID_UTF8", "the key is not valid UTF-8", "");
    if (text === null) return drop(context, "null-key");
    let row: unknown;
    try {
      row = value === null ? null : (serde.decode(value as Buffer) ?? null);
    } catch (cause) {
      return refuse(cause instanceof TopologyError ? cause.code : "STEP_FAILED", messageOf(cause), "", cause);
    }
    const change = applyChange(table, text, row, record);
    const links = context.globalChanges.get(node.id);
    if (links === undefined) return;
    // Every task gets this record: rows that told where they come from by its place would be taken for repeats of another task's.
    enter(context, context.injected(record.timestamp));
    for (const link of links) link(change);
  };
}
