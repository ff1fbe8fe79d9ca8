import type { RowFacts } from "../port/index.ts";
import type { NodeId, Topology, TopologyNode } from "../topology/index.ts";
import { traitsOf } from "./traits.ts";

const RAW: RowFacts = Object.freeze({ mayRepeat: true, isUpdated: false, group: undefined, identity: undefined });

function same(a: readonly string[] | undefined, b: readonly string[] | undefined): readonly string[] | undefined {
  return a !== undefined && b !== undefined && a.length === b.length && a.every((field) => b.includes(field)) ? a : undefined;
}

function both(a: RowFacts, b: RowFacts): RowFacts {
  return { mayRepeat: a.mayRepeat || b.mayRepeat, isUpdated: a.isUpdated || b.isUpdated, group: same(a.group, b.group), identity: same(a.identity, b.identity) };
}

function factsOf(node: TopologyNode, nodes: readonly TopologyNode[], at: (id: NodeId) => RowFacts): RowFacts {
  const before = (): RowFacts => node.upstream.map(at).reduce(both);
  switch (node.kind) {
    case "source":
      return node.repartition === undefined ? { ...RAW, mayRepeat: node.redeliveryMs !== 0 } : at(node.repartition.writer);
    case "dead-letter":
    case "global-table":
      return RAW;
    case "dedup":
      return { ...before(), mayRepeat: false, identity: node.fields === undefined ? undefined : [...node.fields, ...(node.sequenceField === undefined ? [] : [node.sequenceField])] };
    case "aggregate":
      return { mayRepeat: before().mayRepeat, isUpdated: true, group: [...node.groupBy, ...(node.window === undefined ? [] : ["window_start"])], identity: undefined };
    case "windowed-group":
      return { mayRepeat: before().mayRepeat, isUpdated: node.emit !== "close", group: [...node.groupBy, "window_start"], identity: undefined };
    case "windowed-aggregate":
      return { mayRepeat: before().mayRepeat, isUpdated: node.emit !== "close", group: undefined, identity: undefined };
    case "suppress":
      return { ...before(), isUpdated: node.until.kind !== "window-closes", group: undefined, identity: undefined };
    case "stream-table-join":
    case "stream-global-table-join":
      // The table's rows are looked up, not sent on.
      return { ...at(node.upstream[0] as NodeId), group: undefined, identity: undefined };
    case "late":
      // What is late left before the step in front did anything with it.
      return at(nodes[node.upstream[0] as NodeId]?.upstream[0] as NodeId);
    default: {
      const { rows } = traitsOf(node);
      const facts = before();
      // Of other values the fields may be others.
      return rows === "same" ? facts : { mayRepeat: facts.mayRepeat, isUpdated: facts.isUpdated || rows === "updates", group: undefined, identity: undefined };
    }
  }
}

/** What is known of the rows that leave each step, by its place: in one pass, for every step stands behind those that it reads. */
export function rowFacts({ nodes }: Topology): readonly RowFacts[] {
  const facts: RowFacts[] = [];
  for (const node of nodes) facts.push(factsOf(node, nodes, (id) => facts[id] as RowFacts));
  return facts;
}
