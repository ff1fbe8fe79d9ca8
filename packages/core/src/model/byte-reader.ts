/** Reads what {@link ByteWriter} wrote. Reading past the end throws a RangeError. */
export class ByteReader {
  readonly buffer: Buffer;
  position: number;
  readonly end: number;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, position = 0, end: number = bytes.length) {
    this.buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = position;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.position;
  }
  #advance(bytes: number): number {
    const at = this.position;
    if (at + bytes > this.end) throw new RangeError(`read of ${bytes} bytes at ${at} passes the end at ${this.end}`);
    this.position = at + bytes;
    return at;
  }
  u8(): number {
    return this.buffer[this.#advance(1)] as number;
  }
  u16(): number {
    return this.#view.getUint16(this.#advance(2), true);
  }
  u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }
  i32(): number {
    return this.#view.getInt32(this.#advance(4), true);
  }
  u64(): bigint {
    return this.#view.getBigUint64(this.#advance(8), true);
  }
  i64(): bigint {
    return this.#view.getBigInt64(this.#advance(8), true);
  }
  i64Number(): number {
    const at = this.#advance(8);
    return this.#view.getInt32(at + 4, true) * 4_294_967_296 + this.#view.getUint32(at, true);
  }
  f32(): number {
    return this.#view.getFloat32(this.#advance(4), true);
  }
  f64(): number {
    return this.#view.getFloat64(this.#advance(8), true);
  }
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 8; count++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
    throw new RangeError(`varint longer than 8 bytes at ${this.position}`);
  }
  /** A view of the next bytes, not a copy. */
  bytes(length: number): Buffer {
    const at = this.#advance(length);
    return this.buffer.subarray(at, at + length);
  }
  sized(): Buffer {
    return this.bytes(this.varint());
  }
  text(): string {
    const length = this.varint();
    const at = this.#advance(length);
    return this.buffer.utf8Slice(at, at + length);
  }
}
