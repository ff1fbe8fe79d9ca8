import type { FetchResult, LogRecord, SourceLog, Topology, TopicDeclaration } from "@iot-topology/core";
import { bindingOf, type FormatBinding } from "./format.ts";
import type { SchemaStore } from "./schema-store.ts";
import { schemaIdOf } from "./wire-format.ts";

/** What a topology's formats need: for each topic that is cast by one, the stores that must have its schemas. */
type StoresByTopic = Map<string, Set<SchemaStore>>;

async function prepareSources(topology: Topology): Promise<StoresByTopic> {
  const stores: StoresByTopic = new Map();
  for (const node of topology.nodes) {
    if (node.kind !== "cast" || node.reads.kind !== "columns") continue;
    const { schema, format } = node.reads;
    const binding = bindingOf(format);
    const source = topology.nodes[node.upstream[0] ?? -1];
    if (binding === undefined || source?.kind !== "source") continue;
    for (const topic of source.topics) {
      await binding.prepareSource(schema, topic);
      stores.set(topic, (stores.get(topic) ?? new Set()).add(binding.store));
    }
  }
  return stores;
}

async function prepareSinks(topology: Topology): Promise<void> {
  for (const node of topology.nodes) {
    if (node.kind !== "sink" || node.spec.connector !== "log") continue;
    const declaration = node.spec.declaration as TopicDeclaration | undefined;
    const binding: FormatBinding | undefined = bindingOf(declaration?.format);
    if (binding !== undefined && declaration?.schema !== undefined) await binding.prepareSink(declaration.schema, node.spec.target);
  }
}

/** Loads the schemas that records name. Does nothing, and waits for nothing, where all are there. */
async function loadSchemas(store: SchemaStore, records: readonly LogRecord[]): Promise<void> {
  const missing = new Set<number>();
  let last: number | undefined;
  for (const { value } of records) {
    const id = value === null ? undefined : schemaIdOf(value);
    if (id === undefined || id === last) continue;
    last = id;
    if (!store.has(id)) missing.add(id);
  }
  if (missing.size > 0) await store.load(missing);
}

/** The same log, with another `fetch`. Its methods go on working on the log itself, whatever it is made of. */
function withFetch<L extends SourceLog>(log: L, fetch: SourceLog["fetch"]): L {
  // Records that came in frames would go past `fetch`.
  const bound = new Map<PropertyKey, unknown>([["fetch", fetch], ["fetchFrames", undefined]]);
  return new Proxy(log, {
    get(target, key) {
      if (bound.has(key)) return bound.get(key);
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== "function") return value;
      const method: unknown = value.bind(target);
      bound.set(key, method);
      return method;
    },
  });
}

/**
 * Prepares a topology's registry formats, and wraps its log so that the schemas that fetched records name are there before they are cast: a task never waits.
 *
 * Before it resolves, schemas of topic sinks are found or registered (SCHEMA_INCOMPATIBLE where their subject refuses them), and casts are held against the latest schema of their topics.
 * Afterwards a fetch that meets an unknown id asks the registry. Where that does not answer, the fetch fails with REGISTRY_UNREACHABLE, retriable: nothing is lost, and records of known
 * schemas are not held up. An id that the registry does not know makes its records dead letters, SCHEMA_UNKNOWN, with their bytes.
 *
 * A topology without such formats gets its log back as it is.
 */
export async function withRegistry<L extends SourceLog>(log: L, topology: Topology): Promise<L> {
  const stores = await prepareSources(topology);
  await prepareSinks(topology);
  if (stores.size === 0) return log;
  for (const ofTopic of stores.values()) for (const store of ofTopic) await store.load([]);
  return withFetch(log, async (topic, partition, fromOffset, limits): Promise<FetchResult> => {
    const result = await log.fetch(topic, partition, fromOffset, limits);
    for (const store of stores.get(topic) ?? []) await loadSchemas(store, result.records);
    return result;
  });
}
