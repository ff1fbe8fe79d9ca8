/**
 * LZ4's frame format, as Kafka's clients write it. Little-endian; the checksums of LZ4 are not looked at, since the batch has its own.
 *
 *   frame := 0x184d2204 u32 | flags u8 | block size code u8 | [content size u64] | [dictionary id u32] | header checksum u8 | block* | 0 u32 | [checksum u32]
 *   block := size u32 (top bit: stored as it is) | bytes | [checksum u32]
 */
import { copyBack } from "./snappy.ts";

const MAGIC = 0x184d2204;
const FLAG_DICTIONARY = 1;
const FLAG_CONTENT_SIZE = 8;
const FLAG_BLOCK_CHECKSUM = 16;

/** Decompresses. Throws a RangeError on damage and above the limit. */
export function readLz4(bytes: Buffer, outputBytesMax: number): Buffer {
  if (bytes.length < 7 || bytes.readUInt32LE(0) !== MAGIC) throw new RangeError("no LZ4 frame");
  const flags = bytes[4] as number;
  const blockBytesMax = 1 << (8 + 2 * (((bytes[5] as number) >>> 4) & 7));
  let at = 7 + ((flags & FLAG_CONTENT_SIZE) === 0 ? 0 : 8) + ((flags & FLAG_DICTIONARY) === 0 ? 0 : 4);
  let output = Buffer.allocUnsafe(Math.min(outputBytesMax, Math.max(blockBytesMax, bytes.length * 4)));
  let end = 0;
  for (;;) {
    const head = bytes.readUInt32LE(at);
    at += 4;
    if (head === 0) return output.subarray(0, end);
    const size = head & 0x7fffffff;
    if (at + size > bytes.length) throw new RangeError("a block passes the end");
    if (end + blockBytesMax > output.length) {
      if (end >= outputBytesMax) throw new RangeError(`more bytes than the limit of ${outputBytesMax}`);
      const grown = Buffer.allocUnsafe(Math.min(outputBytesMax, Math.max(output.length * 2, end + blockBytesMax)));
      output.copy(grown, 0, 0, end);
      output = grown;
    }
    if (head > 0x7fffffff) {
      if (end + size > output.length) throw new RangeError(`more bytes than the limit of ${outputBytesMax}`);
      bytes.copy(output, end, at, at + size);
      end += size;
    } else {
      end = readBlock(bytes, at, at + size, output, end);
    }
    at += size + ((flags & FLAG_BLOCK_CHECKSUM) === 0 ? 0 : 4);
  }
}

/** `token u8 (literals << 4 | match - 4) | [more literals] | literals | offset u16 | [more match]`, the last without a match. */
function readBlock(bytes: Buffer, from: number, to: number, output: Buffer, outputEnd: number): number {
  let at = from;
  let end = outputEnd;
  const more = (length: number): number => {
    if (length !== 15) return length;
    let sum = length;
    for (;;) {
      const byte = bytes[at++];
      if (byte === undefined || at > to) throw new RangeError("a length passes the end");
      sum += byte;
      if (byte !== 255) return sum;
    }
  };
  while (at < to) {
    const token = bytes[at++] as number;
    const literals = more(token >>> 4);
    if (at + literals > to || end + literals > output.length) throw new RangeError("literals pass the end");
    bytes.copy(output, end, at, at + literals);
    at += literals;
    end += literals;
    if (at === to) return end;
    const offset = bytes.readUInt16LE(at);
    at += 2;
    end = copyBack(output, end, offset, more(token & 15) + 4);
  }
  return end;
}
