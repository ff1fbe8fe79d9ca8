import type { SinkNode } from "../../topology/index.ts";
import type { TaskContext } from "../context.ts";
import type { Link } from "../link.ts";
import { compileRefuse, messageOf } from "../refuse.ts";
import { SinkBuffer } from "../sink-buffer.ts";

/** Rows for a sink, encoded as they come. */
export function sinkLink(context: TaskContext, node: SinkNode): Link {
  const buffer = new SinkBuffer(node.spec);
  context.sinks.push(buffer);
  const refuse = compileRefuse(context, node.name, { kind: "fail" });
  return (record) => {
    try {
      buffer.add(context, record);
    } catch (cause) {
      refuse("STEP_FAILED", `the row does not fit the sink: ${messageOf(cause)}`, "", cause);
    }
  };
}
