import { ByteReader } from "./byte-reader.ts";
import { readFrame } from "./frame.ts";
import type { Header } from "./record.ts";

const KEY = 1;
const VALUE = 2;
const HEADERS = 4;
const PARTITION = 8;
const NO_HEADERS: readonly Header[] = Object.freeze([]);

/**
 * Walks over frames (frame.ts) without an object a frame: the fields hold the places of the frame last read. A place that is
 * absent is -1. Throws a RangeError on torn bytes.
 */
export class FrameCursor {
  readonly bytes: Buffer;
  at: number;
  start = 0;
  timestamp = 0;
  partition = -1;
  keyStart = -1;
  keyEnd = -1;
  valueStart = -1;
  valueEnd = -1;
  headersAt = -1;
  readonly #view: DataView;

  constructor(bytes: Buffer, at: number) {
    this.bytes = bytes;
    this.at = at;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get done(): boolean {
    return this.at >= this.bytes.length;
  }

  next(): void {
    const start = this.at;
    this.start = start;
    const flags = this.bytes[start] as number;
    // Past the end, the view throws a RangeError by itself.
    this.timestamp = this.timestampAt(start);
    this.at = start + 9;
    this.partition = (flags & PARTITION) === 0 ? -1 : this.#varint();
    this.keyStart = -1;
    this.valueStart = -1;
    this.headersAt = -1;
    if ((flags & KEY) !== 0) {
      const length = this.#varint();
      this.keyStart = this.at;
      this.keyEnd = this.at += length;
    }
    if ((flags & VALUE) !== 0) {
      const length = this.#varint();
      this.valueStart = this.at;
      this.valueEnd = this.at += length;
    }
    if ((flags & HEADERS) !== 0) this.#skipHeaders();
    if (this.at > this.bytes.length) throw new RangeError(`a frame at ${start} passes the end at ${this.bytes.length}`);
  }

  /** The timestamp of the frame at a place. */
  timestampAt(start: number): number {
    return this.#view.getInt32(start + 5, true) * 4_294_967_296 + this.#view.getUint32(start + 1, true);
  }

  /** The headers of the frame last read. */
  headers(): readonly Header[] {
    return this.headersAt < 0 ? NO_HEADERS : readFrame(new ByteReader(this.bytes, this.start)).headers;
  }

  #skipHeaders(): void {
    this.headersAt = this.at;
    const count = this.#varint();
    for (let index = 0; index < count; index++) {
      this.#skipSized();
      const present = this.bytes[this.at++];
      if (present !== 0) this.#skipSized();
      if (this.at > this.bytes.length) throw new RangeError(`a frame's headers pass the end at ${this.bytes.length}`);
    }
  }

  #skipSized(): void {
    // The length first: `this.at += this.#varint()` would read `at` before the length has moved it.
    const length = this.#varint();
    this.at += length;
  }

  #varint(): number {
    const first = this.bytes[this.at] as number;
    if (first < 0x80) {
      this.at++;
      return first;
    }
    let value = 0;
    for (let scale = 1; scale <= 2 ** 49; scale *= 0x80) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw new RangeError("a frame's length passes the end");
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw new RangeError("a frame's length is too long");
  }
}
