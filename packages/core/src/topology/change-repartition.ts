/**
 * Repartition of a table's changes: what a row became and what it was go together through a topic of the topology's own, to the task that has the row's group.
 *
 *   value of a record there := version u8 | fingerprint of the serde u32 | event time f64 | parts u8 (1 new, 2 old) | length of new varint | new | old
 *   key                     := the group's key
 *   timestamp               := the load time of the record that it comes from, so that load time goes through unchanged
 */
import { ByteReader, ByteWriter, TopologyError, writeFrame } from "../model/index.ts";
import type { RowEncoder, SinkSpec } from "../port/index.ts";
import { valueShape } from "../schema/index.ts";
import type { AnySerde } from "./table-nodes.ts";

/** How changes stand in the topic. */
export interface ChangeRepartitionForm {
  readonly name: string;
  readonly topic: string;
  readonly serde: AnySerde;
}

/** A change, as the two ends of the topic know it; null where there is no such row. */
export interface Change {
  readonly value: unknown;
  readonly old: unknown;
}

const VERSION = 1;
const HEADER_BYTES = 14;
const NEW = 1;
const OLD = 2;
/** Below what brokers take in one record by default (1 MiB with all that is around it). */
const VALUE_BYTES_MAX = 1_000_000;

/** A number that changes with the form of the values (FNV-1a). */
function fingerprintOf(serde: AnySerde): number {
  let hash = 0x811c9dc5;
  for (const character of JSON.stringify(valueShape(serde))) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  return hash >>> 0;
}

function compileEncoder({ topic, serde }: ChangeRepartitionForm): RowEncoder<Change> {
  const fingerprint = fingerprintOf(serde);
  const scratch = new ByteWriter(1 << 12);
  const part = new ByteWriter(1 << 12);
  return (writer, { value, old }, meta, key, timestamp, headers) => {
    part.reset();
    if (value !== null) serde.encode(part, value);
    scratch.reset();
    scratch.u8(VERSION);
    scratch.u32(fingerprint);
    scratch.f64(timestamp);
    scratch.u8((value === null ? 0 : NEW) | (old === null ? 0 : OLD));
    scratch.varint(part.position);
    scratch.bytes(part.buffer.subarray(0, part.position));
    if (old !== null) serde.encode(scratch, old);
    if (scratch.position > VALUE_BYTES_MAX) throw new TopologyError("PAYLOAD_TOO_LARGE", `a change has ${scratch.position} bytes, and a record between two parts takes ${VALUE_BYTES_MAX}`, { place: topic });
    writeFrame(writer, { key, value: scratch.buffer.subarray(0, scratch.position), timestamp: meta.loadTime, headers });
  };
}

/** The writing end as a sink of the log. */
export function changeRepartitionSink(form: ChangeRepartitionForm): SinkSpec<never> {
  return Object.freeze({
    kind: "sink",
    connector: "log",
    target: form.topic,
    guarantee: Object.freeze({ level: "exactly-once", by: "the log drops a producer sequence it has seen" } as const),
    summary: `repartition ${form.name} of changes in topic ${form.topic}`,
    rebuildable: "no",
    dependents: Object.freeze([]),
    problems: Object.freeze([]),
    declaration: form,
    encoder: (): RowEncoder<never> => compileEncoder(form) as RowEncoder<never>,
  });
}

/** The reading end: gives the change and its event time back. Throws TOPIC_MISMATCH on what another serde wrote. */
export function compileChangeDecoder({ name, topic, serde }: ChangeRepartitionForm): (bytes: Buffer | null) => Change & { readonly timestamp: number } {
  const fingerprint = fingerprintOf(serde);
  return (bytes) => {
    if (bytes === null || bytes.length <= HEADER_BYTES || bytes[0] !== VERSION || bytes.readUInt32LE(1) !== fingerprint) {
      throw new TopologyError("TOPIC_MISMATCH", `the topic ${topic} holds a record that this version of repartition ${name} did not write`, {
        place: `topic ${topic}`,
        cure: "a serde was changed while changes were on their way: run the former version until it has drained, or give the repartition another name; nobody else may write to its topic",
      });
    }
    const reader = new ByteReader(bytes, 5);
    const timestamp = reader.f64();
    const parts = reader.u8();
    const now = reader.bytes(reader.varint());
    return {
      value: (parts & NEW) === 0 ? null : serde.decode(Buffer.from(now)),
      old: (parts & OLD) === 0 ? null : serde.decode(Buffer.from(reader.bytes(reader.remaining))),
      timestamp,
    };
  };
}
