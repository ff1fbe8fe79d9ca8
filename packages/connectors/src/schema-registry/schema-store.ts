import { TopologyError } from "@iot-topology/core";
import { type AvroNames, type AvroType, parseAvroType } from "./avro/avro-type.ts";
import type { SchemaRegistryOptions, SchemaText } from "./options.ts";
import { parseProto, type ProtoFile, type ProtoImport } from "./protobuf/proto-file.ts";
import type { RegistryApi } from "./registry-api.ts";

/** A schema that was fetched, ready for decoders; or why it is of no use. */
export type StoredSchema =
  | { readonly kind: "avro"; readonly id: number; readonly type: AvroType }
  | { readonly kind: "json"; readonly id: number }
  | { readonly kind: "protobuf"; readonly id: number; readonly file: ProtoFile }
  | { readonly kind: "unusable"; readonly id: number; readonly reason: string };

const REFERENCES_MAX = 1_000;
const SCHEMA_CHARS_MAX = 4 * 1_048_576;
const UNKNOWN_IDS_MAX = 100_000;
const CONCURRENT_MAX = 8;

/**
 * The schemas of a registry by id. A task looks them up synchronously, so they are loaded before records come to it: see `withRegistry`.
 * Schemas are immutable and are never dropped; ids that the registry did not know are forgotten, the oldest first, when there are too many.
 */
export class SchemaStore {
  readonly #api: RegistryApi;
  readonly #schemas = new Map<number, StoredSchema>();
  readonly #loading = new Map<number, Promise<void>>();
  /** Ids that the registry did not know, and when it was asked. */
  readonly #unknown = new Map<number, number>();
  readonly #schemasMax: number;
  readonly #unknownForMs: number;
  /** Set once someone loads ids before records are decoded. */
  #isFed = false;

  constructor(api: RegistryApi, options: SchemaRegistryOptions) {
    this.#api = api;
    this.#schemasMax = options.schemasMax ?? 10_000;
    this.#unknownForMs = options.unknownForMs ?? 30_000;
  }

  /** The schema of an id, or undefined where the registry does not know it. Throws CONFIG_INVALID where nobody loads schemas. */
  get(id: number): StoredSchema | undefined {
    const found = this.#schemas.get(id);
    if (found !== undefined || this.#isFed) return found;
    throw new TopologyError("CONFIG_INVALID", `the schema ${id} was not loaded before a record that names it was cast`, { cure: "open the instance with `await withRegistry(log, topology)` as its log" });
  }

  /** Whether nothing needs to be asked for an id. */
  has(id: number): boolean {
    if (this.#schemas.has(id)) return true;
    const askedAt = this.#unknown.get(id);
    return askedAt !== undefined && Date.now() - askedAt < this.#unknownForMs;
  }

  /** Loads what is not there, each id once however many ask. Throws REGISTRY_UNREACHABLE (retriable) or REGISTRY_REFUSED; what was loaded by then stays. */
  async load(ids: Iterable<number>): Promise<void> {
    this.#isFed = true;
    const wanted = [...ids].filter((id) => !this.has(id));
    for (let start = 0; start < wanted.length; start += CONCURRENT_MAX) {
      await Promise.all(wanted.slice(start, start + CONCURRENT_MAX).map((id) => this.#loadOne(id)));
    }
  }

  #loadOne(id: number): Promise<void> {
    let loading = this.#loading.get(id);
    if (loading === undefined) {
      loading = this.#fetch(id).finally(() => this.#loading.delete(id));
      this.#loading.set(id, loading);
    }
    return loading;
  }

  async #fetch(id: number): Promise<void> {
    const schema = await this.#api.schema(id);
    this.#unknown.delete(id);
    if (schema === undefined) {
      this.#unknown.set(id, Date.now());
      const [oldest] = this.#unknown.keys();
      if (this.#unknown.size > UNKNOWN_IDS_MAX && oldest !== undefined) this.#unknown.delete(oldest);
      return;
    }
    if (this.#schemas.size >= this.#schemasMax) {
      throw new TopologyError("REGISTRY_REFUSED", `the records name more than ${this.#schemasMax} schemas`, { cure: "raise `schemasMax`; a producer that registers a schema a record is a defect" });
    }
    this.#schemas.set(id, await this.#compile(id, schema));
  }

  async #compile(id: number, schema: SchemaText): Promise<StoredSchema> {
    if (schema.text.length > SCHEMA_CHARS_MAX) return { kind: "unusable", id, reason: `its text has ${schema.text.length} characters, and the limit is ${SCHEMA_CHARS_MAX}` };
    const imports = await this.references(schema);
    try {
      return { id, ...parseSchema(schema, imports) };
    } catch (cause) {
      return { kind: "unusable", id, reason: cause instanceof Error ? cause.message.slice(0, 500) : String(cause) };
    }
  }

  /** The schemas that a schema refers to, those first that others of them need. */
  async references(schema: SchemaText, found: Map<string, ProtoImport> = new Map()): Promise<readonly ProtoImport[]> {
    for (const { name, subject, version } of schema.references ?? []) {
      const key = `${subject}\n${version}\n${name}`;
      if (found.has(key)) continue;
      if (found.size >= REFERENCES_MAX) throw new TopologyError("REGISTRY_REFUSED", `a schema refers to more than ${REFERENCES_MAX} others`);
      const referenced = await this.#api.version(subject, version);
      if (referenced === undefined) throw new TopologyError("REGISTRY_REFUSED", `a schema refers to version ${version} of ${subject}, which does not exist`, { place: subject });
      await this.references(referenced, found);
      found.set(key, { name, text: referenced.text });
    }
    return [...found.values()];
  }
}

/** A schema's text, parsed. Throws an Error that says what is wrong with it. */
export function parseSchema(schema: SchemaText, imports: readonly ProtoImport[]): { readonly kind: "avro"; readonly type: AvroType } | { readonly kind: "json" } | { readonly kind: "protobuf"; readonly file: ProtoFile } {
  switch (schema.type) {
    case "avro": {
      const names: AvroNames = new Map();
      for (const { text } of imports) parseAvroType(text, names);
      return { kind: "avro", type: parseAvroType(schema.text, names) };
    }
    case "json":
      return { kind: "json" };
    case "protobuf":
      return { kind: "protobuf", file: parseProto(schema.text, imports) };
  }
}
