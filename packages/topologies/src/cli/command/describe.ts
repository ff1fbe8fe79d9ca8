import { describe as describePlan, warningsOf } from "@iot-topology/core";
import type { Context } from "../context.ts";
import { loadTopology } from "../topology-file.ts";

/** Prints what a topology does, as text or as a Mermaid diagram. */
export async function describe(context: Context, nameOrFile: string | undefined, flags: { readonly format: "text" | "mermaid"; readonly name?: string }): Promise<number> {
  const { config } = context.load();
  const { plan } = await loadTopology(nameOrFile ?? config.topology, { folder: context.folder, exportName: flags.name });
  const text = describePlan(plan, flags.format);
  context.stdout.write(context.json ? `${JSON.stringify({ topology: plan.topology.name, version: plan.topology.version, format: flags.format, text, warnings: warningsOf(plan) })}\n` : `${text.trimEnd()}\n`);
  return 0;
}
