/**
 * Records that wait in a store, those that share a place in it as one entry:
 *
 *   count varint | (length u32, the serde's bytes | count of headers varint, (name text, present u8, [value sized])*)*
 */
import type { ByteReader, ByteWriter, Header } from "../model/index.ts";
import type { Serde } from "../schema/index.ts";
import type { ValueCodec } from "./codec.ts";

/** What a waiting record has beside its key and its time, by which it is found. */
export interface HeldRecord<V> {
  readonly value: V;
  readonly headers: readonly Header[];
}

const NO_HEADERS: readonly Header[] = Object.freeze([]);

/** Appends a serde's bytes with their length, so that others may follow. */
export function writeSized<V>(writer: ByteWriter, serde: Serde<V>, value: V): void {
  const start = writer.position;
  writer.u32(0);
  serde.encode(writer, value);
  writer.buffer.writeUInt32LE(writer.position - start - 4, start);
}

/** Reads what {@link writeSized} wrote. */
export function readSized<V>(reader: ByteReader, serde: Serde<V>): V {
  return serde.decode(reader.bytes(reader.u32()));
}

/** Appends headers; one byte where there are none. */
export function writeHeaders(writer: ByteWriter, headers: readonly Header[]): void {
  writer.varint(headers.length);
  for (const { key, value } of headers) {
    writer.text(key);
    writer.u8(value === null ? 0 : 1);
    if (value !== null) writer.sized(value);
  }
}

/** Reads what {@link writeHeaders} wrote. */
export function readHeaders(reader: ByteReader): readonly Header[] {
  const count = reader.varint();
  if (count === 0) return NO_HEADERS;
  // Copies: the bytes are a view of the store's answer.
  return Array.from({ length: count }, () => ({ key: reader.text(), value: reader.u8() === 0 ? null : Buffer.from(reader.sized()) }));
}

/** Lists of records that wait. */
export function heldCodec<V>(serde: Serde<V>): ValueCodec<readonly HeldRecord<V>[]> {
  return {
    encode(writer, records) {
      writer.varint(records.length);
      for (const { value, headers } of records) {
        writeSized(writer, serde, value);
        writeHeaders(writer, headers);
      }
    },
    decode: (reader) => Array.from({ length: reader.varint() }, () => ({ value: readSized(reader, serde), headers: readHeaders(reader) })),
  };
}
