import { TopologyError } from "../model/index.ts";
import type { NodeId, TopologyNode } from "./node.ts";

type Unplaced<N extends TopologyNode> = N extends TopologyNode ? Omit<N, "id"> : never;

/** The list of nodes while a topology is being built. Handles hold it and a node's place, nothing else. */
export class TopologyDraft {
  readonly topology: string;
  readonly #nodes: TopologyNode[] = [];
  #closed = false;

  constructor(topology: string) {
    this.topology = topology;
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

  node(id: NodeId): TopologyNode {
    return this.#nodes[id] as TopologyNode;
  }

  close(): readonly TopologyNode[] {
    this.#closed = true;
    return Object.freeze([...this.#nodes]);
  }
}
