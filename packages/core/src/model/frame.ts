/**
 * Frames: how records bound for a log stand in a sealed batch, whichever log it is.
 *
 *   frame := flags u8 | timestamp i64 | [partition varint] | [key sized] | [value sized] | [count varint, (name text, present u8, [value sized])*]
 *   flags := 1 key present | 2 value present | 4 headers present | 8 partition given
 */
import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import type { Header, ProducerRecord, RecordKey } from "./record.ts";

const KEY = 1;
const VALUE = 2;
const HEADERS = 4;
const PARTITION = 8;
const NO_HEADERS: readonly Header[] = Object.freeze([]);

function bytesOrText(writer: ByteWriter, value: Uint8Array | string): void {
  if (typeof value === "string") writer.text(value);
  else writer.sized(value);
}

/** Appends one record to a batch of frames. */
export function writeFrame(writer: ByteWriter, record: ProducerRecord): void {
  const { key, value, headers = NO_HEADERS, partition } = record;
  beginFrame(writer, key, value !== null, record.timestamp, headers, partition);
  if (value !== null) bytesOrText(writer, value);
  endFrame(writer, headers);
}

/** Begins a frame. Its value, where it has one, follows behind its length; `endFrame` with the same headers ends it. */
export function beginFrame(writer: ByteWriter, key: RecordKey, hasValue: boolean, timestamp: number, headers: readonly Header[], partition?: number): void {
  writer.u8((key === null ? 0 : KEY) | (hasValue ? VALUE : 0) | (headers.length > 0 ? HEADERS : 0) | (partition === undefined ? 0 : PARTITION));
  writer.i64Number(timestamp);
  if (partition !== undefined) writer.varint(partition);
  if (key !== null) bytesOrText(writer, key);
}

/** Ends a frame that `beginFrame` began, with the same headers. */
export function endFrame(writer: ByteWriter, headers: readonly Header[]): void {
  if (headers.length === 0) return;
  writer.varint(headers.length);
  for (const header of headers) {
    writer.text(header.key);
    writer.u8(header.value === null ? 0 : 1);
    if (header.value !== null) writer.sized(header.value);
  }
}

/** A record read back from a frame; key and value are views of the batch's bytes. */
export interface FramedRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly timestamp: number;
  readonly headers: readonly Header[];
  readonly partition: number | undefined;
}

/** Reads the frame at the reader's position. Throws a RangeError on torn bytes. */
export function readFrame(reader: ByteReader): FramedRecord {
  const flags = reader.u8();
  const timestamp = reader.i64Number();
  const partition = (flags & PARTITION) === 0 ? undefined : reader.varint();
  const key = (flags & KEY) === 0 ? null : reader.sized();
  const value = (flags & VALUE) === 0 ? null : reader.sized();
  if ((flags & HEADERS) === 0) return { key, value, timestamp, headers: NO_HEADERS, partition };
  const headers: Header[] = [];
  const count = reader.varint();
  for (let index = 0; index < count; index++) {
    const name = reader.text();
    headers.push({ key: name, value: reader.u8() === 0 ? null : reader.sized() });
  }
  return { key, value, timestamp, headers, partition };
}
