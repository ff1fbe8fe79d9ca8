/** Reads Kafka's primitive types (https://kafka.apache.org/protocol#protocol_types) from one answer. Bytes come as views of the answer, not as copies. */
export class ProtocolReader {
  readonly #buffer: Buffer;
  #position = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  #skip(byteCount: number): number {
    const start = this.#position;
    if (byteCount < 0 || start + byteCount > this.#buffer.length) throw new RangeError(`the answer ends at byte ${this.#buffer.length}, ${byteCount} were due at ${start}`);
    this.#position = start + byteCount;
    return start;
  }

  int16(): number {
    return this.#buffer.readInt16BE(this.#skip(2));
  }

  int32(): number {
    return this.#buffer.readInt32BE(this.#skip(4));
  }

  int64(): bigint {
    return this.#buffer.readBigInt64BE(this.#skip(8));
  }

  /** An offset or a timestamp: far below 2^53. */
  long(): number {
    return Number(this.int64());
  }

  #utf8(byteCount: number): string {
    const start = this.#skip(byteCount);
    return this.#buffer.toString("utf8", start, start + byteCount);
  }

  /** STRING and NULLABLE_STRING. */
  string(): string | null {
    const length = this.int16();
    return length < 0 ? null : this.#utf8(length);
  }

  /** NULLABLE_BYTES and RECORDS; null comes as no bytes. */
  bytes(): Buffer {
    const length = Math.max(this.int32(), 0);
    const start = this.#skip(length);
    return this.#buffer.subarray(start, start + length);
  }

  /** A nullable ARRAY; null comes as no elements. */
  array<T>(element: (reader: this) => T): T[] {
    return this.#elements(this.int32(), element);
  }

  unsignedVarint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#buffer[this.#skip(1)] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new RangeError("a varint of more than five bytes");
  }

  compactString(): string | null {
    const length = this.unsignedVarint();
    return length === 0 ? null : this.#utf8(length - 1);
  }

  compactArray<T>(element: (reader: this) => T): T[] {
    return this.#elements(this.unsignedVarint() - 1, element);
  }

  #elements<T>(count: number, element: (reader: this) => T): T[] {
    const elements: T[] = [];
    for (let at = 0; at < count; at += 1) elements.push(element(this));
    return elements;
  }

  /** Passes over a section of tagged fields. */
  tags(): void {
    for (let left = this.unsignedVarint(); left > 0; left -= 1) {
      this.unsignedVarint();
      this.#skip(this.unsignedVarint());
    }
  }
}
