import type { TopologyNode } from "../topology/index.ts";
import type { SubTopology } from "./plan.ts";
import { traitsOf } from "./traits.ts";

/** Whether a step stands before a node whose rows leave at commits or by the clock, so that their number depends on when those came. */
function followsTimedRows(nodes: readonly TopologyNode[], node: TopologyNode): boolean {
  return node.upstream.some((id) => {
    const before = nodes.find((other) => other.id === id);
    if (before === undefined) return false;
    // What comes late leaves one by one.
    if (traitsOf(before).emits !== "record") return node.kind !== "late";
    return followsTimedRows(nodes, before);
  });
}

/**
 * Whether a part's state may be made again from the log: all of its sinks can take rows again under other batch boundaries, and no part behind it would read
 * them twice.
 */
export function isRebuildable(part: SubTopology): boolean {
  if (part.repartitions.length > 0) return false;
  return part.sinks.every(({ spec, ...node }) => spec.rebuildable === "by-key" || (spec.rebuildable === "by-position" && !followsTimedRows(part.nodes, { ...node, spec })));
}
