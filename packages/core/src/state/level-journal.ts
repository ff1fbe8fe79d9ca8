/**
 * LevelDB's log format, which its write-ahead log (`000123.log`) and its MANIFEST share, read with every check.
 *
 *   file     := block*                        blocks of 32,768 bytes, the last one shorter
 *   block    := fragment* trailer             the trailer is fewer than 7 bytes of zeros
 *   fragment := crc u32 | length u16 | type u8 | data
 *   crc      := masked CRC-32C of type and data; the length is not covered
 *   type     := 1 full | 2 first | 3 middle | 4 last
 *   record   := full | first middle* last
 *
 * Only the end of a file may be torn: a writer that died in mid-record. A record that is whole and wrong is damage, and so is a length
 * that was made to reach past the file's end, which LevelDB takes for a torn tail: then the CRC fits a shorter record at that place.
 */
import { openSync, closeSync, fstatSync, readSync } from "node:fs";
import { crc32c, unmaskedCrc32c } from "./crc32c.ts";

/** What a file is found to hold that it should not. `offset` is a position in the file. */
export interface FileDamage {
  readonly offset: number;
  readonly message: string;
}

/** The findings in one file of the log format. */
export interface JournalReport {
  readonly damage: readonly FileDamage[];
  /** Where a record without its end starts, when the file ends in one. */
  readonly tornAt: number | undefined;
  readonly bytes: number;
}

const BLOCK = 32_768;
const HEADER = 7;
const CHUNK = BLOCK * 32;
const DAMAGE_MAX = 20;
const [FULL, FIRST, MIDDLE, LAST] = [1, 2, 3, 4];

/** One logical record: where it starts and its first bytes (all of them for a MANIFEST, the batch header for a log). */
export type OnRecord = (offset: number, head: Buffer, length: number) => void;

/** Reads a file of the log format in chunks of 1 MiB. `headBytes` bounds what is kept of each record for the callback. */
export async function readJournal(path: string, headBytes: number, onRecord: OnRecord): Promise<JournalReport> {
  const fd = openSync(path, "r");
  try {
    const size = fstatSync(fd).size;
    const reader = new JournalReader(headBytes, onRecord);
    const chunk = Buffer.allocUnsafeSlow(CHUNK);
    for (let at = 0; at < size && !reader.ended; at += CHUNK) {
      const length = readFully(fd, chunk, Math.min(CHUNK, size - at), at);
      for (let block = 0; block < length && !reader.ended; block += BLOCK) {
        reader.block(chunk.subarray(block, Math.min(block + BLOCK, length)), at + block, at + Math.min(block + BLOCK, length) >= size);
      }
      await new Promise(setImmediate);
    }
    reader.end();
    return { damage: reader.damage, tornAt: reader.tornAt, bytes: size };
  } finally {
    closeSync(fd);
  }
}

/** Fills the buffer's first `length` bytes from the file; fewer only at its end. */
export function readFully(fd: number, into: Buffer, length: number, position: number): number {
  let done = 0;
  while (done < length) {
    const got = readSync(fd, into, done, length - done, position + done);
    if (got === 0) break;
    done += got;
  }
  return done;
}

class JournalReader {
  readonly damage: FileDamage[] = [];
  tornAt: number | undefined;
  ended = false;
  readonly #headBytes: number;
  readonly #onRecord: OnRecord;
  #started: number | undefined;
  #parts: Buffer[] = [];
  #kept = 0;
  #length = 0;

  constructor(headBytes: number, onRecord: OnRecord) {
    this.#headBytes = headBytes;
    this.#onRecord = onRecord;
  }

  block(block: Buffer, blockOffset: number, isLast: boolean): void {
    let at = 0;
    while (block.length - at >= HEADER) {
      const offset = blockOffset + at;
      const length = block.readUInt16LE(at + 4);
      const type = block[at + 6] as number;
      const end = at + HEADER + length;
      if (type === 0 && length === 0) return this.#zeros(block, at, offset, isLast);
      if (end > block.length) return this.#pastEnd(block, at, offset, isLast, at + HEADER + length);
      if (crc32c(block, at + 6, end) !== unmaskedCrc32c(block.readUInt32LE(at))) return this.#bad(offset, "a record's checksum is wrong");
      this.#fragment(type, offset, block.subarray(at + HEADER, end));
      at = end;
    }
    if (isLast && block.length < BLOCK && at < block.length) this.#torn(blockOffset + at);
  }

  /** The file's end: a record that was begun and has no end is a torn one. */
  end(): void {
    if (!this.ended && this.#started !== undefined) this.#torn(this.#started);
  }

  /** A zeroed rest is what some file systems leave behind a power cut. Zeros with something behind them are damage. */
  #zeros(block: Buffer, at: number, offset: number, isLast: boolean): void {
    for (let index = at; index < block.length; index++) if (block[index] !== 0) return this.#bad(offset, "a record's header is zero");
    if (isLast) this.#torn(this.#started ?? offset);
    else this.#bad(offset, "a stretch of zeros stands in the middle");
  }

  #pastEnd(block: Buffer, at: number, offset: number, isLast: boolean, end: number): void {
    const type = block[at + 6] as number;
    if (!isLast || block.length === BLOCK || end > BLOCK || type > LAST || type === 0) return this.#bad(offset, "a record's length is wrong");
    const wanted = unmaskedCrc32c(block.readUInt32LE(at));
    let crc = crc32c(block, at + 6, at + HEADER);
    for (let next = at + HEADER; ; next++) {
      if (crc === wanted) return this.#bad(offset, "a record's length is wrong");
      if (next === block.length) break;
      crc = crc32c(block, next, next + 1, crc);
    }
    this.#torn(this.#started ?? offset);
  }

  #fragment(type: number, offset: number, data: Buffer): void {
    if (type === FULL || type === FIRST) {
      if (this.#started !== undefined) this.#note(this.#started, "a record has no end");
      this.#started = offset;
      this.#parts = [];
      this.#kept = 0;
      this.#length = 0;
    } else if (type !== MIDDLE && type !== LAST) {
      this.#note(offset, "a record's type is unknown");
    } else if (this.#started === undefined) {
      this.#note(offset, "a record has no start");
      return;
    }
    if (this.#kept < this.#headBytes && data.length > 0) {
      const part = Buffer.from(data.subarray(0, this.#headBytes - this.#kept));
      this.#parts.push(part);
      this.#kept += part.length;
    }
    this.#length += data.length;
    if (type !== FULL && type !== LAST) return;
    const started = this.#started as number;
    this.#started = undefined;
    this.#onRecord(started, this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts), this.#length);
  }

  #torn(offset: number): void {
    this.tornAt = offset;
    this.ended = true;
  }

  /** Damage after which the rest of the block cannot be trusted. */
  #bad(offset: number, message: string): void {
    this.#note(offset, message);
    this.#started = undefined;
  }

  #note(offset: number, message: string): void {
    this.damage.push({ offset, message });
    if (this.damage.length >= DAMAGE_MAX) this.ended = true;
  }
}
