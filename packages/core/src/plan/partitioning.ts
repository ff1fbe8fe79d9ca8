import { globalTableOf, type RepartitionForm, type SourceNode, type TopologyNode } from "../topology/index.ts";
import { stepName, type SubTopology } from "./plan.ts";
import { traitsOf } from "./traits.ts";

/** By which fields values are known to be partitioned: records are in one partition where all of these are equal. */
export interface Partitioning {
  readonly fields: readonly string[];
  /** Text that may be null is escaped in a key (see `compileKeyEncoder`), so that equal values of the two kinds may be in different partitions. */
  readonly mayBeNull: boolean;
  /** How the key is made of the fields, where a repartition does it; otherwise the topic's key is the one field's text. */
  readonly form: RepartitionForm | undefined;
}

function repartitionedBy({ repartition }: SourceNode): Partitioning | undefined {
  const form = repartition?.form;
  if (form === undefined || typeof form.by === "function" || form.values.kind === "serde") return undefined;
  const { by: fields, values: { schema } } = form;
  return { fields, mayBeNull: schema.columns.some(({ name, column }) => fields.includes(name) && column.clickhouse.includes("Nullable(")), form };
}

/** By what the values at a node are partitioned, if anybody knows. */
export function partitioningOf(nodes: readonly TopologyNode[], node: TopologyNode): Partitioning | undefined {
  const before = (id: number): Partitioning | undefined => {
    const found = nodes.find((other) => other.id === id);
    return found === undefined ? undefined : partitioningOf(nodes, found);
  };
  switch (node.kind) {
    case "cast":
      return node.partitionedBy === undefined ? undefined : { fields: [node.partitionedBy], mayBeNull: false, form: undefined };
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
      const isSame = (other: Partitioning | undefined): boolean => other !== undefined && other.mayBeNull === first?.mayBeNull && other.form?.partitioner === first.form?.partitioner && other.fields.join() === first.fields.join();
      return others.every(isSame) ? first : undefined;
    }
    default:
      return undefined;
  }
}

/** Whether the records at a node still have the keys by which their topic is partitioned: those of the log, or of a repartition. */
export function hasTopicKeys(nodes: readonly TopologyNode[], node: TopologyNode): boolean {
  if (traitsOf(node).key === "changes") return false;
  return node.upstream.every((id) => {
    const before = nodes.find((other) => other.id === id);
    return before === undefined || hasTopicKeys(nodes, before);
  });
}

/** What chooses the partitions of the topics that come to a node: the log, or partitioners of the user's. */
function partitionersOf(nodes: readonly TopologyNode[], node: TopologyNode, found: Set<unknown> = new Set()): Set<unknown> {
  if (node.kind === "source") found.add(node.repartition?.form?.partitioner);
  for (const id of node.upstream) {
    const before = nodes.find((other) => other.id === id);
    if (before !== undefined) partitionersOf(nodes, before, found);
  }
  return found;
}

/** Whether equal keys come to a keyed step in one task: all that comes to it has its topic's keys, and one rule says in which partition a key is. */
function hasKeysTogether(nodes: readonly TopologyNode[], node: TopologyNode): boolean {
  return node.upstream.every((id) => nodes.some((other) => other.id === id && hasTopicKeys(nodes, other))) && partitionersOf(nodes, node).size <= 1;
}

/**
 * The steps whose state would be split over several tasks if the topics had more than one partition: a repeat could pass a dedup, and a group
 * would have a row from each task. Right for any number of partitions is only state by fields that include those that its records are partitioned by: what a cast
 * says of its topic (`partitionedBy`), or the fields of a repartition; and state by the records' keys, as long as no step changed them since they were read, and the topics of all
 * that comes together there choose partitions alike: that is what Kafka Streams calls co-partitioned. A row and the row
 * that it names by a foreign key are in different partitions as a rule, unless every task has the latter's table.
 */
export function stepsBoundToOnePartition(part: SubTopology): readonly string[] {
  return part.nodes.flatMap((node) => {
    const { state } = traitsOf(node);
    if (state === "foreign-key" && globalTableOf(node) === undefined) return [stepName(node)];
    if (state === "key" || state === "foreign-key") return hasKeysTogether(part.nodes, node) ? [] : [stepName(node)];
    if (node.kind !== "dedup" && node.kind !== "aggregate" && node.kind !== "windowed-group") return [];
    const before = part.nodes.find((other) => other.id === node.upstream[0]);
    const known = before === undefined ? undefined : partitioningOf(part.nodes, before);
    const fields = node.kind === "dedup" ? (node.fields ?? []) : node.groupBy;
    return known?.fields.every((field) => fields.includes(field)) === true ? [] : [node.name];
  });
}
