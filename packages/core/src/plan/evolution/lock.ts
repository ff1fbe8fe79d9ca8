import type { SinkShape } from "../../port/index.ts";
import { type ColumnShape, columnShapes, type ValueShape, valueShape } from "../../schema/index.ts";
import type { CastNode, RepartitionNode } from "../../topology/index.ts";
import { type Plan, stepName } from "../plan.ts";
import { type StepStore, type StoreShape, storesOf } from "./store-shape.ts";

/** What a source reads. */
export interface SourceLock {
  readonly topics: readonly string[];
}

/** What a cast takes from a topic's values. */
export interface CastLock {
  /** Absent where a schema of another library casts, whose fields cannot be seen. */
  readonly columns?: readonly ColumnShape[];
  readonly format: string;
  readonly timestamp?: string;
  readonly partitionedBy?: string;
}

/** What goes through the topic of a repartition. */
export interface RepartitionLock {
  readonly topic: string;
  readonly by: string;
  readonly value: ValueShape;
  readonly partitions?: number;
  readonly partitioner?: "a function";
}

/** A store and the part whose tasks keep it. */
export interface StoreLock extends StoreShape {
  readonly part: string;
}

/** All of a topology that outlives a process: what is stored under its names, and what others read. Plain data, for `topology.lock.json`. */
export interface TopologyLock {
  readonly version: number;
  /** Sub-topologies, after which tasks are named: the topics that each reads. */
  readonly parts: Readonly<Record<string, readonly string[]>>;
  readonly sources: Readonly<Record<string, SourceLock>>;
  readonly casts: Readonly<Record<string, CastLock>>;
  readonly stores: Readonly<Record<string, StoreLock>>;
  readonly repartitions: Readonly<Record<string, RepartitionLock>>;
  /** By connector and target. */
  readonly sinks: Readonly<Record<string, SinkShape>>;
}

function castLock({ reads, timestampField, partitionedBy }: CastNode): CastLock {
  return {
    ...(reads.kind === "columns" ? { columns: columnShapes(reads.schema) } : {}),
    format: reads.kind === "standard" ? `JSON by ${reads.schema["~standard"].vendor}` : (reads.format?.name ?? "JSON"),
    ...(timestampField === undefined ? {} : { timestamp: timestampField }),
    ...(partitionedBy === undefined ? {} : { partitionedBy }),
  };
}

function repartitionValue({ form, changes }: RepartitionNode): ValueShape {
  if (changes !== undefined) return valueShape(changes.serde);
  if (form === undefined) return { serde: "none" };
  const { values } = form;
  return values.kind === "serde" ? valueShape(values.serde) : { serde: `binary ${values.schema.name}`, columns: columnShapes(values.schema) };
}

function repartitionLock(node: RepartitionNode): RepartitionLock {
  const { topic, fields, partitions, form, changes } = node;
  return {
    topic,
    by: changes !== undefined ? "groups of a table" : fields === undefined ? "a function" : fields.join(", "),
    value: repartitionValue(node),
    ...(form?.partitioner === undefined ? {} : { partitioner: "a function" as const }),
    ...(partitions === undefined ? {} : { partitions }),
  };
}

/** The stores of a plan, with the part that keeps each. A step in several parts, behind a shared stream of dead letters, has a store in each; the first stands for it. */
export function storesOfPlan({ subTopologies }: Plan): readonly (StepStore & { readonly part: string })[] {
  const seen = new Set<string>();
  return subTopologies.flatMap((part) =>
    part.nodes.flatMap(storesOf).flatMap((store) => {
      if (seen.has(store.name)) return [];
      seen.add(store.name);
      return [{ ...store, part: part.name }];
    }),
  );
}

/** A plan's lock: what `iot-topology check` keeps and compares. */
export function lockOf(plan: Plan): TopologyLock {
  const { nodes, version } = plan.topology;
  const named = <T>(entries: readonly (readonly [string, T])[]): Readonly<Record<string, T>> => Object.fromEntries(entries);
  return {
    version,
    parts: named(plan.subTopologies.map(({ name, topics }) => [name, topics])),
    sources: named(nodes.flatMap((node) => ((node.kind === "source" && node.repartition === undefined) || node.kind === "global-table" ? [[stepName(node), { topics: node.kind === "source" ? node.topics : [node.topic] }] as const] : []))),
    casts: named(nodes.flatMap((node) => (node.kind === "cast" ? [[stepName(node), castLock(node)] as const] : []))),
    stores: named(storesOfPlan(plan).map(({ name, shape, part }) => [name, { part, ...shape }])),
    repartitions: named(nodes.flatMap((node) => (node.kind === "repartition" ? [[node.name, repartitionLock(node)] as const] : []))),
    sinks: named(nodes.flatMap((node) => (node.kind === "sink" ? [[node.name, node.spec.shape ?? { summary: node.spec.summary }] as const] : []))),
  };
}
