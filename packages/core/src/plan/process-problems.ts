/** What may be wrong with process steps: names of stores and children, and how long stores keep what they hold. */
import { isStableName } from "../model/index.ts";
import type { MapAsyncNode, ProcessNode, StoreDeclaration, Topology } from "../topology/index.ts";
import { type PlanError, problem } from "./plan.ts";

function formProblems(step: string, { name, form }: StoreDeclaration): PlanError[] {
  const length = form.kind === "custom" ? undefined : form.kind === "versioned" ? form.historyMs : "retentionMs" in form ? form.retentionMs : form.ttlMs;
  if (length === undefined || length > 0) return [];
  return [problem("STORE_INVALID", step, `store "${name}" keeps its entries for ${length} ms`, "give a length of time above 0")];
}

function childProblems({ name, children }: ProcessNode): PlanError[] {
  return children.filter((child) => !isStableName(child)).map((child) => problem("CHILD_INVALID", name, `the child's name "${child}" cannot be used`, "use letters, digits, '.', '_' and '-', at most 200"));
}

function asyncProblems(node: MapAsyncNode): PlanError[] {
  const { name, concurrency, pendingMax, attempts, timeoutMs, backoffMs } = node;
  const counts = { concurrency, pendingMax, "retry.attempts": attempts };
  const problems = Object.entries(counts).flatMap(([what, count]) => (Number.isSafeInteger(count) && count > 0 ? [] : [problem("ASYNC_INVALID", name, `${what} is ${count}`, "give a whole number from 1")]));
  if (pendingMax < concurrency) problems.push(problem("ASYNC_INVALID", name, `at most ${pendingMax} records are pending, and ${concurrency} calls are to be made at once`, "raise pendingMax, or lower the concurrency"));
  if (!(timeoutMs > 0)) problems.push(problem("ASYNC_INVALID", name, `timeout is ${timeoutMs} ms`, "give a length of time above 0"));
  if (!(backoffMs >= 0)) problems.push(problem("ASYNC_INVALID", name, `retry.backoff is ${backoffMs} ms`, "give 0 or more"));
  return problems;
}

/** Problems of all process steps and asynchronous steps. */
export function processProblems({ nodes }: Topology): PlanError[] {
  const problems: PlanError[] = nodes.flatMap((node) => (node.kind === "map-async" ? asyncProblems(node) : []));
  const known = new Map<string, StoreDeclaration>();
  const steps = new Set(nodes.flatMap((node) => (node.kind === "sink" || node.kind === "source" ? [] : (node.name ?? []))));
  for (const node of nodes) {
    if (node.kind !== "process") continue;
    problems.push(...childProblems(node));
    if (new Set(node.stores.map(({ name }) => name)).size < node.stores.length) {
      problems.push(problem("STORE_INVALID", node.name, "the step names a store twice", "name each of its stores once"));
      continue;
    }
    for (const store of node.stores) {
      const { name } = store;
      const other = known.get(name);
      if (other === store) continue;
      known.set(name, store);
      if (!isStableName(name)) problems.push(problem("NAME_INVALID", node.name, `the store's name "${name}" cannot be used`, "use letters, digits, '.', '_' and '-', at most 200"));
      if (other !== undefined) problems.push(problem("NAME_DUPLICATE", node.name, `two declarations name a store "${name}"`, "to share a store between steps, declare it once and give both the same declaration"));
      if (steps.has(name)) problems.push(problem("NAME_DUPLICATE", node.name, `a store and a step have the name "${name}"`, "names are stored with state: give the store its own"));
      problems.push(...formProblems(node.name, store));
    }
  }
  return problems;
}
