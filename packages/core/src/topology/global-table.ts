import type { Serde } from "../schema/index.ts";
import type { TopologyDraft } from "./draft.ts";
import type { ErrorPolicy, NodeBase, NodeId } from "./node.ts";
import { errorPolicy } from "./policy.ts";
import type { AnySerde } from "./table-nodes.ts";

/**
 * A topic that each task reads as a whole into a store of its own. Its node stands in every part with a step that names it by a field `globalTable`; it is nobody's upstream, so it
 * neither binds parts together nor says how many tasks they have.
 */
export interface GlobalTableNode extends NodeBase {
  readonly kind: "global-table";
  readonly name: string;
  readonly topic: string;
  readonly serde: AnySerde;
  readonly onError: ErrorPolicy;
}

/** Options of a global table. */
export interface GlobalTableOptions<T> {
  /** The name of the store. */
  readonly store: string;
  /** How values stand in the topic and in the store. */
  readonly value: Serde<T>;
  /** For values that the serde cannot read: each task meets them, so there are no dead letters of them. `fail` unless given. */
  readonly onError?: "fail" | "skip";
}

/**
 * A table of which every task has all rows, for joins of streams by any key, and of tables by foreign key. A row is the last value of its key in the topic, whatever the order of its partitions.
 *
 * A task reads the topic to its end before it goes on with its streams, at each start; afterwards what comes there is read before records of streams that wait. So a record is joined
 * with a row that was in the log when the task began; of later ones, which of the two is first is not told by their times, as in Kafka Streams.
 */
export class GlobalTable<T> {
  readonly draft: TopologyDraft;
  readonly nodeId: NodeId;
  /** Only for the compiler: of which rows it is. */
  declare readonly row?: T;

  constructor(draft: TopologyDraft, nodeId: NodeId) {
    this.draft = draft;
    this.nodeId = nodeId;
  }
}

/** Adds the node of a global table. */
export function addGlobalTable<T>(draft: TopologyDraft, topic: string, { store, value, onError }: GlobalTableOptions<T>): GlobalTable<T> {
  return new GlobalTable<T>(draft, draft.add({ kind: "global-table", name: store, upstream: [], topic, serde: value, onError: errorPolicy(onError) }));
}

/** The global table that a step reads. */
export function globalTableOf(node: object): NodeId | undefined {
  return "globalTable" in node && typeof node.globalTable === "number" ? node.globalTable : undefined;
}
