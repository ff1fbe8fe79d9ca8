import type { SuppressNode, TopologyNode, Window } from "../topology/index.ts";
import { type PlanError, problem } from "./plan.ts";
import { duration } from "./duration.ts";

const isLength = (ms: number, least: number): boolean => Number.isSafeInteger(ms) && ms >= least;

/** What is wrong with a window's lengths of time. */
export function windowProblems(step: string, window: Window, emit: string, retentionMs: number | undefined): PlanError[] {
  const found: PlanError[] = [];
  const wrong = (message: string, cure: string): void => void found.push(problem("WINDOW_INVALID", step, message, cure));
  if (!(window.graceMs === Number.POSITIVE_INFINITY || isLength(window.graceMs, 0))) wrong(`the grace is ${window.graceMs} ms`, 'give a whole number of milliseconds from 0, or "unbounded"');
  if (emit === "close" && window.graceMs === Number.POSITIVE_INFINITY) wrong("windows whose grace is unbounded are never closed, so nothing would ever leave", "give a grace, or emit on update");
  if (retentionMs !== undefined && !isLength(retentionMs, 0)) wrong(`the retention is ${retentionMs} ms`, "give a whole number of milliseconds from 0, or none");
  if (window.kind === "sliding" && !isLength(window.timeDifferenceMs, 0)) wrong(`the time difference is ${window.timeDifferenceMs} ms`, "give a whole number of milliseconds from 0");
  if (window.kind === "session" && !isLength(window.gapMs, 1)) wrong(`the gap is ${window.gapMs} ms`, "give a whole number of milliseconds above 0");
  if (window.kind !== "tumbling" && window.kind !== "hopping") return found;
  if (!isLength(window.sizeMs, 1)) wrong(`a window of ${window.sizeMs} ms`, "give a size in whole milliseconds above 0");
  if (window.kind === "hopping" && !isLength(window.advanceMs, 1)) wrong(`the advance is ${window.advanceMs} ms`, "give a whole number of milliseconds above 0");
  else if (window.kind === "hopping" && window.advanceMs > window.sizeMs) {
    wrong(`windows of ${duration(window.sizeMs)} that begin every ${duration(window.advanceMs)} leave out what comes between them`, "give an advance that is at most the size");
  }
  return found;
}

/** What is wrong with a suppress. */
export function suppressProblems(node: SuppressNode): PlanError[] {
  const { name, until, buffer, windowed } = node;
  const found: PlanError[] = [];
  const wrong = (message: string, cure: string): void => void found.push(problem("SUPPRESS_INVALID", name, message, cure));
  if (node.serde === undefined) wrong("nothing says how held values are kept: they were mapped since they were last stored", "give suppress a serde as { value }");
  if (until.kind === "time-limit" && !isLength(until.limitMs, 0)) wrong(`the limit is ${until.limitMs} ms`, "give a whole number of milliseconds from 0");
  if (until.kind === "window-closes") {
    if (windowed === undefined) wrong("there are no windows before it that could close", "put it behind windowed(...), or hold back until a time limit");
    else if (windowed.emit === "close") wrong("the results that come to it are final already", "leave it out");
    else if (windowed.window.graceMs === Number.POSITIVE_INFINITY) wrong("windows whose grace is unbounded are never closed, so nothing would ever leave", "give a grace");
    if (buffer.full === "emit-early") wrong("a result that leaves early is not final", 'let the buffer "spill" or "fail"');
  }
  for (const [option, bound] of [["recordsMax", buffer.recordsMax], ["bytesMax", buffer.bytesMax]] as const) {
    if (bound !== undefined && !isLength(bound, 1)) wrong(`${option} is ${bound}`, "give a whole number above 0");
  }
  if (buffer.full !== "spill" && buffer.recordsMax === undefined && buffer.bytesMax === undefined) wrong(`nothing says when the buffer is full, and what it does then is "${buffer.full}"`, "give recordsMax or bytesMax");
  if (buffer.full === "spill" && buffer.bytesMax !== undefined) wrong("a buffer that spills has no bound in bytes", 'leave out bytesMax, or let the buffer "fail"');
  return found;
}

/** What is wrong with the windows of any step. */
export function windowStepProblems(node: TopologyNode): PlanError[] {
  switch (node.kind) {
    case "windowed-aggregate": {
      const found = windowProblems(node.name, node.window, node.emit, node.retentionMs);
      if (node.window.kind === "session" && node.aggregation.merge === undefined) found.push(problem("WINDOW_INVALID", node.name, "nothing says how the totals of two sessions come together", "give aggregate a function as { merge }"));
      return found;
    }
    case "windowed-group": {
      const found = windowProblems(node.name, node.window, node.emit, node.retentionMs);
      if (node.window.kind === "session" && node.emit !== "close") found.push(problem("WINDOW_INVALID", node.name, "rows of sessions cannot be taken back, and their bounds change until they are closed", 'emit on "close"'));
      return found;
    }
    case "aggregate":
      return node.window === undefined ? [] : windowProblems(node.name, node.window, "commit", undefined);
    case "suppress":
      return suppressProblems(node);
    default:
      return [];
  }
}
