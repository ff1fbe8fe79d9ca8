/**
 * The entries of a store in a file, for a savepoint:
 *
 *   file  := "IOTSAVE1" | entry* | end
 *   entry := key length u32 | value length u32 | key | value | crc32 u32 of all before it in the entry
 *   end   := ffffffff u32 | number of entries u32 | crc32 u32 of both
 *
 * Numbers are little-endian. Values stand as they do in the store, with the CRC they have there; the entry's own CRC covers those that have none.
 */
import { type FileHandle, open } from "node:fs/promises";
import { createHash, type Hash } from "node:crypto";
import { crc32 } from "node:zlib";
import { TopologyError } from "../model/index.ts";

const MAGIC = Buffer.from("IOTSAVE1");
const END_MARK = 0xffff_ffff;
const CHUNK_BYTES = 1 << 20;
/** Neither a key nor a value is larger: a length beyond it is damage. */
const LENGTH_MAX = 1 << 30;

/** What a written file holds. */
export interface EntryFileSummary {
  readonly entries: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** Writes entries to a new file. */
export class EntryFileWriter {
  readonly #file: FileHandle;
  readonly #hash: Hash = createHash("sha256");
  #parts: Buffer[] = [MAGIC];
  #waiting: number = MAGIC.length;
  #entries = 0;
  #bytes = 0;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  static async create(path: string): Promise<EntryFileWriter> {
    return new EntryFileWriter(await open(path, "wx", 0o600));
  }

  /** Key and value are used until the next call that is awaited; they are copied here. */
  async put(key: Uint8Array, value: Uint8Array): Promise<void> {
    const entry = Buffer.allocUnsafe(12 + key.length + value.length);
    entry.writeUInt32LE(key.length, 0);
    entry.writeUInt32LE(value.length, 4);
    entry.set(key, 8);
    entry.set(value, 8 + key.length);
    const end = 8 + key.length + value.length;
    entry.writeUInt32LE(crc32(entry.subarray(0, end)), end);
    this.#parts.push(entry);
    this.#waiting += entry.length;
    this.#entries++;
    if (this.#waiting >= CHUNK_BYTES) await this.#flush();
  }

  async #flush(): Promise<void> {
    const chunk = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#waiting = 0;
    this.#bytes += chunk.length;
    this.#hash.update(chunk);
    await this.#file.writeFile(chunk);
  }

  /** Writes the end, and waits until the disk has it all. */
  async finish(): Promise<EntryFileSummary> {
    const end = Buffer.alloc(12);
    end.writeUInt32LE(END_MARK, 0);
    end.writeUInt32LE(this.#entries, 4);
    end.writeUInt32LE(crc32(end.subarray(0, 8)), 8);
    this.#parts.push(end);
    await this.#flush();
    await this.#file.sync();
    await this.#file.close();
    return { entries: this.#entries, bytes: this.#bytes, sha256: this.#hash.digest("hex") };
  }

  /** Closes the file as it is, after an error. */
  async abandon(): Promise<void> {
    await this.#file.close().catch(() => {}); // What failed first says more.
  }
}

function damaged(path: string, message: string): TopologyError {
  return new TopologyError("SAVEPOINT_INVALID", message, { place: path, cure: "use another copy of the savepoint" });
}

/** Reads a file's bytes so many at a time, and hashes them on the way. */
class HashedReader {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #hash = createHash("sha256");
  #rest: Buffer = Buffer.alloc(0);

  constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
  }

  async take(count: number): Promise<Buffer> {
    while (this.#rest.length < count) {
      const { bytesRead, buffer } = await this.#file.read(Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, count - this.#rest.length)));
      if (bytesRead === 0) throw damaged(this.#path, "the file ends in the middle of an entry");
      const chunk = buffer.subarray(0, bytesRead);
      this.#hash.update(chunk);
      this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    }
    const taken = this.#rest.subarray(0, count);
    this.#rest = this.#rest.subarray(count);
    return taken;
  }

  /** The hash of the whole file, which must end here. */
  async end(): Promise<string> {
    const { bytesRead } = await this.#file.read(Buffer.alloc(1));
    if (this.#rest.length + bytesRead > 0) throw damaged(this.#path, "something stands behind the end of the file");
    return this.#hash.digest("hex");
  }
}

/** The entries of a file, in order. Throws SAVEPOINT_INVALID where it is not what was written; the hash is compared at the end. */
export async function* readEntryFile(path: string, expected: EntryFileSummary): AsyncGenerator<readonly [Buffer, Buffer], void, undefined> {
  const file = await open(path, "r");
  try {
    const reader = new HashedReader(path, file);
    if (!(await reader.take(MAGIC.length)).equals(MAGIC)) throw damaged(path, "this is no file of a savepoint");
    let count = 0;
    for (;;) {
      const head = Buffer.from(await reader.take(8));
      const [keyLength, valueLength] = [head.readUInt32LE(0), head.readUInt32LE(4)];
      if (keyLength === END_MARK) {
        const crc = (await reader.take(4)).readUInt32LE(0);
        if (crc !== crc32(head) || valueLength !== count) throw damaged(path, `the file tells of ${valueLength} entries at its end and holds ${count}`);
        break;
      }
      if (keyLength > LENGTH_MAX || valueLength > LENGTH_MAX) throw damaged(path, `entry ${count + 1} is damaged`);
      const rest = await reader.take(keyLength + valueLength + 4);
      const body = rest.subarray(0, keyLength + valueLength);
      if (crc32(body, crc32(head)) !== rest.readUInt32LE(keyLength + valueLength)) throw damaged(path, `entry ${count + 1} does not match its checksum`);
      count++;
      yield [body.subarray(0, keyLength), body.subarray(keyLength)];
    }
    if (count !== expected.entries || (await reader.end()) !== expected.sha256) throw damaged(path, "the file is not the one that the savepoint's manifest names");
  } finally {
    await file.close();
  }
}
