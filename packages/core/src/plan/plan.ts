import type { SinkSpec } from "../port/index.ts";
import type { ErrorPolicy, NodeId, SinkNode, SourceNode, Topology, TopologyNode } from "../topology/index.ts";

/** What is wrong with a topology, at which step, and what to do about it. */
export interface PlanError {
  readonly _tag: "PlanError";
  readonly rule:
    | "NAME_INVALID"
    | "NAME_REQUIRED"
    | "NAME_DUPLICATE"
    | "SOURCE_MISSING"
    | "TOPIC_DUPLICATE"
    | "FIELD_UNKNOWN"
    | "WINDOW_INVALID"
    | "DEDUP_INVALID"
    | "SINK_INVALID"
    | "SINK_DUPLICATE"
    | "DEAD_LETTERS_LOST"
    | "VERSION_INVALID";
  readonly step: string;
  readonly message: string;
  readonly cure: string;
}

/** A part of a topology that runs by itself: a task for each partition of its topics. */
export interface SubTopology {
  /** The names of its sources, joined by `+`. Task ids and folders are made of it. */
  readonly name: string;
  readonly sources: readonly SourceNode[];
  readonly topics: readonly string[];
  /** In an order in which each node comes after those before it. */
  readonly nodes: readonly TopologyNode[];
  readonly sinks: readonly SinkNode[];
}

/** A topic between two parts of a topology, which the engine makes. */
export interface InternalTopic {
  readonly topic: string;
  /** Names of the sub-topologies that write it. */
  readonly writtenBy: readonly string[];
  /** Name of the sub-topology that reads it. */
  readonly readBy: string;
  /** As the topology says; undefined: as many as the greatest of those that write it. */
  readonly partitions: number | undefined;
}

/** A checked topology, cut into the parts that run. */
export interface Plan {
  readonly topology: Topology;
  readonly subTopologies: readonly SubTopology[];
  /** Each target once, in the order of the topology. */
  readonly sinks: readonly SinkSpec<never>[];
  readonly internalTopics: readonly InternalTopic[];
}

/** The nodes right behind a node, in the order of the topology. */
export function downstream(nodes: readonly TopologyNode[], id: NodeId): TopologyNode[] {
  return nodes.filter((node) => node.upstream.includes(id));
}

/** The policy of a step, where it can refuse records. */
export function policyOf(node: TopologyNode): ErrorPolicy | undefined {
  return "onError" in node ? node.onError : undefined;
}

/** A name for messages: the user's, or the kind and place of an unnamed step. */
export function stepName(node: TopologyNode): string {
  return node.name ?? `${node.kind} (step ${node.id})`;
}
