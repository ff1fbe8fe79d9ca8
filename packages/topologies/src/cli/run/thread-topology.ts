/** What each thread of a topology loads: the same topology by the same name, with the schemas of its registry formats at hand. */
import { type ThreadOptions, type ThreadTopology, type Topology, TopologyError } from "@iot-topology/core";
import type { Config } from "../config/keys.ts";
import { type LoadedTopology, loadTopology, type TopologySource } from "../topology-file.ts";
import { usesFormat } from "./formats.ts";

/** The threads of a session, as its configuration has them; nothing where one is enough. */
export function threadsOf(config: Config, { source }: LoadedTopology): { readonly threads?: ThreadOptions } {
  if (config.threads === 1) return {};
  if (config["kafka.brokers"] !== undefined) {
    throw new TopologyError("CONFIG_INVALID", "threads are for the embedded log", { place: "threads", cure: "on Kafka start more processes of the topology: the group gives each its share of the tasks" });
  }
  return { threads: { count: config.threads, module: import.meta.url, data: source } };
}

async function prepare(topology: Topology): Promise<ThreadTopology> {
  if (!usesFormat(topology)) return { topology };
  const { withRegistry } = await import("@iot-topology/connectors/schema-registry");
  return { topology, prepare: (log) => withRegistry(log, topology) };
}

/** The topology of one thread. */
export async function threadTopology(data: unknown): Promise<ThreadTopology> {
  const { nameOrFile, folder, exportName } = data as TopologySource;
  return prepare((await loadTopology(nameOrFile, { folder, exportName })).topology);
}
