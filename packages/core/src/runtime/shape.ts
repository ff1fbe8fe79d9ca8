import { hash } from "node:crypto";
import type { Plan } from "../plan/index.ts";
import { downstream } from "../plan/plan.ts";

/**
 * What members of a group must have in common to share tasks: the parts, their topics and the named steps in them. What functions do is not seen.
 */
export function shapeOf(plan: Plan): string {
  const parts = plan.subTopologies.map(({ name, topics, nodes, sinks }) => ({
    name,
    topics,
    nodes: nodes.map((node) => [node.kind, node.name ?? "", downstream(nodes, node.id).length]),
    sinks: sinks.map(({ spec }) => `${spec.connector}:${spec.target}`),
  }));
  return hash("sha256", JSON.stringify(parts), "hex").slice(0, 16);
}
