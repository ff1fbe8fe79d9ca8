import { partitionOfKey } from "../model/index.ts";
import { compileRepartitionKey, type TopologyNode } from "../topology/index.ts";
import { partitioningOf } from "./partitioning.ts";

/** The partition in which a step keeps a key; undefined where the topology does not tell, so that it may be in any. */
export function partitionOfStep(nodes: readonly TopologyNode[], node: TopologyNode, key: Readonly<Record<string, unknown>>, partitionCount: number): number | undefined {
  if (partitionCount === 1) return 0;
  const before = nodes.find((other) => other.id === node.upstream[0]);
  const known = before === undefined ? undefined : partitioningOf(nodes, before);
  if (known === undefined || known.form?.partitioner !== undefined || known.fields.some((field) => key[field] === undefined)) return undefined;
  const text = known.form === undefined ? String(key[known.fields[0] as string]) : compileRepartitionKey(known.form, known.fields)(key);
  return partitionOfKey(Buffer.from(text), partitionCount);
}
