/**
 * Repartition: the records of a stream go through a topic of the topology's own, so that equal keys come together in one task.
 *
 *   value of a record there := 1 | fingerprint of the schema u32 | event time f64 | RowBinary of the schema
 *                            | 2 | fingerprint of the serde's values u32 | event time f64 | 0, or 1 and the serde's bytes to the end; 0 is a null value
 *   key                     := the fields of `by` as text, or what its function gives
 *   timestamp               := the load time of the record that it comes from, so that load time goes through unchanged
 *
 * The fingerprint stands there because RowBinary read by another schema gives other values without an error.
 */
import { ByteReader, ByteWriter, type RecordKey, type StreamRecord, TopologyError, writeFrame } from "../model/index.ts";
import type { RowEncoder, SinkSpec } from "../port/index.ts";
import { compileBinaryCodec, compileKeyEncoder, type RecordSchema, type Serde, valueShape } from "../schema/index.ts";
import type { TopologyDraft } from "./draft.ts";
import type { AnySchema, NodeId } from "./node.ts";
import { errorPolicy, type OnError } from "./policy.ts";
import type { AnySerde } from "./table-nodes.ts";

/**
 * Chooses the partition of a record, from 0 to below the number of partitions. Keyed state behind the repartition is right only if it goes by the key alone: a partitioner that looks
 * at the value may send records with equal keys to different tasks.
 */
export type Partitioner<V> = (key: string, value: V, partitionCount: number) => number;

/** How many partitions a repartition's topic has, and which one a record goes to. */
export type PartitionsForm<V> =
  | {
      /** As many as the part that writes has, when absent. */
      readonly partitions?: number;
      readonly partitioner?: never;
    }
  | {
      readonly partitions: number;
      /** Kafka's own choice by key, when absent. A stream that is joined or merged with this one for keyed state must have the same. */
      readonly partitioner: Partitioner<V>;
    };

/** Options of a stream's repartition. */
export type RepartitionOptions<V, W, I> = PartitionsForm<V> & {
  /**
   * What brings records together: fields, or a function that gives a key. State by fields is right for any number of partitions if its own fields include those given here; state by
   * the records' keys is right behind either. What a function gives has nothing to do with fields, so state by fields behind it needs `partitions: 1`. Records for which the function
   * gives null are dropped and counted (`null-key`).
   */
  readonly by: readonly (keyof V & keyof NoInfer<W> & string)[] | ((value: V, record: StreamRecord<V>) => RecordKey);
  /** How the values are kept in the topic; the schema of the stream when absent, which a stream has until it is mapped. It must take the stream's values. */
  readonly schema?: RecordSchema<W, I> & ([V] extends [I] ? unknown : never);
  readonly value?: never;
  /** For records whose value does not fit the schema, or whose key cannot be told. */
  readonly onError?: OnError;
};

/** Options of a stream's repartition by a serde. Null values go through as null. */
export type SerdeRepartitionOptions<V> = PartitionsForm<V> & {
  /** What brings records together: a function that gives a key, by which state behind it may be kept. Records for which it gives null are dropped and counted (`null-key`). */
  readonly by: (value: V, record: StreamRecord<V>) => RecordKey;
  /** How the values are kept in the topic. */
  readonly value: Serde<NonNullable<V>>;
  readonly schema?: never;
  /** For records whose value does not fit the serde, or whose key cannot be told. */
  readonly onError?: OnError;
};

/** How the values stand in a repartition's topic. */
export type RepartitionValues =
  | {
      readonly kind: "schema";
      readonly schema: AnySchema;
      /** False where values come from a cast to this same schema, and are canonical already. */
      readonly isConverted: boolean;
    }
  | { readonly kind: "serde"; readonly serde: AnySerde };

/** How records stand in a repartition's topic. */
export interface RepartitionForm {
  readonly name: string;
  readonly topic: string;
  readonly by: readonly string[] | ((value: never, record: StreamRecord<never>) => RecordKey);
  readonly values: RepartitionValues;
  readonly partitions: number | undefined;
  readonly partitioner: Partitioner<never> | undefined;
}

const SCHEMA_VERSION = 1;
const SERDE_VERSION = 2;
const HEADER_BYTES = 13;
/** Below what brokers take in one record by default (1 MiB with all that is around it). */
const VALUE_BYTES_MAX = 1_000_000;

/** The topic of a repartition. */
export function repartitionTopic(topology: string, name: string): string {
  return `${topology}-${name}-repartition`;
}

/** A number that changes with the schema's columns, or with the form of the serde's values (FNV-1a). */
function fingerprintOf(values: RepartitionValues): number {
  const lines = values.kind === "serde" ? [JSON.stringify(valueShape(values.serde))] : values.schema.columns.map(({ name, column }) => `${name} ${column.clickhouse}`);
  let hash = 0x811c9dc5;
  for (const line of lines) for (const character of `${line}\n`) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  return hash >>> 0;
}

/** The key by fields. Values that were converted are brought to what the reader will see first, so that equal values have equal keys. */
export function compileRepartitionKey({ values }: Pick<RepartitionForm, "values">, fields: readonly string[]): (value: unknown) => string {
  if (values.kind === "serde") throw new TopologyError("SCHEMA_INVALID", "values by a serde have no fields that are known");
  const { schema, isConverted } = values;
  const encode = compileKeyEncoder<Record<string, unknown>, unknown>(schema, fields);
  if (!isConverted) return (value) => encode(value as Record<string, unknown>);
  const keySchema: AnySchema = { ...schema, columns: schema.columns.filter(({ name }) => fields.includes(name)) };
  const codec = compileBinaryCodec<Record<string, unknown>, unknown>(keySchema);
  const scratch = new ByteWriter(256);
  return (value) => {
    scratch.position = 0;
    codec.encode(scratch, value as Record<string, unknown>);
    return encode(codec.decode(new ByteReader(scratch.buffer, 0, scratch.position)));
  };
}

/** Appends what a value has behind its event time. */
function compileValueWriter(values: RepartitionValues): (writer: ByteWriter, value: unknown) => void {
  if (values.kind === "schema") {
    const codec = compileBinaryCodec<unknown, unknown>(values.schema);
    return (writer, value) => codec.encode(writer, value);
  }
  const { serde } = values;
  return (writer, value) => {
    const isNull = value === null || value === undefined;
    writer.u8(isNull ? 0 : 1);
    if (!isNull) serde.encode(writer, value);
  };
}

/** The partition by a partitioner of the user's. */
function compilePlace({ partitioner, partitions, topic }: RepartitionForm): (key: RecordKey, value: unknown) => number {
  const choose = partitioner as Partitioner<unknown>;
  const count = partitions as number;
  return (key, value) => {
    const partition = choose(typeof key === "string" ? key : Buffer.from(key ?? "").toString(), value, count);
    if (Number.isInteger(partition) && partition >= 0 && partition < count) return partition;
    throw new RangeError(`the partitioner gives ${String(partition)}, and the topic ${topic} has the partitions 0 to ${count - 1}`);
  };
}

/** Where a function gives the key, the record that comes has it already. */
function compileEncoder(form: RepartitionForm): RowEncoder<unknown> {
  const { by, values } = form;
  const write = compileValueWriter(values);
  const fingerprint = fingerprintOf(values);
  const version = values.kind === "schema" ? SCHEMA_VERSION : SERDE_VERSION;
  const scratch = new ByteWriter(1 << 12);
  const keyByFields = typeof by === "function" ? undefined : compileRepartitionKey(form, by);
  const placeOf = form.partitioner === undefined ? undefined : compilePlace(form);
  return (writer, value, meta, recordKey, timestamp, headers) => {
    const key = keyByFields === undefined ? recordKey : keyByFields(value);
    const partition = placeOf?.(key, value);
    scratch.position = 0;
    scratch.u8(version);
    scratch.u32(fingerprint);
    scratch.f64(timestamp);
    write(scratch, value);
    if (scratch.position > VALUE_BYTES_MAX) {
      throw new TopologyError("PAYLOAD_TOO_LARGE", `the value has ${scratch.position} bytes, and a record between two parts takes ${VALUE_BYTES_MAX}`, { place: form.topic });
    }
    const frame = { key, value: scratch.buffer.subarray(0, scratch.position), timestamp: meta.loadTime, headers };
    writeFrame(writer, partition === undefined ? frame : { ...frame, partition });
  };
}

/** The writing end as a sink of the log. */
export function repartitionSink(form: RepartitionForm): SinkSpec<never> {
  return Object.freeze({
    kind: "sink",
    connector: "log",
    target: form.topic,
    guarantee: Object.freeze({ level: "exactly-once", by: "the log drops a producer sequence it has seen" } as const),
    summary: `repartition ${form.name} in topic ${form.topic}`,
    rebuildable: "no",
    dependents: Object.freeze([]),
    problems: Object.freeze([]),
    declaration: form,
    encoder: (): RowEncoder<never> => compileEncoder(form),
  });
}

function compileValueReader(values: RepartitionValues): (reader: ByteReader) => unknown {
  if (values.kind === "schema") {
    const codec = compileBinaryCodec<unknown, unknown>(values.schema);
    return (reader) => codec.decode(reader);
  }
  const { serde } = values;
  return (reader) => (reader.u8() === 0 ? null : (serde.decode(reader.bytes(reader.remaining)) as unknown));
}

/** The reading end: gives value and event time back. Throws TOPIC_MISMATCH on what another schema or serde wrote. */
export function compileRepartitionDecoder({ name, topic, values }: Pick<RepartitionForm, "name" | "topic" | "values">): (bytes: Buffer | null) => { readonly value: unknown; readonly timestamp: number } {
  const read = compileValueReader(values);
  const fingerprint = fingerprintOf(values);
  const version = values.kind === "schema" ? SCHEMA_VERSION : SERDE_VERSION;
  const least = values.kind === "schema" ? HEADER_BYTES : HEADER_BYTES + 1;
  return (bytes) => {
    if (bytes === null || bytes.length < least || bytes[0] !== version || bytes.readUInt32LE(1) !== fingerprint) {
      throw new TopologyError("TOPIC_MISMATCH", `the topic ${topic} holds a record that this version of repartition ${name} did not write`, {
        place: `topic ${topic}`,
        cure: "a schema or a serde was changed while records were on their way: run the former version until it has drained, or give the repartition another name; nobody else may write to its topic",
      });
    }
    const reader = new ByteReader(bytes, 5);
    const timestamp = reader.f64();
    return { value: read(reader), timestamp };
  };
}

/** Options of either form. */
export type AnyRepartitionOptions = RepartitionOptions<never, unknown, unknown> | SerdeRepartitionOptions<never>;

/** Adds both ends of a repartition of a stream, and gives the reading one and its schema. */
export function addRepartition(draft: TopologyDraft, upstream: NodeId, streamSchema: AnySchema | undefined, name: string, options: AnyRepartitionOptions): { readonly id: NodeId; readonly schema: AnySchema | undefined } {
  const { by, partitions, partitioner, value: serde } = options;
  const schema: AnySchema | undefined = serde === undefined ? ((options.schema as AnySchema | undefined) ?? streamSchema) : undefined;
  const topic = repartitionTopic(draft.topology, name);
  const fields = typeof by === "function" ? undefined : Object.freeze([...(by as readonly string[])]);
  const values: RepartitionValues | undefined = serde !== undefined ? { kind: "serde", serde } : schema && { kind: "schema", schema, isConverted: schema !== streamSchema };
  const form: RepartitionForm | undefined = values && Object.freeze({ name, topic, by: fields ?? (by as RepartitionForm["by"]), values: Object.freeze(values), partitions, partitioner });
  const writer = draft.add({ kind: "repartition", name, upstream: [upstream], topic, fields, partitions, form, spec: form && repartitionSink(form), onError: errorPolicy(options.onError) });
  const id = draft.add({ kind: "source", name, upstream: [], topics: Object.freeze([topic]), redeliveryMs: undefined, repartition: Object.freeze({ writer, form }) });
  return { id, schema };
}
