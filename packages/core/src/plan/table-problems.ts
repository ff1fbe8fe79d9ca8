import type { ForeignKeyJoinNode, NodeId, TableJoinNode, TopologyNode } from "../topology/index.ts";
import { downstream, type PlanError, problem, stepName } from "./plan.ts";

/** The steps with a store from whose changes those of a table come at once. */
function stored(nodes: readonly TopologyNode[], id: NodeId): readonly NodeId[] {
  const node = nodes[id] as TopologyNode;
  switch (node.kind) {
    case "table-filter":
    case "table-map":
    case "table-join":
      return node.serde === undefined ? node.upstream.flatMap((before) => stored(nodes, before)) : [id];
    case "foreign-key-join":
      return node.upstream.flatMap((before) => stored(nodes, before));
    default:
      return [id];
  }
}

/** Whether a step needs what a row was before its change from the step before it. */
function asksForOld(node: TopologyNode): boolean {
  if (node.kind === "table-filter" || node.kind === "table-map") return node.serde === undefined;
  return node.kind !== "to-stream";
}

/**
 * A change of a table that is on both sides of a join comes by one side and then by the other, while the other is looked up as it is already. What the row was in between was never
 * sent, so nobody behind could subtract what was; only a store knows it.
 */
function joinProblems(nodes: readonly TopologyNode[], node: TableJoinNode | ForeignKeyJoinNode): PlanError[] {
  if (node.kind === "table-join" && node.serde !== undefined) return [];
  const [left, right] = node.upstream.map((id) => stored(nodes, id));
  const shared = left?.find((id) => right?.includes(id));
  if (shared === undefined || !downstream(nodes, node.id).some(asksForOld)) return [];
  const table = stepName(nodes[shared] as TopologyNode);
  return [problem("STORE_REQUIRED", stepName(node), `both sides come from table ${table}, and a step behind the join needs to know what a row was before a change`, "keep the result in a store: { store, value }")];
}

function lengthProblems(name: string, what: string, ms: number | undefined): PlanError[] {
  if (ms === undefined || (Number.isSafeInteger(ms) && ms > 0)) return [];
  return [problem("TABLE_INVALID", name, `its ${what} is ${ms} ms`, "give a whole number of milliseconds above 0, or leave it out")];
}

/** What is wrong with a step over tables. */
export function tableProblems(nodes: readonly TopologyNode[], node: TopologyNode): PlanError[] {
  if (node.kind === "table") return [...lengthProblems(node.name, "history", node.historyMs), ...lengthProblems(node.name, "ttl", node.ttlMs)];
  if (node.kind === "keyed-aggregate") return lengthProblems(node.name, "ttl", node.ttlMs);
  return node.kind === "table-join" || node.kind === "foreign-key-join" ? joinProblems(nodes, node) : [];
}
