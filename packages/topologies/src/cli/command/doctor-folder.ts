import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { openLevel, TopologyError, verifyState } from "@iot-topology/core";
import type { DataFolder } from "../data-folder.ts";
import { plainMessage } from "../output/failure.ts";
import type { Finding } from "./doctor.ts";

type Report = (finding: Finding) => void;

/** Opens the embedded log's files, which verifies them, and lets them go again. */
export async function checkLog(folder: DataFolder, report: Report): Promise<void> {
  if (!existsSync(folder.log)) return report({ check: "log", level: "ok", message: "not there yet" });
  try {
    const level = await openLevel(folder.log, { createIfMissing: false });
    await level.close();
  } catch (cause) {
    if (!(cause instanceof TopologyError) || cause.code !== "STATE_CORRUPT") throw cause;
    throw new TopologyError("LOG_CORRUPT", plainMessage(cause), { ...(cause.place === undefined ? {} : { place: cause.place }), cure: "put back a copy of the log's folder; state and tables stay as they are", cause });
  }
  report({ check: "log", level: "ok", message: "every file is sound" });
}

/** The same for the state of each task. Damaged state is a warning: the next start rebuilds it from the log. */
export async function checkState(folder: DataFolder, report: Report): Promise<void> {
  const { tasks, setAside } = await taskFolders(folder.state);
  if (setAside.length > 0) report({ check: "state", level: "warn", message: `damaged state was set aside earlier: ${setAside.join(", ")}`, cure: "it was rebuilt; remove these when nobody needs to look at them" });
  if (tasks.length === 0) return report({ check: "state", level: "ok", message: "not there yet" });
  let damaged = 0;
  for (const task of tasks) {
    try {
      await verifyState(task);
    } catch (error) {
      if ((error as { code?: unknown }).code !== "STATE_CORRUPT") throw error;
      damaged++;
      report({ check: "state", level: "warn", message: (error as Error).message.split("\n")[0] ?? "", cure: "start the topology: damaged state is rebuilt from the log" });
    }
  }
  if (damaged === 0) report({ check: "state", level: "ok", message: `every file of ${tasks.length} ${tasks.length === 1 ? "task" : "tasks"} is sound` });
}

/** `state/<topology>/<task>`, where a LevelDB stands; a rebuild leaves the damaged one as `<task>.damaged-<n>`. */
async function taskFolders(state: string): Promise<{ readonly tasks: readonly string[]; readonly setAside: readonly string[] }> {
  if (!existsSync(state)) return { tasks: [], setAside: [] };
  const found: string[] = [];
  for (const topology of await readdir(state)) {
    for (const task of await readdir(join(state, topology))) {
      const path = join(state, topology, task);
      if (existsSync(join(path, "CURRENT"))) found.push(path);
    }
  }
  const isSetAside = (path: string) => /\.damaged-\d+$/.test(path);
  return { tasks: found.filter((path) => !isSetAside(path)), setAside: found.filter(isSetAside) };
}
