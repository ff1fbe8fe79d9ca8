import { invariant } from "../model/index.ts";
import type { SubTopology } from "../plan/plan.ts";
import { downstream, stepName } from "../plan/plan.ts";
import type { ErrorPolicy, NodeId, TopologyNode } from "../topology/index.ts";
import type { TaskContext } from "./context.ts";
import { fanOut, type Link, logEntry } from "./link.ts";
import { type Behind, operatorOf } from "./operators.ts";

/** The compiled steps of a task: for each topic, the link that its records enter by, as they stand in the log. */
export type CompiledPart = ReadonlyMap<string, Link>;

/** Compiles the nodes of a part from their ends to their sources, so that each step gets the links behind it. */
export function compilePart(part: SubTopology, makeContext: (deadLetterLink: (policy: ErrorPolicy) => Link | undefined) => TaskContext): { links: CompiledPart; context: TaskContext } {
  const entries = new Map<NodeId, readonly Link[]>();
  /** The entries of the nodes behind one, each as often as it stands in their upstream, in the order of the topology. */
  const entriesBehind = (node: TopologyNode, accept: (next: TopologyNode) => boolean): Link[] =>
    downstream(part.nodes, node.id).flatMap((next) => {
      if (!accept(next)) return [];
      const links = linksOf(next);
      return next.upstream.flatMap((id, input) => (id === node.id ? [links.length === 1 ? (links[0] as Link) : (links[input] as Link)] : []));
    });
  const linksOf = (node: TopologyNode): readonly Link[] => {
    const known = entries.get(node.id);
    if (known !== undefined) return known;
    const behind: Behind = {
      next: () => fanOut(entriesBehind(node, ({ kind }) => kind !== "late")),
      late: () => fanOut(entriesBehind(node, ({ kind }) => kind === "late")),
      child: (accept) => fanOut(entriesBehind(node, accept)),
      arms: () => new Map(downstream(part.nodes, node.id).flatMap((arm) => (arm.kind === "arm" ? [[arm.index, linksOf(arm)[0] as Link] as const] : []))),
    };
    const compiled = operatorOf(context, node, stepName(node), behind);
    const links = typeof compiled === "function" ? [compiled] : compiled;
    invariant(links.length === 1 || links.length === node.upstream.length, `step ${stepName(node)} has an entry for each of its inputs`);
    entries.set(node.id, links);
    return links;
  };
  const context = makeContext((policy) => {
    if (policy.kind !== "dead-letter") return undefined;
    const node = part.nodes.find((other) => other.id === policy.node);
    invariant(node !== undefined, "a part holds the dead-letter streams of its steps");
    return linksOf(node)[0];
  });
  const links = new Map<string, Link>();
  for (const source of part.sources) for (const topic of source.topics) links.set(topic, logEntry(linksOf(source)[0] as Link));
  for (const global of part.globals) links.set(global.topic, logEntry(linksOf(global)[0] as Link));
  context.flushes.sort((a, b) => a.node - b.node);
  return { links, context };
}
