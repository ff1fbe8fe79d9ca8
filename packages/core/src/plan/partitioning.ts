import type { SourceNode, TopologyNode } from "../topology/index.ts";
import type { SubTopology } from "./plan.ts";

/** By which fields values are known to be partitioned: records are in one partition where all of these are equal. */
interface Partitioning {
  readonly fields: readonly string[];
  /** Text that may be null is escaped in a key (see `compileKeyEncoder`), so that equal values of the two kinds may be in different partitions. */
  readonly mayBeNull: boolean;
}

function repartitionedBy({ repartition }: SourceNode): Partitioning | undefined {
  const form = repartition?.form;
  if (form === undefined || typeof form.by === "function") return undefined;
  const { by: fields, schema } = form;
  return { fields, mayBeNull: schema.columns.some(({ name, column }) => fields.includes(name) && column.clickhouse.includes("Nullable(")) };
}

function partitioning(nodes: readonly TopologyNode[], node: TopologyNode): Partitioning | undefined {
  const before = (id: number): Partitioning | undefined => {
    const found = nodes.find((other) => other.id === id);
    return found === undefined ? undefined : partitioning(nodes, found);
  };
  switch (node.kind) {
    case "cast":
      return node.partitionedBy === undefined ? undefined : { fields: [node.partitionedBy], mayBeNull: false };
    case "source":
      return repartitionedBy(node);
    case "filter":
    case "peek":
    case "dedup":
    case "branch":
    case "arm":
    case "late":
      return before(node.upstream[0] as number);
    case "merge": {
      const [first, ...others] = node.upstream.map(before);
      const isSame = (other: Partitioning | undefined): boolean => other !== undefined && other.mayBeNull === first?.mayBeNull && other.fields.join() === first.fields.join();
      return others.every(isSame) ? first : undefined;
    }
    default:
      return undefined;
  }
}

/**
 * The steps whose state would be split over several tasks if the topics had more than one partition: a repeat could pass a dedup, and a group
 * would have a row from each task. Right for any number of partitions is only state by fields that include those that its records are partitioned by: what a cast
 * says of its topic (`partitionedBy`), or the fields of a repartition.
 */
export function stepsBoundToOnePartition(part: SubTopology): readonly string[] {
  return part.nodes.flatMap((node) => {
    if (node.kind !== "dedup" && node.kind !== "aggregate") return [];
    const before = part.nodes.find((other) => other.id === node.upstream[0]);
    const known = before === undefined ? undefined : partitioning(part.nodes, before);
    const fields = node.kind === "dedup" ? (node.fields ?? []) : node.groupBy;
    return known?.fields.every((field) => fields.includes(field)) === true ? [] : [node.name];
  });
}
