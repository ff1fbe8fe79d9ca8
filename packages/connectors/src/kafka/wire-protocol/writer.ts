/** Writes Kafka's primitive types (https://kafka.apache.org/protocol#protocol_types) for one request. */
export class ProtocolWriter {
  #buffer = Buffer.allocUnsafe(256);
  #length = 0;

  #room(byteCount: number): number {
    const start = this.#length;
    const end = start + byteCount;
    if (end > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(end, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, start);
      this.#buffer = larger;
    }
    this.#length = end;
    return start;
  }

  /** What was written so far. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  int8(value: number): this {
    const at = this.#room(1);
    this.#buffer.writeInt8(value, at);
    return this;
  }

  int16(value: number): this {
    const at = this.#room(2);
    this.#buffer.writeInt16BE(value, at);
    return this;
  }

  int32(value: number): this {
    const at = this.#room(4);
    this.#buffer.writeInt32BE(value, at);
    return this;
  }

  long(value: number): this {
    const at = this.#room(8);
    this.#buffer.writeBigInt64BE(BigInt(value), at);
    return this;
  }

  boolean(value: boolean): this {
    return this.int8(value ? 1 : 0);
  }

  #utf8(value: string, byteCount: number): this {
    const at = this.#room(byteCount);
    this.#buffer.write(value, at, byteCount, "utf8");
    return this;
  }

  /** STRING and NULLABLE_STRING. */
  string(value: string | null): this {
    if (value === null) return this.int16(-1);
    const byteCount = Buffer.byteLength(value);
    return this.int16(byteCount).#utf8(value, byteCount);
  }

  array<T>(values: readonly T[], element: (writer: this, value: T) => void): this {
    this.int32(values.length);
    for (const value of values) element(this, value);
    return this;
  }

  unsignedVarint(value: number): this {
    let left = value;
    for (; left >= 0x80; left = Math.floor(left / 128)) this.#byte((left % 128) + 128);
    return this.#byte(left);
  }

  #byte(value: number): this {
    const at = this.#room(1);
    this.#buffer.writeUInt8(value, at);
    return this;
  }

  compactString(value: string): this {
    const byteCount = Buffer.byteLength(value);
    return this.unsignedVarint(byteCount + 1).#utf8(value, byteCount);
  }

  compactArray<T>(values: readonly T[], element: (writer: this, value: T) => void): this {
    this.unsignedVarint(values.length + 1);
    for (const value of values) element(this, value);
    return this;
  }

  /** No tagged fields. */
  tags(): this {
    return this.#byte(0);
  }
}
