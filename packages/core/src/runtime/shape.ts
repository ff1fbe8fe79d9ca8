import { hash } from "node:crypto";
import { lockOf, type Plan } from "../plan/index.ts";
import { downstream } from "../plan/plan.ts";

/** The parts, their topics and the named steps in them, as a savepoint is compared by. What functions do is not seen. */
export function shapeOf(plan: Plan): string {
  const parts = plan.subTopologies.map(({ name, topics, nodes, sinks, globals }) => ({
    name,
    topics,
    ...(globals.length === 0 ? {} : { globals: globals.map(({ topic }) => topic) }),
    nodes: nodes.map((node) => [node.kind, node.name ?? "", downstream(nodes, node.id).length]),
    sinks: sinks.map(({ spec }) => `${spec.connector}:${spec.target}`),
  }));
  return hash("sha256", JSON.stringify(parts), "hex").slice(0, 16);
}

/** What members of a group must have in common to share tasks: the same, and what the stores hold and how: a member that keeps another form could not read what this one writes. */
export function memberShapeOf(plan: Plan): string {
  return hash("sha256", JSON.stringify([shapeOf(plan), lockOf(plan).stores]), "hex").slice(0, 16);
}
