/** A place in a record's bytes. Reads throw a RangeError where the bytes end too early or are not what they should be. */
export class ByteCursor {
  #bytes: Buffer = Buffer.alloc(0);
  #view: DataView = new DataView(new ArrayBuffer(0));
  position = 0;

  /** Sets the cursor on other bytes. One cursor serves a task's records one after another. */
  reset(bytes: Buffer, position: number): void {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = position;
  }

  get remaining(): number {
    return this.#bytes.length - this.position;
  }

  /** Moves over so many bytes and tells where they began. */
  #take(count: number): number {
    const start = this.position;
    if (count > this.#bytes.length - start) throw new RangeError(`the bytes end ${count - (this.#bytes.length - start)} too early`);
    this.position = start + count;
    return start;
  }

  u8(): number {
    return this.#bytes[this.#take(1)] as number;
  }
  f32(): number {
    return this.#view.getFloat32(this.#take(4), true);
  }
  f64(): number {
    return this.#view.getFloat64(this.#take(8), true);
  }

  /** A zigzag varint of up to 64 bits: a number where it is safe, else a bigint. */
  long(): number | bigint {
    const start = this.position;
    let unsigned = 0;
    let unit = 1;
    // Seven groups of seven bits are 49 bits: exact in a double.
    for (let group = 0; group < 7; group++) {
      const byte = this.u8();
      unsigned += (byte & 0x7f) * unit;
      if (byte < 0x80) return unsigned % 2 === 0 ? unsigned / 2 : -(unsigned + 1) / 2;
      unit *= 128;
    }
    this.position = start;
    return this.#bigLong();
  }

  #bigLong(): number | bigint {
    let unsigned = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.u8();
      unsigned |= BigInt(byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      if (unsigned >> 64n !== 0n) break;
      const value = (unsigned >> 1n) ^ -(unsigned & 1n);
      const number = Number(value);
      return Number.isSafeInteger(number) ? number : value;
    }
    throw new RangeError("an integer is longer than 64 bits");
  }

  /** A zigzag varint that must be a size or a count. */
  size(): number {
    const size = this.long();
    if (typeof size === "bigint" || size < 0) throw new RangeError(`a size is ${size}`);
    return size;
  }

  /** A view of so many bytes. */
  bytes(count: number): Buffer {
    const start = this.#take(count);
    return this.#bytes.subarray(start, start + count);
  }

  skip(count: number): void {
    this.#take(count);
  }

  /** UTF-8 text of so many bytes. */
  text(count: number): string {
    const start = this.#take(count);
    const text = this.#bytes.utf8Slice(start, start + count);
    // Text that decodes to U+FFFD had it in the bytes, or was not valid; only then are the bytes compared.
    if (text.includes("\ufffd") && !Buffer.from(text, "utf8").equals(this.#bytes.subarray(start, start + count))) throw new RangeError("a text is not valid UTF-8");
    return text;
  }
}
