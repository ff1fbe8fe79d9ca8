import { invariant } from "../model/index.ts";
import type { SubTopology } from "../plan/plan.ts";
import { downstream, stepName } from "../plan/plan.ts";
import type { ErrorPolicy, NodeId, SinkNode, TopologyNode } from "../topology/index.ts";
import type { TaskContext } from "./context.ts";
import { fanOut, type Link } from "./link.ts";
import { aggregateLink } from "./operators/aggregate.ts";
import { castLink } from "./operators/cast.ts";
import { dedupLink } from "./operators/dedup.ts";
import { repartitionedLink, repartitionLink } from "./operators/repartition.ts";
import { branchLink, filterLink, flatMapLink, mapLink, peekLink, rekeyLink } from "./operators/stateless.ts";
import { compileRefuse, messageOf } from "./refuse.ts";
import { SinkBuffer } from "./sink-buffer.ts";

/** The compiled steps of a task: for each topic, the link that its records enter by. */
export type CompiledPart = ReadonlyMap<string, Link>;

function sinkLink(context: TaskContext, node: SinkNode): Link {
  const buffer = new SinkBuffer(node.spec);
  context.sinks.push(buffer);
  const refuse = compileRefuse(context, node.name, { kind: "fail" });
  return (record) => {
    try {
      buffer.add(context, record);
    } catch (cause) {
      refuse("STEP_FAILED", `the row does not fit the sink: ${messageOf(cause)}`, "", cause);
    }
  };
}

/** Compiles the nodes of a part from their ends to their sources, so that each step gets the links behind it. */
export function compilePart(part: SubTopology, makeContext: (deadLetterLink: (policy: ErrorPolicy) => Link | undefined) => TaskContext): { links: CompiledPart; context: TaskContext } {
  const entries = new Map<NodeId, Link>();
  const behind = (node: TopologyNode, late: boolean): Link =>
    fanOut(downstream(part.nodes, node.id).flatMap((next) => ((next.kind === "late") === late ? [linkOf(next)] : [])));
  const linkOf = (node: TopologyNode): Link => {
    const known = entries.get(node.id);
    if (known !== undefined) return known;
    const link = compileNode(node);
    entries.set(node.id, link);
    return link;
  };
  const context = makeContext((policy) => {
    if (policy.kind !== "dead-letter") return undefined;
    const node = part.nodes.find((other) => other.id === policy.node);
    invariant(node !== undefined, "a part holds the dead-letter streams of its steps");
    return linkOf(node);
  });
  const compileNode = (node: TopologyNode): Link => {
    const step = stepName(node);
    switch (node.kind) {
      case "cast":
        return castLink(context, node, step, behind(node, false));
      case "filter":
        return filterLink(context, node, step, behind(node, false));
      case "map":
        return mapLink(context, node, step, behind(node, false));
      case "flatMap":
        return flatMapLink(context, node, step, behind(node, false));
      case "peek":
        return peekLink(context, node, step, behind(node, false));
      case "rekey":
        return rekeyLink(context, node, step, behind(node, false));
      case "branch":
        return branchLink(context, node, step, new Map(downstream(part.nodes, node.id).flatMap((arm) => (arm.kind === "arm" ? [[arm.index, linkOf(arm)] as const] : []))));
      case "dedup":
        return dedupLink(context, node, behind(node, false), behind(node, true));
      case "aggregate":
        return aggregateLink(context, node, behind(node, false), behind(node, true));
      case "repartition":
        return repartitionLink(context, node);
      case "source":
        return node.repartition?.form === undefined ? behind(node, false) : repartitionedLink(node.repartition.form, behind(node, false));
      case "sink":
        return sinkLink(context, node);
      default:
        return behind(node, false);
    }
  };
  const links = new Map<string, Link>();
  for (const source of part.sources) for (const topic of source.topics) links.set(topic, linkOf(source));
  context.flushes.sort((a, b) => a.node - b.node);
  return { links, context };
}
