import type { Topology, TopicDeclaration } from "@iot-topology/core";
import type { OpenedLog } from "./log.ts";

/** Whether a topology reads or writes what a schema registry describes. */
export function usesFormat(topology: Topology): boolean {
  return topology.nodes.some((node) => (node.kind === "cast" ? node.reads.kind === "columns" && node.reads.format !== undefined : node.kind === "sink" && node.spec.connector === "log" && (node.spec.declaration as TopicDeclaration | undefined)?.format !== undefined));
}

/** The log with the schemas of a topology's registry formats at hand; as it is where the topology has none, so that nothing is loaded for it. */
export async function withFormats(opened: OpenedLog, topology: Topology): Promise<OpenedLog> {
  if (!usesFormat(topology)) return opened;
  const { withRegistry } = await import("@iot-topology/connectors/schema-registry");
  return opened.kind === "embedded" ? { kind: opened.kind, log: await withRegistry(opened.log, topology) } : { kind: opened.kind, log: await withRegistry(opened.log, topology) };
}
