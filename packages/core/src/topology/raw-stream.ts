import type { RecordSchema } from "../schema/index.ts";
import type { TopologyDraft } from "./draft.ts";
import type { AnySchema, NodeId } from "./node.ts";
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
   */
  readonly partitionedBy?: FieldsOf<V, string>;
  /** Refuses larger values. 1,048,576 bytes by default. */
  readonly payloadBytesMax?: number;
  /** How the bytes are read; JSON when absent. */
  readonly format?: ValueFormat;
}

/** Raw records of a source: bytes, until they are cast. */
export type RawStream = Stream<Buffer | null> & {
  /**
   * Reads JSON, or what `format` reads, into a schema's type. A record that does not fit is refused as a whole, with all its errors.
   *
   * Errors: TOMBSTONE, EMPTY_PAYLOAD, PAYLOAD_TOO_LARGE, PAYLOAD_TOO_DEEP, INVALID_UTF8, INVALID_JSON, INVALID_ENCODING, SCHEMA_UNKNOWN, CAST_FAILED, KEY_MISMATCH, each to `onError`.
   */
  cast<V, I>(schema: RecordSchema<V, I>, options?: CastOptions<V>): Stream<V>;
};

const PAYLOAD_BYTES_MAX = 1_048_576;

/** The handle of a source. */
export function rawStream(draft: TopologyDraft, nodeId: NodeId): RawStream {
  return Object.assign(new Stream<Buffer | null>(draft, nodeId), {
    cast<V, I>(schema: RecordSchema<V, I>, options: CastOptions<V> = {}): Stream<V> {
      const id = draft.add({
        kind: "cast",
        name: options.name ?? `cast-${schema.name}`,
        upstream: [nodeId],
        schema: schema as AnySchema,
        format: options.format,
        timestampField: options.timestamp,
        partitionedBy: options.partitionedBy,
        payloadBytesMax: options.payloadBytesMax ?? PAYLOAD_BYTES_MAX,
        onError: errorPolicy(options.onError),
      });
      return new Stream<V>(draft, id, schema as AnySchema);
    },
  });
}
