/**
 * A file beside a store for bytes that are many and soon deleted. In LevelDB they would be written to its log, copied into its memory, and written out again as a
 * table that is thrown away soon after; here they are written once, over others that are not needed any more.
 *
 * The file knows nothing of what is used in it: whoever keeps the places does, in the store ({@link AsideSpace}).
 */
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";

/** Bytes in the file. */
export interface AsidePlace {
  readonly at: number;
  readonly length: number;
}

/** Bytes and where they go. */
export interface AsidePiece {
  readonly place: AsidePlace;
  readonly bytes: Uint8Array;
}

/** A file of bytes that the store only points to. */
export interface AsideFile {
  /** Fewer bytes than this are better off in the store: a write here is a sync of its own. */
  readonly bytesMin: number;
  /** Resolves when all pieces are on the medium. */
  write(pieces: readonly AsidePiece[]): Promise<void>;
  /** The bytes of a place; undefined where the file ends before it does. */
  read(place: AsidePlace): Promise<Buffer | undefined>;
  /** Gives back what lies behind the first `length` bytes. */
  truncate(length: number): Promise<void>;
}

const BYTES_MIN = 1 << 16;

/** An aside file in the file system, made at its first write. */
export class DiskAsideFile implements AsideFile {
  readonly bytesMin: number = BYTES_MIN;
  readonly #path: string;
  readonly #errorOf: (cause: unknown) => Error;
  #handle: FileHandle | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** `errorOf` names what the file system says. */
  constructor(path: string, errorOf: (cause: unknown) => Error) {
    this.#path = path;
    this.#errorOf = errorOf;
  }

  write(pieces: readonly AsidePiece[]): Promise<void> {
    return this.#queue(async () => {
      this.#handle ??= await openDurable(this.#path);
      for (const { place, bytes } of pieces) await writeAll(this.#handle, bytes, place.at);
      await this.#handle.datasync();
    });
  }

  async read(place: AsidePlace): Promise<Buffer | undefined> {
    try {
      const handle = await openIfThere(this.#path, "r");
      if (handle === undefined) return undefined;
      try {
        return await readAll(handle, place);
      } finally {
        await handle.close();
      }
    } catch (error) {
      throw this.#errorOf(error);
    }
  }

  truncate(length: number): Promise<void> {
    return this.#queue(async () => {
      await this.#handle?.truncate(length);
    });
  }

  /** Waits for what is under way, then lets the file go. */
  async close(): Promise<void> {
    await this.#last;
    await this.#handle?.close();
    this.#handle = undefined;
  }

  #queue(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work).catch((error: unknown) => Promise.reject(this.#errorOf(error)));
    this.#last = done.catch(() => {});
    return done;
  }
}

async function openIfThere(path: string, flags: "r" | "r+"): Promise<FileHandle | undefined> {
  try {
    return await open(path, flags);
  } catch (error) {
    if ((error as { code?: unknown }).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Opens a file for writing; when it is new, its name is on the medium too. */
async function openDurable(path: string): Promise<FileHandle> {
  const there = await openIfThere(path, "r+");
  if (there !== undefined) return there;
  const handle = await open(path, "wx+", 0o600);
  await handle.sync();
  // Windows opens no folders, and keeps names without being asked.
  if (process.platform === "win32") return handle;
  const folder = await open(dirname(path), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
  return handle;
}

async function readAll(handle: FileHandle, { at, length }: AsidePlace): Promise<Buffer | undefined> {
  const bytes = Buffer.allocUnsafe(length);
  for (let read = 0; read < length; ) {
    const { bytesRead } = await handle.read(bytes, read, length - read, at + read);
    if (bytesRead === 0) return undefined;
    read += bytesRead;
  }
  return bytes;
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) written += (await handle.write(bytes, written, bytes.length - written, at + written)).bytesWritten;
}
