/** A topic that the task keeps as a whole: what comes in changes the store and goes no further. */
import { TopologyError } from "../../model/index.ts";
import type { GlobalTableNode } from "../../topology/index.ts";
import { drop, type TaskContext } from "../context.ts";
import { exactKeyText } from "../key-text.ts";
import type { Link } from "../link.ts";
import { compileRefuse, messageOf } from "../refuse.ts";
import { openTable } from "./table.ts";

export function globalTableLink(context: TaskContext, node: GlobalTableNode): Link {
  const refuse = compileRefuse(context, node.name, node.onError);
  const table = openTable(context, node.name, node.serde);
  context.getters.set(node.id, (key) => table.get(key));
  const { serde } = node;
  return ({ key, value, timestamp }) => {
    const text = exactKeyText(key);
    if (text === undefined) return refuse("INVALID_UTF8", "the key is not valid UTF-8", "");
    if (text === null) return drop(context, "null-key");
    if (value === null) return table.delete(text);
    let row: unknown;
    try {
      row = serde.decode(value as Buffer) ?? null;
    } catch (cause) {
      return refuse(cause instanceof TopologyError ? cause.code : "STEP_FAILED", messageOf(cause), "", cause);
    }
    if (row === null) table.delete(text);
    else table.put(text, { value: row, timestamp });
  };
}
