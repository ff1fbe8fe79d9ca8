import { ByteReader, ByteWriter, type Header, readFrame, type RecordMeta } from "../model/index.ts";
import type { SubTopology } from "../plan/plan.ts";
import type { RowEncoder, SinkSpec } from "../port/index.ts";
import type { TopicDeclaration } from "../topology/index.ts";
import { type CollectedRow, collectedRow } from "./collect.ts";

/** A record as a sink got it. */
export interface DriverOutput {
  /** The sink's target: a topic, a table, the name of a `collect` sink. */
  readonly target: string;
  /** Text for a topic, as the step sends it for any other sink. */
  readonly key: string | Uint8Array | null;
  /** What the step sent; for a topic what stands in its bytes: JSON and serdes are read, other formats stay bytes. Null is a tombstone. */
  readonly value: unknown;
  /** Epoch milliseconds: the record's event time; for a topic what the log would get. */
  readonly timestamp: number;
  readonly headers: readonly Header[];
  /** The input record that caused it. */
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Counts the rows that this sink got from one input record, from 0. */
  readonly index: number;
}

/** What a driver does with what the sinks of a part encode, in the order in which it happens. */
export interface OutputListener {
  readonly output: (output: DriverOutput) => void;
  /** A frame for one of the topology's own topics. */
  readonly internal: (topic: string, frame: Buffer) => void;
}

const NO_HEADERS: readonly Header[] = Object.freeze([]);

/** How a topic's values are read back: by its declaration where it has one that can be read, as JSON where it has a schema alone. */
function topicReader({ declaration }: SinkSpec<never>): (bytes: Buffer) => unknown {
  const { format, serde } = (declaration ?? {}) as Partial<TopicDeclaration>;
  if (serde !== undefined) return (bytes) => serde.decode(bytes);
  return format === undefined ? (bytes) => JSON.parse(bytes.toString("utf8")) as unknown : (bytes) => bytes;
}

function outputReader(spec: SinkSpec<never>): (bytes: Buffer, value: unknown, origin: CollectedRow) => DriverOutput {
  const { target } = spec;
  if (spec.connector === "log") {
    const decode = topicReader(spec);
    return (bytes, _value, { topic, partition, offset, index }) => {
      const { key, value, timestamp, headers } = readFrame(new ByteReader(bytes));
      return { target, key: key === null ? null : key.toString("utf8"), value: value === null ? null : decode(value), timestamp, headers, topic, partition, offset, index };
    };
  }
  if (spec.connector === "collect") return (bytes) => ({ headers: NO_HEADERS, ...collectedRow(bytes), target });
  return (_bytes, value, origin) => ({ headers: NO_HEADERS, ...origin, value, target });
}

/** The same sink, with someone who listens to what it encodes. */
function observed(spec: SinkSpec<never>, isInternal: boolean, listener: OutputListener): SinkSpec<never> {
  const read = outputReader(spec);
  return {
    ...spec,
    encoder: (): RowEncoder<never> => {
      const encode = spec.encoder() as RowEncoder<unknown>;
      const scratch = new ByteWriter(1 << 12);
      return (writer: ByteWriter, value: unknown, meta: RecordMeta, key, timestamp, ...more) => {
        scratch.reset();
        encode(scratch, value, meta, key, timestamp, ...more);
        const bytes = Buffer.from(scratch.buffer.subarray(0, scratch.position));
        writer.bytes(bytes);
        if (isInternal) listener.internal(spec.target, bytes);
        else listener.output(read(bytes, value, { value, key, timestamp, topic: meta.topic, partition: meta.partition, offset: meta.offset, index: meta.index }));
      };
    },
  };
}

/** The same part of a topology, with a listener at all its ends. */
export function observedPart(part: SubTopology, internalTopics: ReadonlySet<string>, listener: OutputListener): SubTopology {
  const nodes = part.nodes.map((node) => {
    if (node.kind !== "sink" && node.kind !== "repartition") return node;
    return node.spec === undefined ? node : { ...node, spec: observed(node.spec, internalTopics.has(node.spec.target), listener) };
  });
  return { ...part, nodes };
}
