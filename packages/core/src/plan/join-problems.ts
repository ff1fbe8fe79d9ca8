import type { StreamTableJoinNode, TopologyNode } from "../topology/index.ts";
import { type PlanError, problem, stepName } from "./plan.ts";

function isLength(ms: number): boolean {
  return Number.isSafeInteger(ms) && ms >= 0;
}

function tableJoinProblems(node: StreamTableJoinNode): PlanError[] {
  if (node.hold === undefined) return [];
  const { graceMs } = node.hold;
  if (!isLength(graceMs)) return [problem("JOIN_INVALID", stepName(node), `a grace of ${graceMs} ms`, "give a whole number of milliseconds, 0 or more")];
  return [];
}

/** What is wrong with a step that joins. */
export function joinProblems(node: TopologyNode): PlanError[] {
  return node.kind === "stream-table-join" ? tableJoinProblems(node) : [];
}
