/** Compression of record batches: all of Kafka's codecs are read, and what `node:zlib` has is written. What comes out is limited, so that no batch can fill the memory. */
import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { readLz4 } from "./lz4.ts";
import { readSnappy } from "./snappy.ts";

/** How batches are written. */
export type Compression = "none" | "gzip" | "zstd";

/** A way of writing batches, and its number in a batch's attributes. */
export interface Codec {
  readonly name: Compression;
  readonly id: number;
}

const CODECS: Readonly<Record<Compression, Codec>> = { none: { name: "none", id: 0 }, gzip: { name: "gzip", id: 1 }, zstd: { name: "zstd", id: 4 } };

/** The codec of a name. */
export function codecOf(name: Compression): Codec {
  return CODECS[name];
}

/** Decompressed, a batch may have this many bytes. */
const OUTPUT_BYTES_MAX = 128 << 20;

/** The bytes up to `from`, then the rest compressed. The same buffer where nothing is to be done. */
export function compress(codec: Codec, bytes: Buffer, from: number): Buffer {
  if (codec.name === "none") return bytes;
  const rest = bytes.subarray(from);
  const packed = codec.name === "gzip" ? gzipSync(rest, { level: constants.Z_BEST_SPEED }) : zstdCompressSync(rest);
  return Buffer.concat([bytes.subarray(0, from), packed]);
}

/** Undoes a codec by its number in a batch's attributes. Throws a RangeError on what is damaged, unknown or too large. */
export function decompress(id: number, bytes: Buffer): Buffer {
  try {
    if (id === 1) return gunzipSync(bytes, { maxOutputLength: OUTPUT_BYTES_MAX });
    if (id === 2) return readSnappy(bytes, OUTPUT_BYTES_MAX);
    if (id === 3) return readLz4(bytes, OUTPUT_BYTES_MAX);
    if (id === 4) return zstdDecompressSync(bytes, { maxOutputLength: OUTPUT_BYTES_MAX });
  } catch (cause) {
    throw new RangeError(`a compressed batch cannot be read: ${(cause as Error).message}`, { cause });
  }
  throw new RangeError(`a batch is compressed with the unknown codec ${id}`);
}
