const VIEWED_BYTES = 1_024;
const VIEWS_MAX = 4_096;
const SHORT_TEXT = 24;
const ASCII_TEXT = 48;
const SIZE_BYTES = 2;
const SIZED_MAX = 0x80 ** SIZE_BYTES;

/**
 * A growing byte buffer for encoders. Integers are little-endian, as RowBinary wants them.
 * `Buffer`'s own write methods check ranges and cost 2-3 times a DataView store, so numbers go through one DataView.
 */
export class ByteWriter {
  buffer: Buffer;
  position = 0;
  #view: DataView;
  readonly #views = new Map<number, Buffer>();

  constructor(capacityBytes: number = 1 << 16) {
    this.buffer = Buffer.allocUnsafeSlow(capacityBytes);
    this.#view = new DataView(this.buffer.buffer, this.buffer.byteOffset, this.buffer.byteLength);
  }

  /** Makes room for `bytes` more and leaves the position where it is. */
  ensure(bytes: number): void {
    const wanted = this.position + bytes;
    if (wanted <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(wanted, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.position);
    this.buffer = grown;
    this.#views.clear();
    this.#view = new DataView(grown.buffer, grown.byteOffset, grown.byteLength);
  }

  u8(value: number): void {
    this.ensure(1);
    this.buffer[this.position++] = value;
  }
  i8(value: number): void {
    this.u8(value & 0xff);
  }
  u16(value: number): void {
    this.ensure(2);
    this.#view.setUint16(this.position, value, true);
    this.position += 2;
  }
  i16(value: number): void {
    this.u16(value & 0xffff);
  }
  u32(value: number): void {
    this.ensure(4);
    this.#view.setUint32(this.position, value, true);
    this.position += 4;
  }
  i32(value: number): void {
    this.ensure(4);
    this.#view.setInt32(this.position, value, true);
    this.position += 4;
  }
  u64(value: bigint): void {
    this.ensure(8);
    this.#view.setBigUint64(this.position, value, true);
    this.position += 8;
  }
  i64(value: bigint): void {
    this.ensure(8);
    this.#view.setBigInt64(this.position, value, true);
    this.position += 8;
  }
  /** A safe integer as a 64-bit two's complement, without making a bigint. */
  i64Number(value: number): void {
    this.ensure(8);
    this.#view.setUint32(this.position, value >>> 0, true);
    this.#view.setInt32(this.position + 4, Math.floor(value / 4_294_967_296), true);
    this.position += 8;
  }
  f32(value: number): void {
    this.ensure(4);
    this.#view.setFloat32(this.position, value, true);
    this.position += 4;
  }
  f64(value: number): void {
    this.ensure(8);
    this.#view.setFloat64(this.position, value, true);
    this.position += 8;
  }
  /** Unsigned LEB128 of a safe integer. */
  varint(value: number): void {
    this.ensure(10);
    let rest = value;
    while (rest >= 0x80) {
      this.buffer[this.position++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.buffer[this.position++] = rest;
  }
  bytes(value: Uint8Array): void {
    this.ensure(value.length);
    this.buffer.set(value, this.position);
    this.position += value.length;
  }
  /** UTF-8 text behind its length in bytes as a varint: RowBinary's String. */
  text(value: string): void {
    const length = value.length;
    if (length < 42) {
      // 3 bytes a UTF-16 unit at most, so one length byte is enough: written behind the text's guess, without a byteLength pass.
      this.ensure(length * 3 + 1);
      const start = this.position++;
      this.utf8(value);
      this.buffer[start] = this.position - start - 1;
      return;
    }
    const size = Buffer.byteLength(value);
    this.varint(size);
    this.ensure(size);
    this.position += this.buffer.utf8Write(value, this.position);
  }
  /** The same for short text that is all ASCII; false for any other, of which nothing is written. */
  asciiText(value: string): boolean {
    const { length } = value;
    if (length > ASCII_TEXT) return false;
    this.ensure(length + 1);
    const { buffer, position } = this;
    for (let at = 0; at < length; at++) {
      const code = value.charCodeAt(at);
      if (code >= 0x80) return false;
      buffer[position + 1 + at] = code;
    }
    buffer[position] = length;
    this.position = position + length + 1;
    return true;
  }
  /** UTF-8 text without a length. */
  utf8(value: string): void {
    const length = value.length;
    this.ensure(length * 3);
    const { buffer } = this;
    const start = this.position;
    // A call of utf8Write takes 60 ns: short text is copied here for as long as it is ASCII.
    if (length <= SHORT_TEXT) {
      let at = 0;
      for (; at < length; at++) {
        const code = value.charCodeAt(at);
        if (code >= 0x80) break;
        buffer[start + at] = code;
      }
      if (at === length) {
        this.position = start + length;
        return;
      }
    }
    this.position = start + buffer.utf8Write(value, start);
  }
  /** A whole number from 0 to 2^53 - 1 in decimal digits. */
  digits(value: number): void {
    let width = 1;
    for (let limit = 10; value >= limit; limit *= 10) width++;
    this.padded(value, width);
  }
  /** A whole number from 0 to 10^width - 1 in so many decimal digits. */
  padded(value: number, width: number): void {
    this.ensure(width);
    let rest = value;
    for (let at = this.position + width - 1; at >= this.position; at--) {
      const tenth = Math.floor(rest / 10);
      this.buffer[at] = rest - tenth * 10 + 48;
      rest = tenth;
    }
    this.position += width;
  }
  /**
   * Begins something that will stand behind its length as a varint, and tells where; `endSized` with that place ends it. What is written in between is not copied
   * unless it is longer than 16,383 bytes; the varint takes two bytes also where one would do.
   */
  beginSized(): number {
    this.ensure(SIZE_BYTES);
    const at = this.position;
    this.position += SIZE_BYTES;
    return at;
  }
  /** Ends what `beginSized` began at the place. */
  endSized(at: number): void {
    const start = at + SIZE_BYTES;
    const length = this.position - start;
    if (length < SIZED_MAX) {
      this.buffer[at] = (length & 0x7f) | 0x80;
      this.buffer[at + 1] = length >>> 7;
      return;
    }
    // Three bytes for a length up to 2 MiB, more for a longer one: what was written moves on by the rest.
    let more = 0;
    for (let rest = length; rest >= SIZED_MAX; rest = Math.floor(rest / 0x80)) more++;
    this.ensure(more);
    this.buffer.copyWithin(start + more, start, start + length);
    this.position = at;
    this.varint(length);
    this.position += length;
  }
  /** Bytes behind their length as a varint. */
  sized(value: Uint8Array): void {
    this.varint(value.length);
    this.bytes(value);
  }
  /**
   * A view of the bytes from `start` to `end`, for whoever copies them at once: it is the same object each time, because making one takes 100 ns.
   */
  view(start: number, end: number): Buffer {
    if (end > VIEWED_BYTES) return this.buffer.subarray(start, end);
    const name = start * VIEWED_BYTES + end;
    let view = this.#views.get(name);
    if (view !== undefined) return view;
    view = this.buffer.subarray(start, end);
    if (this.#views.size < VIEWS_MAX) this.#views.set(name, view);
    return view;
  }
  /** A copy of what was written, and an empty writer. */
  take(): Buffer {
    const out = Buffer.allocUnsafeSlow(this.position);
    this.buffer.copy(out, 0, 0, this.position);
    this.position = 0;
    return out;
  }
  reset(): void {
    this.position = 0;
  }
}
