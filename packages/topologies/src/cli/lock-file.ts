import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { type TopologyLock, TopologyError } from "@iot-topology/core";

/** What stands in a `topology.lock.json`: the locks of a project's topologies by name. */
export interface LockFile {
  readonly format: 1;
  readonly topologies: Readonly<Record<string, TopologyLock>>;
}

/** The name of the file where none is given. */
export const LOCK_FILE = "topology.lock.json";

const EMPTY: LockFile = { format: 1, topologies: {} };

/** Reads a lock file; one that does not exist holds nothing. Throws FILE_INVALID. */
export function readLockFile(path: string): LockFile {
  if (!existsSync(path)) return EMPTY;
  const cure = "restore it from version control, or remove it: the next check writes it anew, and compares nothing";
  let parsed: Partial<LockFile> | null;
  try {
    parsed = JSON.parse(readFileSync(path, "utf8")) as Partial<LockFile> | null;
  } catch (cause) {
    throw new TopologyError("FILE_INVALID", `the lock file cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, { place: path, cure, cause });
  }
  if (parsed === null || typeof parsed !== "object" || typeof parsed.topologies !== "object" || parsed.topologies === null) throw new TopologyError("FILE_INVALID", "the file is no lock file", { place: path, cure });
  if (parsed.format !== 1) throw new TopologyError("FILE_INVALID", `the lock file has the format ${String(parsed.format)}, and this version reads 1`, { place: path, cure: "use the version of iot-topology that wrote it, or a newer one" });
  return parsed as LockFile;
}

/** The text of a lock file. */
export function lockText(file: LockFile): string {
  return `${JSON.stringify(file, undefined, 2)}\n`;
}

/** Writes a lock file, all or nothing. */
export function writeLockFile(path: string, file: LockFile): void {
  writeFileSync(`${path}.partial`, lockText(file));
  renameSync(`${path}.partial`, path);
}
