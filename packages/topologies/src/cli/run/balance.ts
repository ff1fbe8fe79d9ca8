import type { CounterStatus, Plan, TopologyNode } from "@iot-topology/core";

/**
 * The sinks whose rows are the records themselves: one row for each record that was neither a repeat nor refused. Aggregates and dead
 * letters are not among them. Undefined where a topology's records cannot be counted so, as behind a flatMap or with two sinks.
 */
export function recordSinks(plan: Plan): readonly string[] | undefined {
  const { nodes } = plan.topology;
  const found = new Set<string>();
  for (const source of nodes.filter((node) => node.kind === "source")) {
    const sinks = sinksOf(source, nodes);
    if (sinks === undefined) return undefined;
    for (const sink of sinks) found.add(sink);
  }
  return [...found];
}

function sinksOf(node: TopologyNode, nodes: readonly TopologyNode[]): readonly string[] | undefined {
  if (node.kind === "sink") return [node.spec.target];
  if (node.kind === "flatMap" || node.kind === "merge") return undefined;
  const next = nodes.filter((other) => other.upstream.includes(node.id) && other.kind !== "aggregate" && other.kind !== "late" && other.kind !== "dead-letter");
  if (node.kind !== "branch" && next.length !== 1) return undefined;
  const all = next.map((other) => sinksOf(other, nodes));
  return all.some((sinks) => sinks === undefined) ? undefined : all.flatMap((sinks) => sinks ?? []);
}

/** What happened to the records. */
export interface Summary {
  readonly read: number;
  /** Rows of the record sinks; all sinks' rows where these cannot be told apart. */
  readonly written: number;
  readonly deduplicated: number;
  readonly filtered: number;
  readonly skipped: number;
  readonly late: number;
  readonly deadLetters: number;
  readonly deadLettersByCode: Readonly<Record<string, number>>;
  readonly rows: Readonly<Record<string, number>>;
  /** Whether read = written + deduplicated + filtered + skipped + dead letters; null where a topology's records cannot be counted so. */
  readonly balanced: boolean | null;
}

/** Adds the counters up, and checks the sum. */
export function summarise(plan: Plan, counters: CounterStatus): Summary {
  const sinks = recordSinks(plan);
  const total = (counts: Readonly<Record<string, number>>, names: readonly string[]) => names.reduce((sum, name) => sum + (counts[name] ?? 0), 0);
  const { read, deduplicated, filtered, skipped, late, written: rows, deadLetters: byCode } = counters;
  const written = total(rows, sinks ?? Object.keys(rows));
  const deadLetters = total(byCode, Object.keys(byCode));
  const balanced = sinks === undefined ? null : read === written + deduplicated + filtered + skipped + deadLetters;
  return { read, written, deduplicated, filtered, skipped, late, deadLetters, deadLettersByCode: byCode, rows, balanced };
}
