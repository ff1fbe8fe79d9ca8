import { type ByteWriter, type RecordKey, writeFrame } from "../model/index.ts";
import type { RowEncoder, SinkSpec } from "../port/index.ts";
import { compileJsonEncoder, type RecordSchema } from "../schema/index.ts";

/** Options of {@link topic}. */
export interface TopicOptions<V> {
  /** The key of each record; the stream's key when absent. */
  readonly key?: (value: V) => RecordKey;
}

/**
 * A sink: a topic of the log that the topology reads from, values as JSON of the schema. Exactly once: the log drops a batch whose
 * producer sequence it has seen.
 */
export function topic<V, I>(name: string, schema: RecordSchema<V, I>, options: TopicOptions<I> = {}): SinkSpec<I> {
  const key = options.key;
  return Object.freeze({
    kind: "sink",
    connector: "log",
    target: name,
    guarantee: Object.freeze({ level: "exactly-once", by: "the log drops a producer sequence it has seen" } as const),
    summary: `topic ${name}, ${schema.name} as JSON`,
    rebuildable: "no",
    dependents: Object.freeze([]),
    problems: Object.freeze([]),
    declaration: undefined,
    encoder: (): RowEncoder<I> => {
      const toJson = compileJsonEncoder(schema);
      return (writer: ByteWriter, value: I, _meta, recordKey, timestamp) =>
        writeFrame(writer, { key: key === undefined ? recordKey : key(value), value: toJson(value), timestamp });
    },
  });
}
