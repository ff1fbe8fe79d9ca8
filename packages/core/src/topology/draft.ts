import { TopologyError } from "../model/index.ts";
import type { AnySchema, NodeId, TopologyNode } from "./node.ts";
import type { Stream } from "./stream.ts";
import type { Table } from "./table.ts";
import type { WindowedTable } from "./windowed-table.ts";

type Unplaced<N extends TopologyNode> = N extends TopologyNode ? Omit<N, "id"> : never;

/** Makes handles. A stream makes tables and a table makes streams, so each asks the draft and neither file needs the other's code. */
export interface HandleMakers {
  stream<V>(draft: TopologyDraft, id: NodeId, schema?: AnySchema): Stream<V>;
  table<V>(draft: TopologyDraft, id: NodeId): Table<V>;
  windowedTable<V>(draft: TopologyDraft, id: NodeId): WindowedTable<V>;
}

/** The list of nodes while a topology is being built. Handles hold it and a node's place, nothing else. */
export class TopologyDraft {
  readonly topology: string;
  readonly #makers: HandleMakers;
  readonly #nodes: TopologyNode[] = [];
  #closed = false;

  constructor(topology: string, makers: HandleMakers) {
    this.topology = topology;
    this.#makers = makers;
  }

  /** Appends a frozen node and tells its place. */
  add(node: Unplaced<TopologyNode>): NodeId {
    if (this.#closed) {
      throw new TopologyError("PLAN_INVALID", "a step was added after its topology was finished", {
        place: node.name ?? node.kind,
        cure: "build all steps inside the function given to defineTopology",
      });
    }
    const id = this.#nodes.length;
    this.#nodes.push(Object.freeze({ ...node, id, upstream: Object.freeze([...node.upstream]) }));
    return id;
  }

  /** The handle of a node that gives records. */
  stream<V>(id: NodeId, schema?: AnySchema): Stream<V> {
    return this.#makers.stream<V>(this, id, schema);
  }

  /** The handle of a node that gives changes. */
  table<V>(id: NodeId): Table<V> {
    return this.#makers.table<V>(this, id);
  }

  /** The handle of a node that gives changes of windows. */
  windowedTable<V>(id: NodeId): WindowedTable<V> {
    return this.#makers.windowedTable<V>(this, id);
  }

  node(id: NodeId): TopologyNode {
    return this.#nodes[id] as TopologyNode;
  }

  close(): readonly TopologyNode[] {
    this.#closed = true;
    return Object.freeze([...this.#nodes]);
  }
}
