import type { ValueFormat } from "@iot-topology/core";
import { checkCompatible } from "./check.ts";
import { type FormatOptions, registryFormat } from "./format.ts";
import type { Compatibility, SchemaRegistryOptions, SchemaText } from "./options.ts";
import { type RegisteredVersion, registryApi } from "./registry-api.ts";
import { SchemaStore } from "./schema-store.ts";

/** A schema registry that speaks Confluent's API: Confluent's own, Apicurio, Redpanda, Karapace. */
export interface SchemaRegistry {
  /** A format for casts and topics of a topology. Nothing is asked of the registry before `withRegistry`. */
  format(options?: FormatOptions): ValueFormat;
  /** The schema of an id; undefined where the registry does not know it. */
  schema(id: number): Promise<SchemaText | undefined>;
  /** A subject's latest version; undefined where there is none. */
  latest(subject: string): Promise<RegisteredVersion | undefined>;
  /** Registers a schema, or finds it, and tells its id. Throws SCHEMA_INCOMPATIBLE where the subject's setting refuses it. */
  register(subject: string, schema: SchemaText): Promise<number>;
  /** Throws SCHEMA_INCOMPATIBLE, naming the field and the cure, where the subject's setting would refuse the schema. Registers nothing. */
  checkCompatibility(subject: string, schema: SchemaText): Promise<void>;
  /** A subject's own setting; undefined where it has none and the registry's holds. */
  compatibility(subject: string): Promise<Compatibility | undefined>;
  setCompatibility(subject: string, level: Compatibility): Promise<void>;
  /** Fetches schemas by id ahead of records that name them, as `withRegistry` does: for tests and tools that decode by themselves. */
  load(ids: Iterable<number>): Promise<void>;
  /** Closes idle connections. */
  close(): void;
}

/**
 * A client of a schema registry. Opens no connection before it is needed, so it may stand at the top of a topology's file.
 *
 * Errors: REGISTRY_UNREACHABLE (retriable), REGISTRY_REFUSED, SCHEMA_INCOMPATIBLE, CONFIG_INVALID.
 *
 * @example
 * const registry = schemaRegistry({ url: "http://127.0.0.1:8081" });
 * const topology = defineTopology("orders", (t) => {
 *   t.source("orders").cast(Order, { format: registry.format(), timestamp: "at" }).sink(topic("paid", Order, { format: registry.format({ type: "avro" }) }));
 * });
 * const instance = await openInstance(topology, { log: await withRegistry(log, topology), ... });
 */
export function schemaRegistry(options: SchemaRegistryOptions): SchemaRegistry {
  const api = registryApi(options);
  const store = new SchemaStore(api, options);
  return Object.freeze({
    format: (formatOptions: FormatOptions = {}) => registryFormat(api, store, formatOptions),
    schema: (id: number) => api.schema(id),
    latest: (subject: string) => api.version(subject, "latest"),
    register: (subject: string, schema: SchemaText) => api.register(subject, schema),
    async checkCompatibility(subject: string, schema: SchemaText) {
      await checkCompatible(api, subject, schema);
    },
    compatibility: (subject: string) => api.compatibility(subject),
    setCompatibility: (subject: string, level: Compatibility) => api.setCompatibility(subject, level),
    load: (ids: Iterable<number>) => store.load(ids),
    close: () => api.close(),
  });
}
