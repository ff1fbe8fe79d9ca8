/** Where the stores of tasks stand. Folders of LevelDB (`levelDisk`) unless an instance is given another, as the simulator gives one. */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { StateBackend } from "./backend.ts";
import { type LevelOptions, openLevel } from "./level.ts";

/** Folders by their paths, each the store of one task, and short notes beside them. */
export interface StateDisk {
  /** Opens a folder's store, which is made where there is none. Throws STATE_CORRUPT, FOLDER_IN_USE, DISK_FULL, DISK_READ_ONLY. */
  open(dir: string, options: LevelOptions): Promise<StateBackend>;
  /** Whether {@link StateDisk.markDamaged} was called for the folder since it was set aside or removed. */
  isMarkedDamaged(dir: string): boolean;
  /** Notes that the folder was found damaged while it was in use, so that the next start sets it aside. */
  markDamaged(dir: string, message: string): Promise<void>;
  /** Renames a damaged folder; tells to what. */
  setAside(dir: string): Promise<string>;
  /** Removes a folder; one that does not exist is no error. */
  remove(dir: string): Promise<void>;
  /** The names of the folders and notes in a folder; none where it does not exist. */
  names(dir: string): Promise<readonly string[]>;
  /** When a folder was last changed, in epoch milliseconds; undefined where it does not exist. */
  changedAt(dir: string): Promise<number | undefined>;
  /** A note's text; undefined where there is none. */
  readNote(path: string): Promise<string | undefined>;
  writeNote(path: string, text: string): Promise<void>;
  removeNote(path: string): Promise<void>;
}

/** The end of the name of a file beside a folder that says that it is damaged. */
const DAMAGED_MARK = "DAMAGED";

/** LevelDB in folders of the file system. */
export const levelDisk: StateDisk = Object.freeze({
  async open(dir: string, options: LevelOptions): Promise<StateBackend> {
    await mkdir(dirname(dir), { recursive: true });
    return openLevel(dir, options);
  },
  isMarkedDamaged: (dir: string) => existsSync(`${dir}.${DAMAGED_MARK}`),
  markDamaged: (dir: string, message: string) => writeFile(`${dir}.${DAMAGED_MARK}`, `${message}\n`),
  async setAside(dir: string): Promise<string> {
    for (let count = 1; ; count++) {
      const target = `${dir}.damaged-${count}`;
      if (existsSync(target)) continue;
      await rename(dir, target);
      if (existsSync(`${dir}.${DAMAGED_MARK}`)) await rename(`${dir}.${DAMAGED_MARK}`, `${target}.${DAMAGED_MARK}`);
      return target;
    }
  },
  remove: (dir: string) => rm(dir, { recursive: true, force: true }),
  names: async (dir: string) => (existsSync(dir) ? await readdir(dir) : []),
  // One whose opening was given up may be making its folder anew, or another may remove it, at this moment.
  changedAt: async (dir: string) => (await stat(dir).catch(() => undefined))?.mtimeMs,
  // No file, or one that a crash cut off, says nothing.
  readNote: (path: string) => readFile(path, "utf8").catch(() => undefined),
  async writeNote(path: string, text: string): Promise<void> {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  },
  removeNote: (path: string) => rm(path, { force: true }),
});

/** The folder of a task's store. */
export function taskFolder(stateDir: string, topology: string, task: string): string {
  return join(stateDir, topology, encodeURIComponent(task));
}
