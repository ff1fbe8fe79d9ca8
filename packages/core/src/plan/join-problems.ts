import type { NodeId, StreamStreamJoinNode, StreamTableJoinNode, Topology, TopologyNode } from "../topology/index.ts";
import { type PlanError, problem, stepName } from "./plan.ts";
import { duration } from "./duration.ts";

function isLength(ms: number): boolean {
  return Number.isSafeInteger(ms) && ms >= 0;
}

function tableJoinProblems(nodes: readonly TopologyNode[], node: StreamTableJoinNode): PlanError[] {
  if (node.hold === undefined) return [];
  const step = stepName(node);
  const { graceMs } = node.hold;
  if (!isLength(graceMs)) return [problem("JOIN_INVALID", step, `a grace of ${graceMs} ms`, "give a whole number of milliseconds, 0 or more")];
  const table = nodes[node.upstream[1] as NodeId];
  const historyMs = table !== undefined && "historyMs" in table ? table.historyMs : undefined;
  if (historyMs === undefined) return [problem("JOIN_INVALID", step, "records wait for a table that keeps no versions, so that they would meet rows that are newer than they are", "give the table a `history`, or leave out the grace")];
  if (historyMs < graceMs) return [problem("JOIN_INVALID", step, `records wait for ${duration(graceMs)}, and the table keeps versions for ${duration(historyMs)}`, "give the table a history that is at least as long as the grace")];
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
export function joinProblems({ nodes }: Topology, node: TopologyNode): PlanError[] {
  switch (node.kind) {
    case "stream-stream-join":
      return streamJoinProblems(node);
    case "stream-table-join":
      return tableJoinProblems(nodes, node);
    default:
      return [];
  }
}
