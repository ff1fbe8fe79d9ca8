/**
 * A savepoint: the stores and offsets of a stopped topology as one named, portable set of files.
 *
 *   manifest.json      the topology, and for each task its commit, its offsets and its file with a hash: written last
 *   <task>.entries     every entry of the task's store (see state/entry-file.ts): values, windows, sealed batches that wait, the checkpoint
 *
 * It is written beside its place and renamed, so that there is a whole one or none. On a cluster each task's producer is opened first, which fences whoever
 * might still write for it, and the store is brought to the end of its changelog.
 */
import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { readCheckpoint } from "../commit/checkpoint.ts";
import { recover } from "../commit/commit.ts";
import { portableEntry } from "../commit/outbox.ts";
import { TopologyError, topicPartitionName } from "../model/index.ts";
import type { Plan } from "../plan/index.ts";
import { type ClusterLog, isClusterLog } from "../port/index.ts";
import type { StateBackend } from "../state/backend.ts";
import { CHANGELOG_POSITION_KEY } from "../state/changelog.ts";
import { EntryFileWriter } from "../state/entry-file.ts";
import { openLevel } from "../state/level.ts";
import type { Topology } from "../topology/index.ts";
import { type ClusterTaskPlace, openStore, taskDir } from "./cluster-task.ts";
import { openTopics, transactionalIdOf } from "./cluster-topics.ts";
import { planOf, resolveOptions } from "./instance.ts";
import type { InstanceOptions, ResolvedOptions } from "./options.ts";
import { type SavepointManifest, type SavepointTask, writeManifest } from "./savepoint-manifest.ts";
import { refuseUnread } from "./savepoint-repartition.ts";
import { shapeOf } from "./shape.ts";

/** What a savepoint is written from or read into: an instance's options, with a folder for its state. */
export interface SavepointOptions extends Omit<InstanceOptions, "stateDir" | "connectors"> {
  readonly stateDir: string;
  /** The savepoint's folder. */
  readonly dir: string;
}

/** The options as the engine's functions take them. */
export function resolvedFor(given: SavepointOptions): ResolvedOptions & { readonly stateDir: string; readonly dir: string } {
  const { dir, ...options } = given;
  return { ...resolveOptions({ ...options, connectors: [] }), stateDir: given.stateDir, dir: resolve(dir) };
}

function refused(place: string, message: string, cure: string): TopologyError {
  return new TopologyError("SAVEPOINT_REFUSED", message, { place, cure });
}

/** Throws SAVEPOINT_REFUSED while the topology's group has members. */
export async function refuseRunning(log: ClusterLog, group: string): Promise<void> {
  const { members } = await log.describeGroup(group);
  if (members.length === 0) return;
  throw refused(`group ${group}`, `the topology runs: its group has ${members.length} ${members.length === 1 ? "member" : "members"} (${members.map(({ memberId, host }) => `${memberId} at ${host}`).join(", ")})`, "stop all of its instances first");
}

/**
 * Writes a savepoint of a topology that does not run.
 *
 * Throws SAVEPOINT_REFUSED (it runs, the folder is in use, or a repartition topic holds what was not processed), FOLDER_IN_USE, STATE_CORRUPT, CHANGELOG_MISMATCH.
 *
 * @example
 * await writeSavepoint(topology, { log, stateDir: "data/state", dir: "savepoints/friday" });
 */
export async function writeSavepoint(topology: Topology, given: SavepointOptions): Promise<SavepointManifest> {
  const options = resolvedFor(given);
  const plan = planOf(topology);
  const { dir, log } = options;
  if (existsSync(dir) && (await readdir(dir)).length > 0) throw refused(dir, "the folder is not empty", "name a new folder");
  if (isClusterLog(log)) await refuseRunning(log, topology.name);
  const partial = `${dir}.partial`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  try {
    const tasks = isClusterLog(log) ? await exportCluster(plan, log, options, partial) : await exportLocal(plan, options, partial);
    await refuseUnread(plan, log, tasks);
    const manifest: SavepointManifest = { format: 1, topology: topology.name, version: topology.version, shape: shapeOf(plan), log: isClusterLog(log) ? "cluster" : "embedded", createdAt: new Date(options.clock.now()).toISOString(), tasks };
    await writeManifest(partial, manifest);
    if (existsSync(dir)) await rmdir(dir);
    await rename(partial, dir);
    return manifest;
  } catch (cause) {
    await rm(partial, { recursive: true, force: true });
    throw cause;
  }
}

async function exportLocal(plan: Plan, options: ResolvedOptions & { readonly stateDir: string }, into: string): Promise<SavepointTask[]> {
  const tasks: SavepointTask[] = [];
  for (const part of plan.subTopologies) {
    const count = await options.log.partitionCount(part.topics[0] ?? "");
    if (count === undefined) throw refused(options.stateDir, `the topology has no state here: the log has no topic ${part.topics[0]}`, "name the data folder that it ran in");
    for (let partition = 0; partition < count; partition++) {
      const id = `${part.name}_${partition}`;
      const dir = join(options.stateDir, plan.topology.name, encodeURIComponent(id));
      if (!existsSync(join(dir, "CURRENT"))) throw refused(dir, `the task ${id} has no state here: the topology has not run with this data folder and this log`, "name the data folder that it ran in");
      const backend = await openLevel(dir, { cacheBytes: options.stateCacheBytes, writeBufferBytes: options.stateWriteBufferBytes });
      try {
        const { checkpoint } = await recover(backend, `state of task ${id}`);
        tasks.push(await exportTask({ id, part: part.name, partition, commit: checkpoint?.commit ?? 0, offsets: checkpoint?.offsets ?? {} }, backend, into));
      } finally {
        await backend.close();
      }
    }
  }
  return tasks;
}

async function exportCluster(plan: Plan, log: ClusterLog, options: ResolvedOptions & { readonly stateDir: string }, into: string): Promise<SavepointTask[]> {
  const tasks: SavepointTask[] = [];
  for (const part of await openTopics(plan, log, { ...options, createTopics: false })) {
    for (let partition = 0; partition < part.partitionCount; partition++) {
      const place: ClusterTaskPlace = { plan, part, partition, id: `${part.part.name}_${partition}` };
      const producer = await log.openProducer(transactionalIdOf(plan.topology.name, place.id));
      try {
        tasks.push(await exportClusterTask(place, log, options, into));
      } finally {
        await producer.close();
      }
    }
  }
  return tasks;
}

/** From the local store where there is one: it is the shorter way. Otherwise from a store that is restored for this and removed. */
async function exportClusterTask(place: ClusterTaskPlace, log: ClusterLog, options: ResolvedOptions & { readonly stateDir: string }, into: string): Promise<SavepointTask> {
  const { plan, part, partition, id } = place;
  const isHere = existsSync(join(taskDir(place, options) ?? "", "CURRENT"));
  const restored = join(into, ".restored");
  const store = await openStore(place, isHere ? options : { ...options, stateDir: restored }, new AbortController().signal, () => {});
  try {
    await store.catchUp();
    const { checkpoint } = await recover(store.backend, `state of task ${id}`);
    const inputs = part.part.topics.map((topic) => ({ topic, partition }));
    const committed = await log.committedOffsets(plan.topology.name, inputs);
    // What somebody set by hand stands, as it would at a start.
    const offsets: Record<string, number> = { ...checkpoint?.offsets };
    for (const [name, offset] of committed) offsets[name] = offset;
    return await exportTask({ id, part: part.part.name, partition, commit: checkpoint?.commit ?? 0, offsets }, store.backend, into);
  } finally {
    await store.close();
    await rm(restored, { recursive: true, force: true });
  }
}

async function exportTask(task: Omit<SavepointTask, "file" | "content">, backend: StateBackend, into: string): Promise<SavepointTask> {
  const file = `${encodeURIComponent(task.id)}.entries`;
  const writer = await EntryFileWriter.create(join(into, file));
  try {
    for await (const [key, value] of backend.entries({ gte: Buffer.alloc(0) })) {
      // A place in one changelog, which means nothing in another.
      if (!key.equals(CHANGELOG_POSITION_KEY)) await writer.put(key, await portableEntry(backend, key, value, `state of task ${task.id}, outbox`));
    }
    return { ...task, file, content: await writer.finish() };
  } catch (cause) {
    await writer.abandon();
    throw cause;
  }
}

/**
 * The next offset to read by `topic-partition`, as the checkpoints in a state folder have it. For a topology that does not run; throws FOLDER_IN_USE where it does.
 */
export async function readStoredOffsets(topology: string, stateDir: string): Promise<ReadonlyMap<string, number>> {
  const offsets = new Map<string, number>();
  // Of the topics of global tables, which each task reads, the least.
  for (const { checkpoint } of await storedCheckpoints(topology, stateDir)) for (const [name, offset] of Object.entries(checkpoint?.offsets ?? {})) offsets.set(name, Math.min(offset, offsets.get(name) ?? offset));
  return offsets;
}

/** The task folders of a topology that hold a store, with their checkpoints. */
export async function storedCheckpoints(topology: string, stateDir: string): Promise<{ readonly dir: string; readonly checkpoint: Awaited<ReturnType<typeof readCheckpoint>> }[]> {
  const root = join(stateDir, topology);
  if (!existsSync(root)) return [];
  const found = [];
  for (const name of await readdir(root)) {
    const dir = join(root, name);
    if (/\.damaged-\d+$/.test(name) || !existsSync(join(dir, "CURRENT"))) continue;
    const backend = await openLevel(dir, { createIfMissing: false });
    try {
      found.push({ dir, checkpoint: await readCheckpoint(backend, dir) });
    } finally {
      await backend.close();
    }
  }
  return found;
}

/** Where a manifest's path stands on disk. Names with a way out of the folder are not followed. */
export function entryPath(dir: string, { file }: SavepointTask): string {
  const path = join(dir, file);
  if (dirname(path) === dir && file.endsWith(".entries")) return path;
  throw new TopologyError("SAVEPOINT_INVALID", `the manifest names the file ${JSON.stringify(file)}, which no savepoint has`, { place: dir, cure: "use another copy of the savepoint" });
}

/** The inputs of a part's task. */
export function inputNames(topics: readonly string[], partition: number): readonly string[] {
  return topics.map((topic) => topicPartitionName(topic, partition));
}
