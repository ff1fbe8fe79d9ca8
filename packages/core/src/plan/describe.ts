import { type ErrorPolicy, globalTableOf, type TopologyNode } from "../topology/index.ts";
import { warningsOf } from "./lint.ts";
import { downstream, type Plan, stepName, type SubTopology } from "./plan.ts";
import { summary } from "./summary.ts";
import { traitsOf } from "./traits.ts";

function policy(plan: Plan, onError: ErrorPolicy): string {
  if (onError.kind !== "dead-letter") return onError.kind === "skip" ? ", errors skipped" : "";
  const node = plan.topology.nodes[onError.node];
  return `, errors to ${node === undefined ? "?" : stepName(node)}`;
}

function globalText(plan: Plan, node: TopologyNode): string {
  const global = globalTableOf(node);
  return global === undefined ? "" : `, with ${stepName(plan.topology.nodes[global] as TopologyNode)}`;
}

function label(plan: Plan, node: TopologyNode): string {
  const name = node.name !== undefined && node.kind !== "source" && node.kind !== "sink" ? `${node.name}: ` : "";
  return `${name}${summary(node)}${globalText(plan, node)}${"onError" in node ? policy(plan, node.onError) : ""}`;
}

function textOf(plan: Plan, part: SubTopology): string[] {
  const lines: string[] = [`sub-topology ${part.name}: a task for each partition of ${part.topics.join(", ")}`];
  const walk = (node: TopologyNode, depth: number): void => {
    const merged = node.upstream.length > 1 ? ` of ${node.upstream.map((id) => stepName(plan.topology.nodes[id] as TopologyNode)).join(" and ")}` : "";
    lines.push(`${"  ".repeat(depth + 1)}${depth === 0 ? "" : "-> "}${label(plan, node)}${merged}`);
    if (node.kind === "sink") for (const dependent of node.spec.dependents) lines.push(`${"  ".repeat(depth + 3)}=> ${dependent}`);
    for (const next of downstream(part.nodes, node.id)) {
      // A step with several inputs stands under its first only.
      if (next.upstream[0] === node.id) walk(next, depth + 1);
    }
  };
  for (const node of part.nodes) if (node.kind === "source" || node.kind === "dead-letter" || node.kind === "global-table") walk(node, 0);
  return lines;
}

function mermaidText(text: string): string {
  return text.replaceAll('"', "'").replaceAll("[", "(").replaceAll("]", ")");
}

function mermaidOf(plan: Plan, part: SubTopology, place: number): string[] {
  const id = (node: TopologyNode) => `s${place}n${node.id}`;
  const lines = [`  subgraph s${place}["${mermaidText(part.name)}"]`];
  for (const node of part.nodes) {
    const text = `"${mermaidText(label(plan, node))}"`;
    const shape = node.kind === "source" || node.kind === "global-table" || node.kind === "sink" || node.kind === "repartition" ? `[(${text})]` : traitsOf(node).state !== "none" ? `[[${text}]]` : `[${text}]`;
    lines.push(`    ${id(node)}${shape}`);
    if (node.kind === "sink") node.spec.dependents.forEach((name, index) => lines.push(`    ${id(node)}d${index}["${mermaidText(name)}"]`, `    ${id(node)} --> ${id(node)}d${index}`));
  }
  for (const node of part.nodes) {
    for (const before of node.upstream) lines.push(`    s${place}n${before} --> ${id(node)}`);
    const global = globalTableOf(node);
    if (global !== undefined) lines.push(`    s${place}n${global} -.-> ${id(node)}`);
    if ("onError" in node && node.onError.kind === "dead-letter") lines.push(`    ${id(node)} -. errors .-> s${place}n${node.onError.node}`);
  }
  return [...lines, "  end"];
}

/** From each writing end of a repartition to its reading end, which stand in different parts. */
function mermaidRepartitions({ subTopologies }: Plan): string[] {
  const place = (topic: string): number => subTopologies.findIndex((part) => part.topics.includes(topic));
  const reader = (topic: string): number | undefined => subTopologies[place(topic)]?.sources.find(({ topics }) => topics.includes(topic))?.id;
  return subTopologies.flatMap((part, index) => part.repartitions.map(({ id, topic }) => `  s${index}n${id} ==> s${place(topic)}n${reader(topic)}`));
}

function warningLines(plan: Plan): string[] {
  return warningsOf(plan).flatMap(({ rule, step, message, cure }) => [`warning ${rule} at ${step}: ${message}`, `  cure: ${cure}`]);
}

/** Draws a plan as indented text or as a Mermaid flowchart: every step, its state, its policy, each sink's guarantee, and what should be looked at. */
export function describe(plan: Plan, format: "text" | "mermaid" = "text"): string {
  const warnings = warningLines(plan);
  if (format === "mermaid") {
    return ["flowchart LR", ...plan.subTopologies.flatMap((part, place) => mermaidOf(plan, part, place)), ...mermaidRepartitions(plan), ...warnings.map((line) => `  %% ${line}`)].join("\n");
  }
  return [`topology ${plan.topology.name}, version ${plan.topology.version}`, ...plan.subTopologies.flatMap((part) => textOf(plan, part)), ...warnings].join("\n");
}
