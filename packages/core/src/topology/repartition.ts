/**
 * Repartition: the records of a stream go through a topic of the topology's own, so that equal keys come together in one task.
 *
 *   value of a record there := version u8 | fingerprint of the schema u32 | event time f64 | RowBinary of the schema
 *   key                     := the fields of `by` as text, or what its function gives
 *   timestamp               := the load time of the record that it comes from, so that load time goes through unchanged
 *
 * The fingerprint stands there because RowBinary read by another schema gives other values without an error.
 */
import { ByteReader, ByteWriter, type RecordKey, type StreamRecord, TopologyError, writeFrame } from "../model/index.ts";
import type { RowEncoder, SinkSpec } from "../port/index.ts";
import { compileBinaryCodec, compileKeyEncoder, type RecordSchema } from "../schema/index.ts";
import type { AnySchema } from "./node.ts";
import type { OnError } from "./policy.ts";

/** Options of a stream's repartition. */
export interface RepartitionOptions<V, W, I> {
  /**
   * What brings records together: fields, or a function that gives a key. State behind fields is right for any number of partitions if its own fields
   * include them; what a function gives nobody can check, so state behind it needs `partitions: 1`.
   */
  readonly by: readonly (keyof V & keyof NoInfer<W> & string)[] | ((value: V, record: StreamRecord<V>) => RecordKey);
  /** How the values are kept in the topic; the schema of the stream when absent, which a stream has until it is mapped. It must take the stream's values. */
  readonly schema?: RecordSchema<W, I> & ([V] extends [I] ? unknown : never);
  /** As many as the part that writes has, when absent. */
  readonly partitions?: number;
  /** For records whose value does not fit the schema, or whose key cannot be told. */
  readonly onError?: OnError;
}

/** How records stand in a repartition's topic. */
export interface RepartitionForm {
  readonly name: string;
  readonly topic: string;
  readonly by: readonly string[] | ((value: never, record: StreamRecord<never>) => RecordKey);
  readonly schema: AnySchema;
  /** False where values come from a cast to this same schema, and are canonical already. */
  readonly isConverted: boolean;
}

const VERSION = 1;
const HEADER_BYTES = 13;
/** Below what brokers take in one record by default (1 MiB with all that is around it). */
const VALUE_BYTES_MAX = 1_000_000;

/** The topic of a repartition. */
export function repartitionTopic(topology: string, name: string): string {
  return `${topology}-${name}-repartition`;
}

/** A number that changes with the schema's columns (FNV-1a). */
function fingerprintOf(schema: AnySchema): number {
  let hash = 0x811c9dc5;
  for (const { name, column } of schema.columns) {
    for (const character of `${name} ${column.clickhouse}\n`) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  }
  return hash >>> 0;
}

/** The key by fields. Values that were converted are brought to what the reader will see first, so that equal values have equal keys. */
export function compileRepartitionKey({ schema, isConverted }: Pick<RepartitionForm, "schema" | "isConverted">, fields: readonly string[]): (value: unknown) => string {
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

function compileEncoder(form: RepartitionForm): RowEncoder<unknown> {
  const { by, schema } = form;
  const codec = compileBinaryCodec<unknown, unknown>(schema);
  const fingerprint = fingerprintOf(schema);
  const scratch = new ByteWriter(1 << 12);
  const keyByFields = typeof by === "function" ? undefined : compileRepartitionKey(form, by);
  return (writer, value, meta, recordKey, timestamp, headers) => {
    const key = keyByFields === undefined ? (by as (value: unknown, record: StreamRecord<unknown>) => RecordKey)(value, { key: recordKey, value, timestamp, headers }) : keyByFields(value);
    scratch.position = 0;
    scratch.u8(VERSION);
    scratch.u32(fingerprint);
    scratch.f64(timestamp);
    codec.encode(scratch, value);
    if (scratch.position > VALUE_BYTES_MAX) {
      throw new TopologyError("PAYLOAD_TOO_LARGE", `the value has ${scratch.position} bytes, and a record between two parts takes ${VALUE_BYTES_MAX}`, { place: form.topic });
    }
    writeFrame(writer, { key, value: scratch.buffer.subarray(0, scratch.position), timestamp: meta.loadTime, headers });
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

/** The reading end: gives value and event time back. Throws TOPIC_MISMATCH on what another schema wrote. */
export function compileRepartitionDecoder({ name, topic, schema }: Pick<RepartitionForm, "name" | "topic" | "schema">): (bytes: Buffer | null) => { readonly value: unknown; readonly timestamp: number } {
  const codec = compileBinaryCodec<unknown, unknown>(schema);
  const fingerprint = fingerprintOf(schema);
  return (bytes) => {
    if (bytes === null || bytes.length < HEADER_BYTES || bytes[0] !== VERSION || bytes.readUInt32LE(1) !== fingerprint) {
      throw new TopologyError("TOPIC_MISMATCH", `the topic ${topic} holds a record that this version of repartition ${name} did not write`, {
        place: `topic ${topic}`,
        cure: "a schema was changed while records were on their way: run the former version until it has drained, or give the repartition another name; nobody else may write to its topic",
      });
    }
    const reader = new ByteReader(bytes, 5);
    const timestamp = reader.f64();
    return { value: codec.decode(reader), timestamp };
  };
}
