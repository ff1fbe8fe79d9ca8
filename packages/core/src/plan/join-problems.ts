import type { StreamStreamJoinNode, StreamTableJoinNode, TopologyNode } from "../topology/index.ts";
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

function streamJoinProblems({ name, window: { beforeMs, afterMs, graceMs } }: StreamStreamJoinNode): PlanError[] {
  // One of the two may be below 0, as in "from 2 to 8 after": { before: -2, after: 8 }.
  if (Number.isSafeInteger(beforeMs) && Number.isSafeInteger(afterMs) && beforeMs + afterMs >= 0 && isLength(graceMs)) return [];
  return [
    problem("JOIN_INVALID", name, `a window of ${beforeMs} ms before and ${afterMs} ms after with ${graceMs} ms of grace`, "give whole numbers of milliseconds, `after` not before `before`, and a grace of 0 or more; records are kept for as long as they can be matched, so none is without end"),
  ];
}

/** What is wrong with a step that joins. */
export function joinProblems(node: TopologyNode): PlanError[] {
  switch (node.kind) {
    case "stream-stream-join":
      return streamJoinProblems(node);
    case "stream-table-join":
      return tableJoinProblems(node);
    default:
      return [];
  }
}
