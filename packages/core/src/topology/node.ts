/**
 * A topology is frozen data: a list of nodes, each naming the nodes before it by their place in the list.
 * Functions of the user's stand in the nodes as they are; everything else can be printed.
 */
import type { RecordKey, StreamRecord, WarningRule } from "../model/index.ts";
import type { SinkSpec } from "../port/index.ts";
import type { RecordSchema, SerdeMigration, StandardSchema } from "../schema/index.ts";
import type { Aggregator } from "./aggregate.ts";
import type { ChangeRepartitionForm } from "./change-repartition.ts";
import type { GlobalTableNode } from "./global-table.ts";
import type { AnyJoinNode } from "./join-nodes.ts";
import type { MapAsyncNode } from "./map-async.ts";
import type { ProcessChildNode, ProcessNode } from "./process.ts";
import type { RepartitionForm } from "./repartition.ts";
import type { AnyTableJoinNode } from "./table-join-nodes.ts";
import type { AnyTableNode } from "./table-nodes.ts";
import type { ValueFormat } from "./value-format.ts";
import type { TumblingWindow } from "./window.ts";
import type { AnyWindowNode } from "./window-nodes.ts";

/** The place of a node in its topology's list. */
export type NodeId = number;

/** What a step does with a record that it cannot process. */
export type ErrorPolicy = { readonly kind: "fail" } | { readonly kind: "skip" } | { readonly kind: "dead-letter"; readonly node: NodeId };

/** What every node has. */
export interface NodeBase {
  readonly id: NodeId;
  /** The user's name, or one that follows from the user's other names; undefined for an unnamed step without state. */
  readonly name: string | undefined;
  readonly upstream: readonly NodeId[];
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- values pass between steps of different types; the handles carry the types.
type AnyValue = any;
/** A schema of whatever record. */
export type AnySchema = RecordSchema<AnyValue, AnyValue>;

export interface SourceNode extends NodeBase {
  readonly kind: "source";
  readonly topics: readonly string[];
  /** How long a producer may send a record again, where the topology says it; for warnings only. */
  readonly redeliveryMs: number | undefined;
  /** Set where this is the reading end of a repartition. */
  readonly repartition: { readonly writer: NodeId; readonly form: RepartitionForm | undefined; readonly changes?: ChangeRepartitionForm } | undefined;
}
/** What a cast reads bytes into: columns, in JSON or another format; or what a Standard Schema of another library gives. */
export type CastForm =
  | { readonly kind: "columns"; readonly schema: AnySchema; readonly format: ValueFormat | undefined }
  | { readonly kind: "standard"; readonly schema: StandardSchema<AnyValue, AnyValue> };

export interface CastNode extends NodeBase {
  readonly kind: "cast";
  readonly reads: CastForm;
  readonly timestampField: string | undefined;
  readonly partitionedBy: string | undefined;
  readonly payloadBytesMax: number;
  readonly onError: ErrorPolicy;
}
export interface FilterNode extends NodeBase {
  readonly kind: "filter";
  readonly predicate: (value: AnyValue, record: StreamRecord<AnyValue>) => boolean;
  readonly onError: ErrorPolicy;
}
export interface MapNode extends NodeBase {
  readonly kind: "map";
  readonly map: (value: AnyValue, record: StreamRecord<AnyValue>) => AnyValue;
  readonly onError: ErrorPolicy;
}
export interface FlatMapNode extends NodeBase {
  readonly kind: "flatMap";
  readonly map: (value: AnyValue, record: StreamRecord<AnyValue>) => Iterable<AnyValue>;
  readonly onError: ErrorPolicy;
}
export interface PeekNode extends NodeBase {
  readonly kind: "peek";
  readonly action: (value: AnyValue, record: StreamRecord<AnyValue>) => void;
  readonly onError: ErrorPolicy;
}
export interface RekeyNode extends NodeBase {
  readonly kind: "rekey";
  readonly key: (value: AnyValue, record: StreamRecord<AnyValue>) => RecordKey;
  readonly onError: ErrorPolicy;
}
export interface MergeNode extends NodeBase {
  readonly kind: "merge";
}
export interface BranchNode extends NodeBase {
  readonly kind: "branch";
  /** The first that holds takes the record; the arm after the last takes the rest. */
  readonly arms: readonly { readonly name: string; readonly predicate: (value: AnyValue, record: StreamRecord<AnyValue>) => boolean }[];
  readonly onError: ErrorPolicy;
}
export interface ArmNode extends NodeBase {
  readonly kind: "arm";
  readonly index: number;
}
export interface DedupNode extends NodeBase {
  readonly kind: "dedup";
  readonly name: string;
  /** Fields of the identity, or undefined where a function gives it. */
  readonly fields: readonly string[] | undefined;
  readonly identity: ((value: AnyValue, record: StreamRecord<AnyValue>) => string) | undefined;
  readonly schema: AnySchema | undefined;
  readonly sequenceField: string | undefined;
  readonly withinMs: number | undefined;
  readonly onError: ErrorPolicy;
}
export interface AggregateNode extends NodeBase {
  readonly kind: "aggregate";
  readonly name: string;
  readonly groupBy: readonly string[];
  readonly schema: AnySchema | undefined;
  readonly window: TumblingWindow | undefined;
  readonly aggregation:
    | { readonly kind: "columns"; readonly columns: { readonly [name: string]: Aggregator<never, unknown> } }
    | { readonly kind: "reduce"; readonly schema: AnySchema; readonly reduce: (total: AnyValue, value: AnyValue) => AnyValue; readonly migrations: readonly SerdeMigration<AnyValue>[] };
  readonly onError: ErrorPolicy;
}
export interface LateNode extends NodeBase {
  readonly kind: "late";
}
export interface DeadLetterNode extends NodeBase {
  readonly kind: "dead-letter";
  readonly name: string;
}
/** The writing end of a repartition; a source is its reading end. */
export interface RepartitionNode extends NodeBase {
  readonly kind: "repartition";
  readonly name: string;
  readonly topic: string;
  /** Fields of the key, or undefined where a function gives it. */
  readonly fields: readonly string[] | undefined;
  readonly partitions: number | undefined;
  /** Undefined where no schema says how values are kept, which is an error of the plan, and where changes of a table go through. */
  readonly form: RepartitionForm | undefined;
  /** Set where changes of a table go through. */
  readonly changes?: ChangeRepartitionForm;
  readonly spec: SinkSpec<never> | undefined;
  readonly onError: ErrorPolicy;
}
export interface SinkNode extends NodeBase {
  readonly kind: "sink";
  readonly name: string;
  readonly spec: SinkSpec<never>;
}

/** A step of a topology. */
export type TopologyNode =
  | SourceNode
  | CastNode
  | FilterNode
  | MapNode
  | FlatMapNode
  | PeekNode
  | RekeyNode
  | MergeNode
  | BranchNode
  | ArmNode
  | DedupNode
  | AggregateNode
  | LateNode
  | DeadLetterNode
  | RepartitionNode
  | SinkNode
  | MapAsyncNode
  | ProcessNode
  | ProcessChildNode
  | AnyTableNode
  | GlobalTableNode
  | AnyJoinNode
  | AnyTableJoinNode
  | AnyWindowNode;

/** A whole topology, frozen. Made by `defineTopology`. */
export interface Topology {
  readonly kind: "topology";
  readonly name: string;
  /** Part of every token; raise it when a change makes other rows of the same input. */
  readonly version: number;
  readonly nodes: readonly TopologyNode[];
  /** Warnings that are known and meant, by step. */
  readonly accepts: { readonly [step: string]: readonly WarningRule[] };
}
