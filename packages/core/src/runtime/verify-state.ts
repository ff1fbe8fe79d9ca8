import { recover } from "../commit/commit.ts";
import { openLevel } from "../state/level.ts";

/**
 * Checks the state folder of one task, which nothing has open: every file, the last commit, and the rows that wait for their sinks.
 *
 * Throws STATE_CORRUPT (its place names the file or the entry), FOLDER_IN_USE, FILE_NOT_FOUND.
 *
 * @example
 * await verifyState("data/state/iot/readings_0");
 */
export async function verifyState(dir: string): Promise<void> {
  const level = await openLevel(dir, { createIfMissing: false });
  try {
    await recover(level, dir);
  } finally {
    await level.close();
  }
}
