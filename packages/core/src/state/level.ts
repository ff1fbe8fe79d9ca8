/**
 * LevelDB behind the few calls the engine and the embedded log need; the only file that imports `classic-level`.
 *
 * LevelDB as it comes serves a flipped bit as a value and drops a damaged batch without a word, so a folder's files are checked
 * before LevelDB opens them (level-verify.ts), and what is stored carries a CRC of its own:
 *
 *   stored value := payload | crc32 of (key, payload) u32 little-endian
 */
import { mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { access, mkdir, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ClassicLevel } from "classic-level";
import { TopologyError } from "../model/index.ts";
import type { ErrorCode } from "../model/index.ts";
import { type AsideFile, DiskAsideFile } from "./aside-file.ts";
import { verifyLevelFolder } from "./level-verify.ts";

/** How {@link openLevel} opens a folder. */
export interface LevelOptions {
  /** Cache of uncompressed blocks; 64 MiB when absent. */
  readonly cacheBytes?: number;
  /** Writes are gathered up to here before they are sorted into a table; 64 MiB when absent (4 MiB cost stalls of 1.9 s under our load). */
  readonly writeBufferBytes?: number;
  /** Size of a table file; 16 MiB when absent. */
  readonly maxFileBytes?: number;
  /** Tables that are open, and mapped into memory, at a time; 990 when absent, 64 at least. Few are enough where a folder is read in order. */
  readonly openTablesMax?: number;
  /** Whether all files are checked before the folder is opened; true when absent. */
  readonly verify?: boolean;
  /** Whether the folder is made when it does not exist; true when absent. */
  readonly createIfMissing?: boolean;
}

/** A range of keys in byte order. */
export interface LevelRange {
  readonly gt?: Uint8Array;
  readonly gte?: Uint8Array;
  readonly lt?: Uint8Array;
  readonly lte?: Uint8Array;
}

/** A range to iterate: `reverse` starts at its end, `limit` bounds the number of entries. */
export interface LevelScan extends LevelRange {
  readonly reverse?: boolean;
  readonly limit?: number;
  /** The bytes that are read at a time, which the last entry may pass; 1 MiB when absent. Fewer where big entries are read and not all of them are wanted. */
  readonly readBytes?: number;
}

/** Writes that become visible and durable together. Keys and values are copied when they are added. */
export interface LevelBatch {
  readonly count: number;
  readonly bytes: number;
  put(key: Uint8Array, value: Uint8Array): void;
  del(key: Uint8Array): void;
}

/** An open LevelDB folder. Values are raw bytes: see {@link sealedValue}. */
export interface Level {
  readonly dir: string;
  /** The stored bytes, or undefined. Blocks for about 4 us (a hit) or 1-3 us (a miss). */
  getSync(key: Uint8Array): Buffer | undefined;
  newBatch(): LevelBatch;
  /**
   * Writes all or none. With `sync`, resolves only when the bytes are on the disk. After a failed write every later one fails in the same way, because
   * LevelDB's log would go on behind a torn record: close the folder and open it again. A failed batch may be found written then.
   */
  write(batch: LevelBatch, options: { readonly sync: boolean }): Promise<void>;
  /** Entries in key order, read a thousand at a time from one snapshot. */
  entries(range: LevelScan): AsyncIterable<[Buffer, Buffer]>;
  /** Keys in order. */
  keys(range: LevelScan): AsyncIterable<Buffer>;
  clearRange(range: LevelRange): Promise<void>;
  /** Merges the tables of a range of keys, so that what was deleted gives its space back. */
  compact(from: Uint8Array, to: Uint8Array): Promise<void>;
  /** A file in the same folder, of which LevelDB knows nothing; it is made at its first write. */
  readonly aside: AsideFile;
  /** Waits for what is under way, then lets the folder go. A second call does nothing. */
  close(): Promise<void>;
}

const MIB = 1 << 20;
const SCAN_ENTRIES = 1_000;
/** LevelDB takes so many of its open files for its log, its manifest and the like. */
const LEVEL_OTHER_FILES = 10;
const OWNER_FILE = "owner.json";
const ASIDE_FILE = "aside.rows";
const openHere = new Set<string>();

type Db = ClassicLevel<Uint8Array, Uint8Array>;

/** Follows a chain of causes to the first message that says something of the file system. */
function messageOf(error: unknown): { code: string; text: string } {
  const parts: string[] = [];
  let code = "";
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    parts.push(at.message);
    const own = (at as { code?: unknown }).code;
    if (typeof own === "string") code = own;
  }
  return { code, text: parts.join(": ") };
}

/** Names what LevelDB or the file system said in the terms of the error table. */
function diskError(error: unknown, dir: string): TopologyError {
  if (error instanceof TopologyError) return error;
  const { code, text } = messageOf(error);
  const make = (errorCode: ErrorCode, message: string, cure: string): TopologyError =>
    new TopologyError(errorCode, message, { place: dir, cure, cause: error });
  if (code === "ENOSPC" || code === "EDQUOT" || /No space left|quota exceeded/i.test(text)) {
    return make("DISK_FULL", "the disk is full", "free space on this disk and start again: nothing committed is lost");
  }
  if (["EROFS", "EACCES", "EPERM", "ENOTDIR"].includes(code) || /Read-only file system|Permission denied|Not a directory|not permitted/i.test(text)) {
    return make("DISK_READ_ONLY", `the folder cannot be written: ${text}`, "give this user write access to the folder, or name another with --data");
  }
  if (code === "LEVEL_CORRUPTION" || /Corruption/.test(text)) {
    return make("STATE_CORRUPT", `LevelDB found damage: ${text}`, "move the folder away; state is rebuilt from the log at the next start");
  }
  if (/create_if_missing is false/.test(text)) {
    return make("FILE_NOT_FOUND", "the folder holds no data", "check the path");
  }
  return make("STATE_CORRUPT", `LevelDB failed: ${text}`, "see the cause; if it repeats, move the folder away");
}

function inUse(dir: string): TopologyError {
  let owner = "another process";
  try {
    const parsed: unknown = JSON.parse(readFileSync(join(dir, OWNER_FILE), "utf8"));
    const pid = (parsed as { pid?: unknown } | null)?.pid;
    if (typeof pid === "number") owner = pid === process.pid ? "this process" : `process ${pid}`;
  } catch {
    // The note is for the message only.
  }
  return new TopologyError("FOLDER_IN_USE", `${owner} has the folder open`, {
    place: dir,
    cure: "stop that process, or name another folder with --data",
  });
}

/**
 * Holds LevelDB's own lock of a folder without opening the folder (opening replays and then deletes its log): a throw-away
 * database whose LOCK is a link to the folder's. Only so can the files be checked while no other process changes them.
 */
async function underLock<T>(dir: string, work: () => Promise<T>): Promise<T> {
  const probe = mkdtempSync(join(tmpdir(), "iot-topology-lock-"));
  let db: Db | undefined;
  try {
    try {
      symlinkSync(join(dir, "LOCK"), join(probe, "LOCK"));
      db = new ClassicLevel(probe, { cacheSize: 0, writeBufferSize: 1 << 16 });
      await db.open();
    } catch (error) {
      if (messageOf(error).code === "LEVEL_LOCKED") throw inUse(dir);
      // No links here (Windows without the right), or the folder cannot be written: the opening that follows says so.
      db = undefined;
    }
    return await work();
  } finally {
    await db?.close();
    rmSync(probe, { recursive: true, force: true });
  }
}

async function checkFolder(dir: string): Promise<void> {
  const names = await readdir(dir);
  if (!names.some((name) => name === "CURRENT" || /^\d+\.(?:ldb|sst|log)$/.test(name))) return;
  const report = await underLock(dir, () => verifyLevelFolder(dir));
  const [first] = report.damage;
  if (first === undefined) return;
  const more = report.damage.length > 1 ? ` (and ${report.damage.length - 1} more places)` : "";
  throw new TopologyError("STATE_CORRUPT", `${first.message}${more}`, {
    place: `${join(dir, first.file)}:${first.offset}`,
    cure: "move the folder away; state is rebuilt from the log at the next start",
  });
}

/**
 * Opens a LevelDB folder, checking every block and log record in it first (at 1-2 GB/s; `verify: false` leaves that out).
 *
 * Throws STATE_CORRUPT (place is file:offset), FOLDER_IN_USE, DISK_FULL, DISK_READ_ONLY, FILE_NOT_FOUND (with `createIfMissing: false`).
 *
 * ```ts
 * const level = await openLevel("data/state/iot/0_0");
 * const batch = level.newBatch();
 * batch.put(key, sealedValue(key, payload));
 * await level.write(batch, { sync: true });
 * ```
 */
export async function openLevel(dir: string, options: LevelOptions = {}): Promise<Level> {
  const createIfMissing = options.createIfMissing ?? true;
  let place = resolve(dir);
  try {
    if (createIfMissing) await mkdir(place, { recursive: true });
    else await access(place);
    place = realpathSync(place);
  } catch (error) {
    if (messageOf(error).code === "ENOENT") throw new TopologyError("FILE_NOT_FOUND", "the folder does not exist", { place, cure: "check the path" });
    throw diskError(error, place);
  }
  if (openHere.has(place)) throw inUse(place);
  openHere.add(place);
  try {
    if (options.verify ?? true) await checkFolder(place);
    const db: Db = new ClassicLevel(place, {
      keyEncoding: "buffer",
      valueEncoding: "buffer",
      createIfMissing,
      // Compressed blocks would need a decompressor in the check, and bigger files are cheaper here than CPU.
      compression: false,
      cacheSize: options.cacheBytes ?? 64 * MIB,
      writeBufferSize: options.writeBufferBytes ?? 64 * MIB,
      maxFileSize: options.maxFileBytes ?? 16 * MIB,
      maxOpenFiles: (options.openTablesMax ?? 990) + LEVEL_OTHER_FILES,
    });
    await db.open();
    writeFileSync(join(place, OWNER_FILE), JSON.stringify({ pid: process.pid }));
    return new OpenLevel(place, db);
  } catch (error) {
    openHere.delete(place);
    if (messageOf(error).code === "LEVEL_LOCKED") throw inUse(place);
    throw diskError(error, place);
  }
}

class Batch implements LevelBatch {
  readonly chained: ReturnType<Db["batch"]>;
  count = 0;
  bytes = 0;

  constructor(db: Db) {
    this.chained = db.batch();
  }
  put(key: Uint8Array, value: Uint8Array): void {
    this.chained.put(key, value);
    this.count++;
    this.bytes += key.length + value.length;
  }
  del(key: Uint8Array): void {
    this.chained.del(key);
    this.count++;
    this.bytes += key.length;
  }
}

class OpenLevel implements Level {
  readonly dir: string;
  readonly aside: DiskAsideFile;
  readonly #db: Db;
  #failed: TopologyError | undefined;
  #closing: Promise<void> | undefined;

  constructor(dir: string, db: Db) {
    this.dir = dir;
    this.aside = new DiskAsideFile(join(dir, ASIDE_FILE), (error) => diskError(error, dir));
    this.#db = db;
  }

  getSync(key: Uint8Array): Buffer | undefined {
    return this.#db.getSync(key) as Buffer | undefined;
  }

  newBatch(): LevelBatch {
    return new Batch(this.#db);
  }

  async write(batch: LevelBatch, options: { readonly sync: boolean }): Promise<void> {
    if (this.#failed !== undefined) throw this.#failed;
    try {
      await (batch as Batch).chained.write({ sync: options.sync });
    } catch (error) {
      this.#failed ??= diskError(error, this.dir);
      throw this.#failed;
    }
  }

  async *entries({ readBytes = MIB, ...range }: LevelScan): AsyncGenerator<[Buffer, Buffer], void, undefined> {
    const iterator = this.#db.iterator({ ...range, highWaterMarkBytes: readBytes });
    try {
      for (;;) {
        const found = await iterator.nextv(SCAN_ENTRIES);
        if (found.length === 0) return;
        yield* found as [Buffer, Buffer][];
      }
    } finally {
      await iterator.close();
    }
  }

  async *keys({ readBytes = MIB, ...range }: LevelScan): AsyncGenerator<Buffer, void, undefined> {
    const iterator = this.#db.keys({ ...range, highWaterMarkBytes: readBytes });
    try {
      for (;;) {
        const found = await iterator.nextv(SCAN_ENTRIES);
        if (found.length === 0) return;
        yield* found as Buffer[];
      }
    } finally {
      await iterator.close();
    }
  }

  async clearRange(range: LevelRange): Promise<void> {
    if (this.#failed !== undefined) throw this.#failed;
    try {
      await this.#db.clear({ ...range });
    } catch (error) {
      this.#failed ??= diskError(error, this.dir);
      throw this.#failed;
    }
  }

  async compact(from: Uint8Array, to: Uint8Array): Promise<void> {
    await this.#db.compactRange(from, to, { keyEncoding: "buffer" });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      rmSync(join(this.dir, OWNER_FILE), { force: true });
    } catch {
      // A note for error messages; a stale one does no harm.
    }
    await this.aside.close();
    await this.#db.close();
    openHere.delete(this.dir);
  }
}
