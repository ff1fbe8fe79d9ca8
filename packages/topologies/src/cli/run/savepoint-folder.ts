import { join, resolve } from "node:path";
import type { DataFolder } from "../data-folder.ts";

/** Where a savepoint stands: a name without a slash is one in the data folder, anything else is a path. */
export function savepointFolder(folder: DataFolder, nameOrPath: string, cwd: string): string {
  return /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(nameOrPath) ? join(folder.root, "savepoints", nameOrPath) : resolve(cwd, nameOrPath);
}
