/** One total a key over several streams, each with a function of its own: an aggregate a key whose function is that of the input which brings the record. */
import type { CogroupNode } from "../../topology/index.ts";
import type { TaskContext } from "../context.ts";
import type { Link } from "../link.ts";
import { keyedAggregateLink } from "./keyed-aggregate.ts";

export function cogroupLinks(context: TaskContext, node: CogroupNode, next: Link): readonly Link[] {
  const { init, adds } = node;
  let current = adds[0];
  const add = (total: unknown, value: unknown, key: string): unknown => current?.(total, value, key);
  const link = keyedAggregateLink(context, { ...node, kind: "keyed-aggregate", aggregation: { kind: "aggregate", init, add } }, next);
  return adds.map((own) => (record) => {
    current = own;
    link(record);
  });
}
