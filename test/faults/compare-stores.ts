/** Local stores beside those that were restored from the changelogs: byte for byte the same at the same commit. */
import { openLevel } from "@iot-topology/core";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Findings } from "./findings.ts";

const CHECKPOINT = "m\0checkpoint";
/** How far the store is in its changelog: a restore counts the marker of the last transaction, the task itself does not. */
const POSITION = "m\0changelog";
/** Windows that the last commit closed are dropped at once here, and in the changelog with the next commit. */
const WINDOWS = "w\0device-hours\0";

async function entriesOf(dir: string): Promise<Map<string, string>> {
  const level = await openLevel(dir, { createIfMissing: false });
  try {
    const entries = new Map<string, string>();
    for await (const [key, value] of level.entries({})) entries.set(key.toString("latin1"), value.toString("latin1"));
    return entries;
  } finally {
    await level.close();
  }
}

/**
 * Compares the stores of all tasks; each must be found in one of the folders as the restored one has it. Tells how many were. With an `outbox` the last
 * acknowledgements may have made one commit more, of which a folder then knows nothing.
 */
export async function compareStores(findings: Findings, topology: string, folders: readonly string[], restored: string, { outbox }: { readonly outbox: boolean }): Promise<number> {
  const tasks = readdirSync(join(restored, topology), { withFileTypes: true }).filter((each) => each.isDirectory()).map(({ name }) => name);
  let same = 0;
  for (const task of tasks) {
    const wanted = await entriesOf(join(restored, topology, task));
    let isFound = false;
    for (const folder of folders) {
      const dir = join(folder, topology, task);
      if (!existsSync(dir)) continue;
      const local = await entriesOf(dir);
      if (local.get(CHECKPOINT) !== wanted.get(CHECKPOINT)) continue;
      isFound = true;
      const names = new Set([...local.keys(), ...wanted.keys()]);
      const different = [...names].filter((key) => local.get(key) !== wanted.get(key) && key !== POSITION && !(key.startsWith(WINDOWS) && !local.has(key)));
      if (different.length > 0) findings.problems.push(`store of ${task}: ${different.length} entries differ from its changelog, as ${JSON.stringify(different[0])}`);
    }
    if (isFound) same++;
    else if (!outbox) findings.problems.push(`store of ${task}: no folder is at the commit of its changelog`);
  }
  return same;
}
