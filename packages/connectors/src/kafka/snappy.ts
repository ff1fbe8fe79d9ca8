/**
 * Snappy, as Kafka's clients write it: raw, or in the blocks of Java's stream.
 *
 *   stream  := 82 'SNAPPY' 00 | version i32 | compatible version i32 | (length i32 | raw)*      big-endian
 *   raw     := length varint | element*
 *   element := tag u8 (low two bits: 0 literal, 1-3 copy of 1, 2 or 4 offset bytes) | ...        little-endian
 */
const STREAM_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const STREAM_HEADER_BYTES = 16;

/** Decompresses. Throws a RangeError on damage and above the limit. */
export function readSnappy(bytes: Buffer, outputBytesMax: number): Buffer {
  if (bytes.length < STREAM_HEADER_BYTES || !bytes.subarray(0, 8).equals(STREAM_MAGIC)) return readRaw(bytes, outputBytesMax);
  const parts: Buffer[] = [];
  let left = outputBytesMax;
  for (let at = STREAM_HEADER_BYTES; at < bytes.length; ) {
    const length = bytes.readInt32BE(at);
    at += 4;
    if (length < 0 || at + length > bytes.length) throw new RangeError("a block passes the end");
    const part = readRaw(bytes.subarray(at, at + length), left);
    parts.push(part);
    left -= part.length;
    at += length;
  }
  return Buffer.concat(parts);
}

function littleEndian(bytes: Buffer, at: number, count: number): number {
  if (at + count > bytes.length) throw new RangeError("an element passes the end");
  return bytes.readUIntLE(at, count);
}

function readRaw(bytes: Buffer, outputBytesMax: number): Buffer {
  let size = 0;
  let at = 0;
  for (let scale = 1; ; scale *= 0x80) {
    const byte = bytes[at++];
    if (byte === undefined || scale > 2 ** 28) throw new RangeError("the length is torn");
    size += (byte & 0x7f) * scale;
    if (byte < 0x80) break;
  }
  if (size > outputBytesMax) throw new RangeError(`${size} bytes are more than the limit of ${outputBytesMax}`);
  const output = Buffer.allocUnsafe(size);
  let end = 0;
  while (at < bytes.length) {
    const tag = bytes[at++] as number;
    const kind = tag & 3;
    if (kind === 0) {
      let length = tag >>> 2;
      if (length >= 60) {
        const count = length - 59;
        length = littleEndian(bytes, at, count);
        at += count;
      }
      length++;
      if (at + length > bytes.length || end + length > size) throw new RangeError("a literal passes the end");
      bytes.copy(output, end, at, at + length);
      at += length;
      end += length;
      continue;
    }
    const length = kind === 1 ? ((tag >>> 2) & 7) + 4 : (tag >>> 2) + 1;
    const count = kind === 1 ? 1 : kind === 2 ? 2 : 4;
    const offset = littleEndian(bytes, at, count) + (kind === 1 ? (tag >>> 5) * 256 : 0);
    at += count;
    end = copyBack(output, end, offset, length);
  }
  if (end !== size) throw new RangeError(`${end} bytes where ${size} were announced`);
  return output;
}

/** Repeats `length` bytes from `offset` before the end; they may overlap what they make. */
export function copyBack(output: Buffer, end: number, offset: number, length: number): number {
  if (offset === 0 || offset > end || end + length > output.length) throw new RangeError("a copy passes the bounds");
  if (offset >= length) {
    output.copyWithin(end, end - offset, end - offset + length);
    return end + length;
  }
  for (let left = length; left > 0; left--, end++) output[end] = output[end - offset] as number;
  return end;
}
