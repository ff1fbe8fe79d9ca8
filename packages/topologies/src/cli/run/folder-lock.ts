import { openLevel, TopologyError } from "@iot-topology/core";
import type { DataFolder } from "../data-folder.ts";

/**
 * Keeps a data folder for this process. An empty LevelDB is the lock: the system lets it go when the process ends, however it ends, which a file with a
 * process id in it cannot say of itself. On the embedded log no lock is needed, because only one process can have that open.
 *
 * @throws TopologyError FOLDER_IN_USE.
 */
export async function lockFolder(folder: DataFolder): Promise<() => Promise<void>> {
  try {
    const level = await openLevel(folder.lock, { cacheBytes: 1 << 16, writeBufferBytes: 1 << 16 });
    return () => level.close();
  } catch (cause) {
    if (!(cause instanceof TopologyError) || cause.code !== "FOLDER_IN_USE") throw cause;
    throw new TopologyError("FOLDER_IN_USE", "another process runs in this data folder", { place: folder.root, cure: "give each process on a machine a folder of its own with --data", cause });
  }
}
