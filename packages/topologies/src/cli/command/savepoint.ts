import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { silentLogger, TopologyError, writeSavepoint } from "@iot-topology/core";
import type { Context } from "../context.ts";
import { makeDataFolder, runningInstance } from "../data-folder.ts";
import { columns } from "../output/style.ts";
import { locate, type TopologyFlags } from "../run/cluster.ts";
import { lockFolder } from "../run/folder-lock.ts";
import { isKafka } from "../run/kafka.ts";
import { openLog } from "../run/log.ts";
import { savepointFolder } from "../run/savepoint-folder.ts";
import { partitionsOf } from "../run/topics.ts";

/** Writes the stores and offsets of a topology that does not run. */
export async function savepoint(context: Context, nameOrPath: string, flags: TopologyFlags): Promise<number> {
  const { config, folder, loaded } = await locate(context, undefined, flags);
  const running = runningInstance(folder);
  if (running !== undefined) {
    throw new TopologyError("SAVEPOINT_REFUSED", `the topology ${running.topology} runs in this folder (process ${running.pid})`, { place: folder.root, cure: `stop it first: kill ${running.pid}` });
  }
  if (!isKafka(config) && !existsSync(folder.log)) throw new TopologyError("SAVEPOINT_REFUSED", "the topology has no state here: nothing has run in this data folder", { place: folder.root, cure: "name the folder that it ran in with --data" });
  const dir = savepointFolder(folder, nameOrPath, context.folder);
  makeDataFolder(folder);
  const unlock = isKafka(config) ? await lockFolder(folder) : () => Promise.resolve();
  try {
    const { log } = await openLog(config, folder, silentLogger);
    try {
      await mkdir(dirname(dir), { recursive: true });
      const { tasks } = await writeSavepoint(loaded.topology, { log, stateDir: folder.state, dir, logger: silentLogger, partitions: partitionsOf(config) });
      if (context.json) context.stdout.write(`${JSON.stringify({ savepoint: dir, topology: loaded.topology.name, tasks: tasks.map(({ id, commit, offsets, content }) => ({ id, commit, offsets, entries: content.entries, bytes: content.bytes })) })}\n`);
      else {
        const rows = tasks.map(({ id, commit, offsets, content }) => [id, String(commit), String(content.entries), Object.entries(offsets).map(([name, offset]) => `${name} at ${offset}`).join(", ")]);
        context.stdout.write(`${columns([["task", "commit", "entries", "goes on"], ...rows])}\n\nsavepoint  ${dir}\n`);
      }
    } finally {
      await log.close();
    }
  } finally {
    await unlock();
  }
  return 0;
}
