/**
 * LevelDB's table files (`000123.ldb`), checked block by block without LevelDB.
 *
 *   file   := data block* | filter block | metaindex block | index block | footer     without gaps
 *   block  := contents | compression u8 (0 none) | masked CRC-32C of both u32
 *   footer := metaindex handle | index handle | zeros up to 40 bytes | magic u64      48 bytes
 *   handle := offset varint | size varint                                             size without the 5 bytes of trailer
 *
 * An index or metaindex block maps keys to handles:
 *
 *   contents := entry* | restart u32* | restart count u32
 *   entry    := shared varint | unshared varint | value length varint | key bytes | value
 */
import { closeSync, fstatSync, openSync } from "node:fs";
import { crc32c, unmaskedCrc32c } from "./crc32c.ts";
import { readFully } from "./level-journal.ts";
import type { FileDamage } from "./level-journal.ts";

interface Handle {
  readonly offset: number;
  readonly size: number;
}

const FOOTER = 48;
const TRAILER = 5;
const MAGIC = Buffer.from([0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb]);
const CHUNK = 4 << 20;

/** A number in LEB128 at a position; throws a RangeError past the end or past 2^53. */
export function readVarint(bytes: Buffer, at: { position: number }): number {
  let value = 0;
  for (let scale = 1; scale <= 2 ** 49; scale *= 128) {
    const byte = bytes[at.position];
    if (byte === undefined) throw new RangeError("a number passes the end");
    at.position++;
    value += (byte & 127) * scale;
    if (byte < 128) return value;
  }
  throw new RangeError("a number is too long");
}

function readHandle(bytes: Buffer, at: { position: number }): Handle {
  const offset = readVarint(bytes, at);
  return { offset, size: readVarint(bytes, at) };
}

/** The handles that an index or metaindex block maps its keys to. */
function handlesOf(contents: Buffer): Handle[] {
  const restarts = contents.readUInt32LE(contents.length - 4);
  const end = contents.length - 4 - restarts * 4;
  const at = { position: 0 };
  const handles: Handle[] = [];
  while (at.position < end) {
    readVarint(contents, at);
    const unshared = readVarint(contents, at);
    const length = readVarint(contents, at);
    at.position += unshared;
    const value = contents.subarray(at.position, at.position + length);
    at.position += length;
    handles.push(readHandle(value, { position: 0 }));
  }
  return handles;
}

/** The first damage in a table file, or undefined. Reads it in chunks of 4 MiB (more where one block is larger). */
export async function checkTable(path: string, expectedBytes: number): Promise<FileDamage | undefined> {
  const fd = openSync(path, "r");
  try {
    const size = fstatSync(fd).size;
    if (size !== expectedBytes) return { offset: Math.min(size, expectedBytes), message: `a table file has ${size} bytes instead of ${expectedBytes}` };
    return await checkBlocks(fd, size);
  } catch (error) {
    if (error instanceof RangeError) return { offset: 0, message: `a table file's index cannot be read: ${error.message}` };
    throw error;
  } finally {
    closeSync(fd);
  }
}

async function checkBlocks(fd: number, size: number): Promise<FileDamage | undefined> {
  if (size < FOOTER) return { offset: 0, message: "a table file is too short" };
  const end = size - FOOTER;
  const footer = Buffer.alloc(FOOTER);
  readFully(fd, footer, FOOTER, end);
  if (!footer.subarray(40).equals(MAGIC)) return { offset: end + 40, message: "a table file's last bytes are wrong" };
  const at = { position: 0 };
  const metaindex = readHandle(footer, at);
  const index = readHandle(footer, at);
  const blocks: Handle[] = [];
  for (const handle of [index, metaindex]) {
    if (handle.offset + handle.size + TRAILER > end) return { offset: end, message: "a table file's footer is wrong" };
    const block = Buffer.allocUnsafe(handle.size + TRAILER);
    readFully(fd, block, block.length, handle.offset);
    const damage = checkBlock(block, 0, block.length, handle.offset);
    if (damage !== undefined) return damage;
    if (block[handle.size] !== 0) return { offset: handle.offset, message: "a table file's index is compressed, which this library never writes" };
    blocks.push(...handlesOf(block.subarray(0, handle.size)));
  }
  blocks.push(metaindex, index);
  blocks.sort((a, b) => a.offset - b.offset);
  return checkRuns(fd, blocks, end);
}

/** Checks that the blocks cover the file without gaps, and each block's CRC. */
async function checkRuns(fd: number, blocks: readonly Handle[], end: number): Promise<FileDamage | undefined> {
  let expected = 0;
  for (const block of blocks) {
    if (block.offset !== expected) return { offset: expected, message: "a table file's blocks do not follow one another" };
    expected += block.size + TRAILER;
  }
  if (expected !== end) return { offset: expected, message: "a table file's blocks do not reach its end" };
  let buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK, end));
  for (let first = 0; first < blocks.length; ) {
    const start = (blocks[first] as Handle).offset;
    let last = first;
    const endOf = (handle: Handle): number => handle.offset + handle.size + TRAILER;
    while (last + 1 < blocks.length && endOf(blocks[last + 1] as Handle) - start <= CHUNK) last++;
    const length = endOf(blocks[last] as Handle) - start;
    if (length > buffer.length) buffer = Buffer.allocUnsafeSlow(length);
    readFully(fd, buffer, length, start);
    for (; first <= last; first++) {
      const block = blocks[first] as Handle;
      const damage = checkBlock(buffer, block.offset - start, block.offset - start + block.size + TRAILER, block.offset);
      if (damage !== undefined) return damage;
    }
    await new Promise(setImmediate);
  }
  return undefined;
}

function checkBlock(bytes: Buffer, start: number, end: number, offset: number): FileDamage | undefined {
  if (crc32c(bytes, start, end - 4) === unmaskedCrc32c(bytes.readUInt32LE(end - 4))) return undefined;
  return { offset, message: `a table block of ${end - start} bytes has a wrong checksum` };
}
