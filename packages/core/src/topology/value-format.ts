import type { CastFailure, DecodeLimits, RecordSchema } from "../schema/index.ts";

/**
 * How a topic's values stand in bytes, where that is not plain JSON. Made by a connector (`schemaRegistry(...).format()`), held by casts and topic sinks.
 *
 * Both ways are synchronous, for a task never waits: whatever they need from outside (the schemas of a registry) is there before the records are.
 */
export interface ValueFormat {
  /** For `describe`: `registry avro`. */
  readonly name: string;
  /** Compiles the way from a record's value to a schema's type; called once a task. Bytes that do not fit are a `CastFailure`, never a throw. */
  readonly decoder: <Out, In>(schema: RecordSchema<Out, In>, limits: DecodeLimits) => (bytes: Buffer | null) => Out | CastFailure;
  /** Compiles the way to a topic's bytes; called once a task. What it gives throws a `TopologyError` `CAST_FAILED` naming the field when a value does not fit. */
  readonly encoder: <Out, In>(schema: RecordSchema<Out, In>, topic: string) => (value: In) => Uint8Array | string;
}
