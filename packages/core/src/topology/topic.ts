import { type ByteWriter, type RecordKey, writeFrame } from "../model/index.ts";
import type { RowEncoder, SinkSpec } from "../port/index.ts";
import { compileJsonEncoder, type RecordSchema } from "../schema/index.ts";
import type { ValueFormat } from "./value-format.ts";

/** Options of {@link topic}. */
export interface TopicOptions<V> {
  /** The key of each record; the stream's key when absent. */
  readonly key?: (value: V) => RecordKey;
  /** How the values are written; JSON when absent. */
  readonly format?: ValueFormat;
}

/** What a topic's spec keeps for those who prepare formats before a run. */
export interface TopicDeclaration {
  readonly schema: RecordSchema;
  readonly format: ValueFormat | undefined;
}

/**
 * A sink: a topic of the log that the topology reads from, values as JSON of the schema, or in the format given. Exactly once: the log drops a batch whose
 * producer sequence it has seen. A record's timestamp there is its event time, but never beyond its load time: brokers refuse what lies in the future.
 */
export function topic<V, I>(name: string, schema: RecordSchema<V, I>, options: TopicOptions<I> = {}): SinkSpec<I> {
  const { key, format } = options;
  const declaration: TopicDeclaration = Object.freeze({ schema, format });
  return Object.freeze({
    kind: "sink",
    connector: "log",
    target: name,
    guarantee: Object.freeze({ level: "exactly-once", by: "the log drops a producer sequence it has seen" } as const),
    summary: `topic ${name}, ${schema.name} as ${format?.name ?? "JSON"}`,
    rebuildable: "no",
    dependents: Object.freeze([]),
    problems: Object.freeze([]),
    declaration,
    encoder: (): RowEncoder<I> => {
      const encode = format === undefined ? compileJsonEncoder(schema) : format.encoder(schema, name);
      // One device with a wrong clock must not stop the topology: Kafka refuses a whole batch for a record that is an hour ahead, or from before 1970.
      return (writer: ByteWriter, value: I, { loadTime }, recordKey, timestamp) =>
        writeFrame(writer, { key: key === undefined ? recordKey : key(value), value: encode(value), timestamp: Math.max(0, Math.min(timestamp, loadTime)) });
    },
  });
}
