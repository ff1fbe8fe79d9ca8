/** What a plan may be run with, and that should be looked at: state that grows for ever, windows of dedup, aggregates of what is not final, and what its sinks say. */
import type { PlanWarning, WarningRule } from "../model/index.ts";
import type { RowFacts } from "../port/index.ts";
import { type AggregateNode, type DedupNode, type NodeId, type TopologyNode, type WindowedAggregateNode, type WindowedGroupNode, windowLengthMs } from "../topology/index.ts";
import { downstream, type Plan } from "./plan.ts";
import { rowFacts } from "./row-facts.ts";
import { duration } from "./duration.ts";

/** How long a producer may send a record again unless its source says otherwise: the default `delivery.timeout.ms` of Kafka's producers. */
const REDELIVERY_MS = 120_000;

function warning(rule: WarningRule, step: string, message: string, cure: string): PlanWarning {
  return Object.freeze({ rule, step, message, cure });
}

/** The steps from a step's input up to the sources, through repartitions. */
function before(nodes: readonly TopologyNode[], node: TopologyNode, found: Set<TopologyNode> = new Set()): Set<TopologyNode> {
  const upstream = node.kind === "source" && node.repartition !== undefined ? [node.repartition.writer] : node.upstream;
  for (const id of upstream) {
    const other = nodes[id] as TopologyNode;
    if (found.has(other)) continue;
    found.add(other);
    before(nodes, other, found);
  }
  return found;
}

/** The steps behind a step, through repartitions, that get its values; not what comes late. */
function behind(nodes: readonly TopologyNode[], id: NodeId, found: Set<TopologyNode> = new Set()): Set<TopologyNode> {
  for (const next of downstream(nodes, id)) {
    if (next.kind === "late" || found.has(next)) continue;
    found.add(next);
    const reader = next.kind === "repartition" ? nodes.find((other) => other.kind === "source" && other.repartition?.writer === next.id) : next;
    if (reader !== undefined) behind(nodes, reader.id, found);
  }
  return found;
}

function dedupWarnings({ topology: { nodes } }: Plan, node: DedupNode): PlanWarning[] {
  const { name, withinMs, sequenceField } = node;
  if (withinMs === undefined) {
    if (sequenceField !== undefined) return [];
    return [warning("STATE_UNBOUNDED", name, "every identity is remembered for ever", "give `within`, or `sequence` where a field counts up; or accept it where identities are few ({ accepts } of the topology)")];
  }
  const found: PlanWarning[] = [];
  const redelivery = Math.max(0, ...[...before(nodes, node)].flatMap((other) => (other.kind === "source" && other.repartition === undefined ? [other.redeliveryMs ?? REDELIVERY_MS] : [])));
  if (withinMs < redelivery) {
    found.push(
      warning("DEDUP_WINDOW_SMALL", name, `a record is remembered for ${duration(withinMs)}, and its producer may send it again for ${duration(redelivery)}`, "raise `within`, or say at the source how long it may be sent again: { redelivery }"),
    );
  }
  const windows = [...behind(nodes, node.id)].flatMap((other) => ((other.kind === "aggregate" || other.kind === "windowed-aggregate" || other.kind === "windowed-group") && other.window !== undefined ? [{ name: other.name, ms: other.window.graceMs, sizeMs: windowLengthMs(other.window) }] : []));
  for (const window of windows) {
    const wanted = window.ms + window.sizeMs;
    if (withinMs >= wanted) continue;
    found.push(
      warning("DEDUP_WINDOW_BELOW_GRACE", name, `records more than ${duration(withinMs)} late are refused here, and the windows of ${window.name} would take them ${wanted === Number.POSITIVE_INFINITY ? "for ever" : `for ${duration(wanted)}`} (size and grace)`, "raise `within` to the window's size and grace, or lower the grace"),
    );
  }
  return found;
}

/** A field of which each record has another value, as far as is known. */
function growingField(nodes: readonly TopologyNode[], node: AggregateNode): string | undefined {
  const unique = [...before(nodes, node)].flatMap((other) => {
    if (other.kind === "cast" && other.timestampField !== undefined) return [other.timestampField];
    return other.kind === "dedup" && other.sequenceField !== undefined ? [other.sequenceField] : [];
  });
  return node.groupBy.find((field) => unique.includes(field));
}

function aggregateWarnings({ topology }: Plan, node: AggregateNode | WindowedAggregateNode | WindowedGroupNode, rows: RowFacts): PlanWarning[] {
  const found: PlanWarning[] = [];
  const { name, window } = node;
  if (window?.graceMs === Number.POSITIVE_INFINITY) {
    found.push(warning("STATE_UNBOUNDED", name, "windows whose grace is unbounded are never forgotten", "give a grace; or accept it where windows are few ({ accepts } of the topology)"));
  }
  const field = node.kind === "aggregate" && window === undefined ? growingField(topology.nodes, node) : undefined;
  if (field !== undefined) {
    found.push(warning("STATE_UNBOUNDED", name, `a group is kept for each ${field}, of which every record brings another`, "leave the field out of groupBy, or use windows"));
  }
  if (rows.isUpdated) {
    found.push(warning("AGGREGATE_OF_UPDATES", name, "its input is rows that replace earlier ones, and each version is aggregated anew", "aggregate the records before they are aggregated, or a table, whose earlier values are subtracted"));
  }
  return found;
}

/** `rows` are those that come to the step. */
function stepWarnings(plan: Plan, node: TopologyNode, rows: RowFacts | undefined): readonly PlanWarning[] {
  if (rows === undefined) return [];
  switch (node.kind) {
    case "dedup":
      return dedupWarnings(plan, node);
    case "aggregate":
    case "windowed-aggregate":
    case "windowed-group":
      return aggregateWarnings(plan, node, rows);
    case "sink":
      return (node.spec.warnings?.(rows) ?? []).map((found) => ({ ...found, step: node.name }));
    default:
      return [];
  }
}

/**
 * What a plan may be run with, and that should be looked at, in the order of its steps. Those that the topology accepts are left out.
 *
 * @example for (const { rule, step, message, cure } of warningsOf(plan)) console.warn(`${rule} at ${step}: ${message}; ${cure}`);
 */
export function warningsOf(plan: Plan): readonly PlanWarning[] {
  const { nodes, accepts } = plan.topology;
  const facts = rowFacts(plan.topology);
  return nodes.flatMap((node) => stepWarnings(plan, node, facts[node.upstream[0] ?? -1])).filter(({ rule, step }) => !(accepts[step] ?? []).includes(rule));
}
