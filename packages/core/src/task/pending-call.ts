/**
 * A record whose call has no result yet, as the store keeps it:
 *
 *   timestamp f64 | key | headers | origin: topic, partition, offset, load time, path, key, value, headers | 0, or 1 and the value by the serde to the end
 *
 * The origin's own key and value are kept only where a dead letter would need them.
 */
import type { ByteReader, ByteWriter, Header, RecordKey } from "../model/index.ts";
import type { ValueCodec } from "../state/codec.ts";
import type { AnySerde } from "../topology/index.ts";
import type { AnyRecord } from "./link.ts";
import type { InjectedOrigin } from "./timers.ts";

/** A record that waits, and where it comes from. */
export interface PendingRecord {
  readonly record: AnyRecord;
  /** The input record behind it; what its result makes comes from there. */
  readonly origin: InjectedOrigin & { readonly path: string };
}

const NONE = 0;
const TEXT = 1;
const BYTES = 2;

function writeKey(writer: ByteWriter, key: RecordKey): void {
  writer.u8(key === null ? NONE : typeof key === "string" ? TEXT : BYTES);
  if (typeof key === "string") writer.text(key);
  else if (key !== null) writer.sized(key);
}

function readKey(reader: ByteReader): RecordKey {
  const kind = reader.u8();
  if (kind === NONE) return null;
  return kind === TEXT ? reader.text() : Buffer.from(reader.sized());
}

function readBytes(reader: ByteReader): Buffer | null {
  const key = readKey(reader);
  return key as Buffer | null;
}

function writeHeaders(writer: ByteWriter, headers: readonly Header[]): void {
  writer.varint(headers.length);
  for (const { key, value } of headers) {
    writer.text(key);
    writeKey(writer, value);
  }
}

function readHeaders(reader: ByteReader): Header[] {
  return Array.from({ length: reader.varint() }, () => ({ key: reader.text(), value: readBytes(reader) }));
}

function writeOrigin(writer: ByteWriter, origin: PendingRecord["origin"]): void {
  writer.text(origin.topic);
  writer.i64Number(origin.partition);
  writer.i64Number(origin.offset);
  writer.f64(origin.timestamp);
  writer.text(origin.path);
  writeKey(writer, origin.key);
  writeKey(writer, origin.value);
  writeHeaders(writer, origin.headers);
}

function readOrigin(reader: ByteReader): PendingRecord["origin"] {
  const topic = reader.text();
  const partition = reader.i64Number();
  const offset = reader.i64Number();
  const timestamp = reader.f64();
  const path = reader.text();
  const key = readBytes(reader);
  const value = readBytes(reader);
  return { topic, partition, offset, timestamp, key, value, headers: readHeaders(reader), injected: true, path };
}

/** The codec of pending records. */
export function pendingCodec(serde: AnySerde): ValueCodec<PendingRecord> {
  return {
    encode(writer, { record, origin }) {
      writer.f64(record.timestamp);
      writeKey(writer, record.key);
      writeHeaders(writer, record.headers);
      writeOrigin(writer, origin);
      const isThere = record.value !== null && record.value !== undefined;
      writer.u8(isThere ? 1 : 0);
      if (isThere) serde.encode(writer, record.value);
    },
    decode(reader) {
      const timestamp = reader.f64();
      const key = readKey(reader);
      const headers = readHeaders(reader);
      const origin = readOrigin(reader);
      const value: unknown = reader.u8() === 0 ? null : (serde.decode(reader.bytes(reader.remaining)) as unknown);
      return { record: { key, value, timestamp, headers }, origin };
    },
  };
}
