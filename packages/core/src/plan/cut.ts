import { globalTableOf, type GlobalTableNode, type NodeId, type RepartitionNode, type SinkNode, type SourceNode, type StoreDeclaration, type Topology, type TopologyNode } from "../topology/index.ts";
import { policyOf, type SubTopology } from "./plan.ts";

/** Finds the representative of a node's part. */
function find(parents: NodeId[], id: NodeId): NodeId {
  let root = id;
  while (parents[root] !== root) root = parents[root] as NodeId;
  return root;
}

function union(parents: NodeId[], a: NodeId, b: NodeId): void {
  const [rootA, rootB] = [find(parents, a), find(parents, b)];
  parents[Math.max(rootA, rootB)] = Math.min(rootA, rootB);
}

/** Steps that share a store are one task. */
function uniteByStores(nodes: readonly TopologyNode[], parents: NodeId[]): void {
  const users = new Map<StoreDeclaration, NodeId>();
  for (const node of nodes) {
    if (node.kind !== "process") continue;
    for (const store of node.stores) {
      const other = users.get(store);
      if (other === undefined) users.set(store, node.id);
      else union(parents, node.id, other);
    }
  }
}

function policyTarget(node: TopologyNode): NodeId | undefined {
  const policy = policyOf(node);
  return policy?.kind === "dead-letter" ? policy.node : undefined;
}

/**
 * Cuts a topology into parts that share no stream. A dead-letter stream does not bind parts together: where nothing but dead letters flows
 * into it, each part that refers to it runs its steps for itself, so that unrelated topics stay unrelated tasks.
 */
export function cut(topology: Topology): readonly SubTopology[] {
  const { nodes } = topology;
  const parents = nodes.map((node) => node.id);
  for (const node of nodes) for (const before of node.upstream) union(parents, node.id, before);
  uniteByStores(nodes, parents);
  const hasSource = new Set(nodes.filter((node) => node.kind === "source").map((node) => find(parents, node.id)));
  for (const node of nodes) {
    const target = policyTarget(node);
    // A dead-letter stream that was merged with a source's stream belongs to that source's part, and so do the steps that refer to it.
    if (target !== undefined && hasSource.has(find(parents, target))) union(parents, node.id, target);
  }
  const roots = [...new Set(nodes.filter((node) => node.kind === "source").map((node) => find(parents, node.id)))];
  return Object.freeze(inOrder(roots.map((root) => part(nodes, parents, root))));
}

/** Parts that write a repartition before the one that reads it, otherwise as they stand. A part in a cycle, which validation refuses, stands as it is. */
function inOrder(parts: readonly SubTopology[]): SubTopology[] {
  const left = [...parts];
  const ordered: SubTopology[] = [];
  while (left.length > 0) {
    const waits = (part: SubTopology): boolean => left.some((other) => other.repartitions.some(({ topic }) => part.topics.includes(topic)));
    ordered.push(...left.splice(Math.max(0, left.findIndex((part) => !waits(part))), 1));
  }
  return ordered;
}

function part(nodes: readonly TopologyNode[], parents: NodeId[], root: NodeId): SubTopology {
  const own = nodes.filter((node) => find(parents, node.id) === root);
  const wanted = new Set(own.map((node) => node.id));
  let grew = true;
  while (grew) {
    grew = false;
    for (const node of nodes) {
      if (!wanted.has(node.id)) continue;
      const global = globalTableOf(node);
      if (global !== undefined) wanted.add(global);
      const target = policyTarget(node);
      if (target === undefined || wanted.has(target)) continue;
      const shared = find(parents, target);
      for (const other of nodes) if (find(parents, other.id) === shared) wanted.add(other.id);
      grew = true;
    }
  }
  const members = nodes.filter((node) => wanted.has(node.id));
  const sources = members.filter((node): node is SourceNode => node.kind === "source");
  return Object.freeze({
    name: sources.map((source) => source.name).join("+"),
    sources: Object.freeze(sources),
    topics: Object.freeze(sources.flatMap((source) => source.topics)),
    nodes: Object.freeze(members),
    sinks: Object.freeze(members.filter((node): node is SinkNode => node.kind === "sink")),
    globals: Object.freeze(members.filter((node): node is GlobalTableNode => node.kind === "global-table")),
    repartitions: Object.freeze(members.filter((node): node is RepartitionNode => node.kind === "repartition")),
  });
}
