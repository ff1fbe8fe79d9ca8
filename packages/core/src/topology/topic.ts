import { beginFrame, type ByteWriter, endFrame, type RecordKey, writeFrame } from "../model/index.ts";
import type { RowEncoder, SinkShape, SinkSpec } from "../port/index.ts";
import { columnShapes, compileJsonWriter, type Difference, isSameShape, type RecordSchema, type Serde, type ValueShape, valueShape, writingDifferences } from "../schema/index.ts";
import type { AnySchema } from "./node.ts";
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
  /** Undefined where a serde writes the values. */
  readonly schema: RecordSchema | undefined;
  readonly format: ValueFormat | undefined;
  readonly serde: Serde<unknown> | undefined;
}

/**
 * A sink: a topic of the log that the topology reads from, values as JSON of the schema, or in the format given. Exactly once: the log drops a batch whose
 * producer sequence it has seen. A record's timestamp there is its event time, but never beyond its load time: brokers refuse what lies in the future.
 */
export function topic<V, I>(name: string, schema: RecordSchema<V, I>, options?: TopicOptions<I>): SinkSpec<I>;
/** The same by a serde; a null value is written as null, a tombstone. */
export function topic<T>(name: string, serde: Serde<T>, options?: Pick<TopicOptions<T | null>, "key">): SinkSpec<T | null>;
export function topic(name: string, form: AnySchema | Serde<unknown>, options: TopicOptions<never> = {}): SinkSpec<never> {
  return "columns" in form ? schemaTopic(name, form, options as TopicOptions<unknown>) : serdeTopic(name, form, options as TopicOptions<unknown>);
}

/** Appends a value that is not null to a writer; where a format can only give its bytes, those are made instead. */
type Write = { readonly append: (writer: ByteWriter, value: unknown) => void; readonly takesNull: boolean } | { readonly make: (value: unknown) => Uint8Array | string };

/** What readers of the topic see. */
function topicShape({ schema, format, serde }: TopicDeclaration): ValueShape {
  if (serde !== undefined) return valueShape(serde);
  return { serde: format?.name ?? "JSON", ...(schema === undefined ? {} : { columns: columnShapes(schema) }) };
}

function topicChanges(earlier: ValueShape, now: ValueShape): readonly Difference[] {
  if (earlier.serde !== now.serde) return [{ isBreaking: true, message: `its values were ${earlier.serde} and are ${now.serde}`, effect: "readers must know both: what is in the topic stays as it is" }];
  if (earlier.columns !== undefined && now.columns !== undefined) return writingDifferences(earlier.columns, now.columns, "readers");
  return isSameShape(earlier, now) ? [] : [{ isBreaking: true, message: "its columns are no longer told, or were not before", effect: "nobody can tell what readers meet" }];
}

function topicSpec(name: string, summary: string, declaration: TopicDeclaration, { key }: TopicOptions<unknown>, compile: () => Write): SinkSpec<unknown> {
  return Object.freeze({
    kind: "sink",
    connector: "log",
    target: name,
    guarantee: Object.freeze({ level: "exactly-once", by: "the log drops a producer sequence it has seen" } as const),
    summary,
    rebuildable: "no",
    dependents: Object.freeze([]),
    problems: Object.freeze([]),
    shape: topicShape(declaration) as unknown as SinkShape,
    changesSince: (earlier: SinkShape) => topicChanges(earlier as unknown as ValueShape, topicShape(declaration)),
    declaration,
    encoder: (): RowEncoder<unknown> => {
      const write = compile();
      // One device with a wrong clock must not stop the topology: Kafka refuses a whole batch for a record that is an hour ahead, or from before 1970.
      const timeOf = (timestamp: number, loadTime: number): number => Math.max(0, Math.min(timestamp, loadTime));
      if ("make" in write) {
        return (writer: ByteWriter, value, { loadTime }, recordKey, timestamp, headers) =>
          writeFrame(writer, { key: key === undefined ? recordKey : key(value), value: write.make(value), timestamp: timeOf(timestamp, loadTime), headers });
      }
      const { append, takesNull } = write;
      return (writer: ByteWriter, value, { loadTime }, recordKey, timestamp, headers) => {
        const hasValue = !takesNull || (value !== null && value !== undefined);
        beginFrame(writer, key === undefined ? recordKey : key(value), hasValue, timeOf(timestamp, loadTime), headers);
        if (hasValue) {
          const at = writer.beginSized();
          append(writer, value);
          writer.endSized(at);
        }
        endFrame(writer, headers);
      };
    },
  });
}

function serdeTopic(name: string, serde: Serde<unknown>, options: TopicOptions<unknown>): SinkSpec<unknown> {
  const declaration: TopicDeclaration = Object.freeze({ schema: undefined, format: undefined, serde });
  return topicSpec(name, `topic ${name}, ${serde.name}`, declaration, options, () => ({ append: (writer, value) => serde.encode(writer, value), takesNull: true }));
}

function schemaTopic(name: string, schema: AnySchema, options: TopicOptions<unknown>): SinkSpec<unknown> {
  const { format } = options;
  const declaration: TopicDeclaration = Object.freeze({ schema, format, serde: undefined });
  return topicSpec(name, `topic ${name}, ${schema.name} as ${format?.name ?? "JSON"}`, declaration, options, () => (format === undefined ? { append: compileJsonWriter(schema), takesNull: false } : { make: format.encoder(schema, name) }));
}
