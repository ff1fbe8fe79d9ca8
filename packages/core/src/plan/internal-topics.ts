import type { Topology } from "../topology/index.ts";
import { type InternalTopic, type Plan, type SubTopology } from "./plan.ts";
import { stepsBoundToOnePartition } from "./partitioning.ts";

/** The topics between parts. Those that one part reads together have the same number of partitions, whichever of them says it. */
export function internalTopics({ nodes }: Topology, parts: readonly SubTopology[]): readonly InternalTopic[] {
  const repartitions = nodes.flatMap((node) => (node.kind === "repartition" ? [node] : []));
  const found = repartitions.map(({ name, topic, partitions }) => ({
    topic,
    name,
    writtenBy: Object.freeze(parts.filter((part) => part.repartitions.some((node) => node.topic === topic)).map((part) => part.name)),
    readBy: parts.find((part) => part.topics.includes(topic))?.name ?? name,
    partitions,
  }));
  const togetherWith = (readBy: string): number | undefined => found.find((other) => other.readBy === readBy && other.partitions !== undefined)?.partitions;
  return Object.freeze(found.map((internal) => Object.freeze({ ...internal, partitions: internal.partitions ?? togetherWith(internal.readBy) })));
}

/** What is known of partitions when topics are made. */
export interface KnownPartitions {
  /** Of a topic of the part that exists. */
  readonly existing: number | undefined;
  /** Of the parts that were looked at before, by name: those that write what the part reads are among them, as the plan orders parts. */
  readonly parts: ReadonlyMap<string, number>;
  /** Of a part that reads only what others write. */
  readonly otherwise: number;
}

/**
 * How many partitions the topics of a part get that do not exist yet: as many as those that do; what the topology asks for; behind a repartition one
 * where the part's state cannot be split, else as many as the greatest part has that writes a repartition which it reads.
 */
export function partitionsWanted(plan: Plan, part: SubTopology, { existing, parts, otherwise }: KnownPartitions): number {
  if (existing !== undefined) return existing;
  const internal = plan.internalTopics.filter(({ readBy }) => readBy === part.name);
  const asked = internal.find(({ partitions }) => partitions !== undefined)?.partitions;
  if (asked !== undefined) return asked;
  if (internal.length === 0) return otherwise;
  return stepsBoundToOnePartition(part).length > 0 ? 1 : Math.max(1, ...internal.flatMap(({ writtenBy }) => writtenBy.map((name) => parts.get(name) ?? 1)));
}
