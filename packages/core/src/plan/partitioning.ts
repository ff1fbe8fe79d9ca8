import type { TopologyNode } from "../topology/index.ts";
import type { SubTopology } from "./plan.ts";

/** The field by which values at a node are known to be partitioned, if any. */
function partitionField(nodes: readonly TopologyNode[], node: TopologyNode): string | undefined {
  switch (node.kind) {
    case "cast":
      return node.partitionedBy;
    case "filter":
    case "peek":
    case "dedup":
    case "branch":
    case "arm":
    case "late": {
      const before = nodes.find((other) => other.id === node.upstream[0]);
      return before === undefined ? undefined : partitionField(nodes, before);
    }
    case "merge": {
      const fields = node.upstream.map((id) => {
        const before = nodes.find((other) => other.id === id);
        return before === undefined ? undefined : partitionField(nodes, before);
      });
      return fields.every((field) => field === fields[0]) ? fields[0] : undefined;
    }
    default:
      return undefined;
  }
}

/**
 * The steps whose state would be split over several tasks if the topics had more than one partition: a repeat could pass a dedup, and a group
 * would have a row from each task. Right for any number of partitions is only state by fields that include the one its cast says it is `partitionedBy`.
 */
export function stepsBoundToOnePartition(part: SubTopology): readonly string[] {
  return part.nodes.flatMap((node) => {
    if (node.kind !== "dedup" && node.kind !== "aggregate") return [];
    const before = part.nodes.find((other) => other.id === node.upstream[0]);
    const field = before === undefined ? undefined : partitionField(part.nodes, before);
    const fields = node.kind === "dedup" ? (node.fields ?? []) : node.groupBy;
    return field !== undefined && fields.includes(field) ? [] : [node.name];
  });
}
