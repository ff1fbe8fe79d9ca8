import type { SinkSpec } from "../port/index.ts";
import type { ErrorPolicy, GlobalTableNode, NodeId, RepartitionNode, SinkNode, SourceNode, Topology, TopologyNode } from "../topology/index.ts";

/** What is wrong with a topology, at which step, and what to do about it. */
export interface PlanError {
  readonly _tag: "PlanError";
  readonly rule:
    | "NAME_INVALID"
    | "NAME_REQUIRED"
    | "NAME_DUPLICATE"
    | "SOURCE_MISSING"
    | "SOURCE_INVALID"
    | "TOPIC_DUPLICATE"
    | "FIELD_UNKNOWN"
    | "WINDOW_INVALID"
    | "SUPPRESS_INVALID"
    | "DEDUP_INVALID"
    | "JOIN_INVALID"
    | "STORE_INVALID"
    | "CHILD_INVALID"
    | "ASYNC_INVALID"
    | "SINK_INVALID"
    | "SINK_DUPLICATE"
    | "SCHEMA_REQUIRED"
    | "SCHEMA_ASYNCHRONOUS"
    | "REPARTITION_INVALID"
    | "REPARTITION_UNUSED"
    | "REPARTITION_CYCLE"
    | "PARTITIONS_MISMATCH"
    | "STORE_REQUIRED"
    | "GLOBAL_TABLE_UNUSED"
    | "TABLE_INVALID"
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
  /** The repartitions that this part writes. */
  readonly repartitions: readonly RepartitionNode[];
  /** The global tables that its steps read. Each of its tasks reads their topics as a whole; they are not among `topics`. */
  readonly globals: readonly GlobalTableNode[];
}

/** A topic that the topology writes for itself: a repartition's. */
export interface InternalTopic {
  readonly topic: string;
  /** The name of the repartition. */
  readonly name: string;
  /** Names of the parts that write it, at least one. */
  readonly writtenBy: readonly string[];
  /** The name of the part that reads it. */
  readonly readBy: string;
  /** What the topology asks for; undefined where it follows from the parts that write. */
  readonly partitions: number | undefined;
}

/** A checked topology, cut into the parts that run. */
export interface Plan {
  readonly topology: Topology;
  /** A part that reads a repartition comes after those that write it. */
  readonly subTopologies: readonly SubTopology[];
  /** Each target once, in the order of the topology; the writing ends of repartitions among them. */
  readonly sinks: readonly SinkSpec<never>[];
  readonly internalTopics: readonly InternalTopic[];
}

/** Makes a {@link PlanError}. */
export function problem(rule: PlanError["rule"], step: string, message: string, cure: string): PlanError {
  return Object.freeze({ _tag: "PlanError", rule, step, message, cure });
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
