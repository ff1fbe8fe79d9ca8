import type { StreamRecord } from "../model/index.ts";
import { isStandardSchema, PAYLOAD_BYTES_MAX, type RecordSchema, type Serde, type StandardSchema } from "../schema/index.ts";
import type { TopologyDraft } from "./draft.ts";
import type { AnySchema, CastForm, NodeId, TopologyNode } from "./node.ts";
import { errorPolicy } from "./policy.ts";
import type { ValueFormat } from "./value-format.ts";
import { type FieldsOf, type StepOptions, Stream } from "./stream.ts";

/** Options of {@link RawStream}'s cast. */
export interface CastOptions<V> extends StepOptions {
  /** The field that holds the event time (epoch milliseconds). Without it a record keeps the log's timestamp. */
  readonly timestamp?: FieldsOf<V, number>;
  /**
   * The field that the topic's key repeats. State by fields that include it is right for any number of partitions; a record whose
   * key differs is refused with KEY_MISMATCH (only where the topic has several partitions, since otherwise it cannot matter).
   * Behind the cast the key of a record is then the field's text, not bytes that say the same.
   */
  readonly partitionedBy?: FieldsOf<V, string>;
  /** Refuses larger values. 1,048,576 bytes by default. */
  readonly payloadBytesMax?: number;
  /** How the bytes are read; JSON when absent. */
  readonly format?: ValueFormat;
}

/** Options of {@link RawStream}'s cast by a Standard Schema. */
export interface StandardCastOptions<V> extends StepOptions {
  /** The field that holds the event time: epoch milliseconds or a `Date`. Without it a record keeps the log's timestamp. */
  readonly timestamp?: FieldsOf<V, number | Date>;
  /** As of a cast to columns. */
  readonly partitionedBy?: FieldsOf<V, string>;
  /** Refuses larger values. 1,048,576 bytes by default. */
  readonly payloadBytesMax?: number;
}

/** Raw records of a source: bytes, until they are cast. */
export type RawStream = Stream<Buffer | null> & {
  /**
   * Reads JSON, or what `format` reads, into a schema's type. A record that does not fit is refused as a whole, with all its errors.
   *
   * Errors: TOMBSTONE, EMPTY_PAYLOAD, PAYLOAD_TOO_LARGE, PAYLOAD_TOO_DEEP, INVALID_UTF8, INVALID_JSON, INVALID_ENCODING, SCHEMA_UNKNOWN, CAST_FAILED, KEY_MISMATCH, each to `onError`.
   */
  cast<V, I>(schema: RecordSchema<V, I>, options?: CastOptions<V>): Stream<V>;
  /**
   * Reads JSON and validates it by a schema of zod, valibot, arktype, or any library of the Standard Schema interface; the stream is of what the schema gives, after its
   * defaults and transforms. All issues of a record are collected, with their paths. An integer beyond 2^53 is given to the schema as a bigint.
   *
   * Such a schema has no columns: give a `record` schema where one is needed, as in `repartition(name, { by, schema: Row })` and in sinks.
   *
   * Errors: as of a cast to columns; STEP_FAILED where a function of the schema throws, to `onError` too. An asynchronous schema is refused by the plan, or fails the
   * task with SCHEMA_INVALID where only some value shows it.
   *
   * @example t.source("orders").cast(z.object({ id: z.string(), total: z.number() }), { onError: dead })
   */
  cast<V>(schema: StandardSchema<unknown, V>, options?: StandardCastOptions<V>): Stream<V>;
  /**
   * Reads values by a serde and keys as UTF-8 text. A null value (a tombstone) passes as null.
   *
   * Errors: what the serde throws, PAYLOAD_TOO_LARGE, and INVALID_UTF8 for a key, each to `onError`.
   *
   * @example t.source("clicks").decode(serde.json<Click>()).groupByKey().count("clicks-a-user")
   */
  decode<T>(serde: Serde<T>, options?: DecodeOptions<T>): Stream<T | null>;
};

/** Options of {@link RawStream}'s decode. */
export interface DecodeOptions<T> extends StepOptions {
  /** Gives the event time (epoch milliseconds) of a value. Without it, and for null values, a record keeps the log's timestamp. */
  readonly timestamp?: (value: T, record: StreamRecord<T>) => number;
  /** Refuses larger values. 1,048,576 bytes by default. */
  readonly payloadBytesMax?: number;
}

type AnySource = RecordSchema<unknown, unknown> | StandardSchema;

/** The handle of a source. */
export function rawStream(draft: TopologyDraft, nodeId: NodeId): RawStream {
  function cast<V>(schema: AnySource, options: CastOptions<V> & StandardCastOptions<V> = {}): Stream<V> {
    const reads: CastForm = isStandardSchema(schema) ? { kind: "standard", schema } : { kind: "columns", schema: schema as AnySchema, format: options.format };
    const id = draft.add({
      kind: "cast",
      // A schema of columns has a name; of another library's schema, the source's name stands for it.
      name: options.name ?? `cast-${reads.kind === "columns" ? reads.schema.name : sourceName(draft.node(nodeId))}`,
      upstream: [nodeId],
      reads: Object.freeze(reads),
      timestampField: options.timestamp,
      partitionedBy: options.partitionedBy,
      payloadBytesMax: options.payloadBytesMax ?? PAYLOAD_BYTES_MAX,
      onError: errorPolicy(options.onError),
    });
    return new Stream<V>(draft, id, reads.kind === "columns" ? reads.schema : undefined);
  }
  function decode<T>(serde: Serde<T>, options: DecodeOptions<T> = {}): Stream<T | null> {
    const id = draft.add({
      kind: "decode",
      name: options.name ?? `decode-${sourceName(draft.node(nodeId))}`,
      upstream: [nodeId],
      serde,
      timestamp: options.timestamp,
      payloadBytesMax: options.payloadBytesMax ?? PAYLOAD_BYTES_MAX,
      onError: errorPolicy(options.onError),
    });
    return new Stream<T | null>(draft, id);
  }
  return Object.assign(new Stream<Buffer | null>(draft, nodeId), { cast, decode });
}

function sourceName(node: TopologyNode): string {
  return (node.name ?? node.kind).replaceAll("+", "-");
}
