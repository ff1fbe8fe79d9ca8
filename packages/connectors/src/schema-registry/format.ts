import { type DecodeLimits, type RecordSchema, TopologyError, type ValueFormat } from "@iot-topology/core";
import { checkCompatible, checkReadable } from "./check.ts";
import { compileRegistryDecoder } from "./decode.ts";
import { compileRegistryEncoder, type EncodingOptions, type ProtobufSchema, recordName, writtenSchema } from "./encode.ts";
import { type Compatibility, type SchemaType, subjectOf, type SubjectName } from "./options.ts";
import type { RegistryApi } from "./registry-api.ts";
import type { SchemaStore } from "./schema-store.ts";

/** Options of a registry's format. A cast reads every type, whatever these say: a record names the schema it was written with. */
export interface FormatOptions {
  /** How values are written; Avro when absent. */
  readonly type?: SchemaType;
  /** The namespace of Avro records. */
  readonly namespace?: string;
  /** The message that values are written as, where the type is Protobuf. */
  readonly protobuf?: ProtobufSchema;
  /** What to call the subject; after the topic when absent. */
  readonly subject?: SubjectName;
  /** Whether a schema that the subject does not have is registered at the start (the default), or an error. */
  readonly register?: boolean;
  /** Set for a subject that is registered for the first time; the registry's default when absent. */
  readonly compatibility?: Compatibility;
}

/** What is done for a format before a run. */
export interface FormatBinding {
  readonly store: SchemaStore;
  /** Registers, or finds, the schema of values bound for a topic. */
  prepareSink(schema: RecordSchema<unknown, unknown>, topic: string): Promise<void>;
  /** Holds what a cast needs against the latest schema of a topic that it reads. */
  prepareSource(schema: RecordSchema<unknown, unknown>, topic: string): Promise<void>;
}

const bindings = new WeakMap<ValueFormat, FormatBinding>();

/** The binding of a format that a registry made. */
export function bindingOf(format: ValueFormat | undefined): FormatBinding | undefined {
  return format === undefined ? undefined : bindings.get(format);
}

const TITLES: Readonly<Record<SchemaType, string>> = { avro: "Avro", json: "JSON", protobuf: "Protobuf" };

type Encoders = Map<RecordSchema<unknown, unknown>, Map<string, (value: unknown) => Uint8Array>>;

async function registeredId(api: RegistryApi, subject: string, options: FormatOptions, encoding: EncodingOptions, schema: RecordSchema<unknown, unknown>): Promise<number> {
  const written = writtenSchema(encoding, schema);
  const known = await api.lookup(subject, written);
  if (known !== undefined) return known;
  if (options.register === false) {
    throw new TopologyError("SCHEMA_INCOMPATIBLE", `the subject ${subject} does not have the schema of ${schema.name}, and \`register\` is off`, {
      place: subject,
      cure: `register it first; its text is that of ${encoding.type === "avro" ? "toAvroSchema" : encoding.type === "json" ? "toJsonSchema" : "the .proto"}`,
    });
  }
  const isNew = !(await checkCompatible(api, subject, written));
  const id = await api.register(subject, written);
  if (isNew && options.compatibility !== undefined) await api.setCompatibility(subject, options.compatibility);
  return id;
}

/** Makes a format of a registry. */
export function registryFormat(api: RegistryApi, store: SchemaStore, options: FormatOptions): ValueFormat {
  const encoding: EncodingOptions = { type: options.type ?? "avro", namespace: options.namespace, protobuf: options.protobuf };
  const naming = options.subject ?? "topic";
  const encoders: Encoders = new Map();
  const format: ValueFormat = Object.freeze({
    name: options.type === undefined ? "the schema registry's format" : `${TITLES[options.type]} of the schema registry`,
    decoder: <Out, In>(schema: RecordSchema<Out, In>, limits: DecodeLimits) => compileRegistryDecoder(store, schema, limits),
    encoder: <Out, In>(schema: RecordSchema<Out, In>, topic: string) => {
      const encode = encoders.get(schema)?.get(topic);
      if (encode !== undefined) return encode;
      throw new TopologyError("CONFIG_INVALID", `the schema of ${schema.name} for the topic ${topic} was not registered before the run`, { place: topic, cure: "open the instance with `await withRegistry(log, topology)` as its log" });
    },
  });
  bindings.set(format, {
    store,
    async prepareSink(schema, topic) {
      const subject = subjectOf(naming, topic, recordName(encoding, schema));
      const id = await registeredId(api, subject, options, encoding, schema);
      const imports = await store.references(writtenSchema(encoding, schema));
      const ofSchema = encoders.get(schema) ?? new Map<string, (value: unknown) => Uint8Array>();
      encoders.set(schema, ofSchema.set(topic, compileRegistryEncoder(encoding, schema, id, imports)));
    },
    async prepareSource(schema, topic) {
      const subject = subjectOf(naming, topic, recordName(encoding, schema));
      const latest = await api.version(subject, "latest");
      if (latest !== undefined) checkReadable(subject, schema, latest);
    },
  });
  return format;
}
