/**
 * Begins a topology from a savepoint, where there is nothing of it yet:
 *
 *   embedded log   the stores are made in a folder beside the state's and renamed into it: all or none
 *   cluster        one transaction writes the stores into the changelogs and sets the group's offsets: all or none; the instances restore from there
 *
 * Where the log holds records behind the savepoint's offsets, their rows may have been delivered by the run that went on after it: up to the present ends sinks
 * check before they add, as in a rebuild.
 */
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Checkpoint, putCheckpoint, readCheckpoint } from "../commit/checkpoint.ts";
import { ByteWriter, TopologyError, topicPartitionName } from "../model/index.ts";
import { isRebuildable, type Plan, type SubTopology } from "../plan/index.ts";
import { type ClusterLog, type GroupPosition, isClusterLog, type TransactionBatch } from "../port/index.ts";
import type { StateBatch } from "../state/backend.ts";
import { ChangeRecorder, packChanges } from "../state/changelog.ts";
import { readEntryFile } from "../state/entry-file.ts";
import { openLevel } from "../state/level.ts";
import { memoryBackend } from "../state/memory-backend.ts";
import type { Topology } from "../topology/index.ts";
import { type ClusterPart, openTopics, transactionalIdOf } from "./cluster-topics.ts";
import { planOf } from "./instance.ts";
import type { ResolvedOptions } from "./options.ts";
import { entryPath, inputNames, refuseRunning, resolvedFor, type SavepointOptions, storedCheckpoints } from "./savepoint.ts";
import { readManifest, type SavepointManifest, type SavepointTask } from "./savepoint-manifest.ts";
import { behindRepartitions } from "./savepoint-repartition.ts";
import { STORES_KEY } from "./store-record.ts";

type Options = ResolvedOptions & { readonly stateDir: string; readonly dir: string };

const BATCH_BYTES = 4 << 20;
/** A commit in the changelog; a larger store is several. */
const BODY_BYTES = 32 << 20;
/** All stores are one transaction, which is made in memory. */
const TRANSACTION_BYTES_MAX = 1 << 30;

function refused(place: string, message: string, cure: string): TopologyError {
  return new TopologyError("SAVEPOINT_REFUSED", message, { place, cure });
}

/**
 * Puts a savepoint's stores and offsets in place, so that the next instance goes on from there exactly once.
 *
 * Throws SAVEPOINT_INVALID (damaged, of another topology), SAVEPOINT_REFUSED (there is state, or there are offsets or instances; or it is of the other kind of log),
 * OFFSET_OUT_OF_RANGE, and what the log throws.
 *
 * @example
 * await openSavepoint(topology, { log, stateDir: "new/state", dir: "savepoints/friday" });
 * const instance = await openInstance(topology, { log, connectors, stateDir: "new/state" });
 */
export async function openSavepoint(topology: Topology, given: SavepointOptions): Promise<SavepointManifest> {
  const options = resolvedFor(given);
  const plan = planOf(topology);
  const { log, dir, stateDir } = options;
  const manifest = await readManifest(dir, plan, isClusterLog(log) ? "cluster" : "embedded");
  const stored = await storedCheckpoints(topology.name, stateDir);
  const [known] = stored.filter(({ checkpoint }) => checkpoint !== undefined);
  if (known !== undefined) throw refused(known.dir, "there is state of this topology already, and a savepoint would not fit it", "name a new data folder, or reset the topology first");
  if (isClusterLog(log)) await intoCluster(plan, log, manifest, options);
  else await intoFolder(plan, manifest, options);
  options.logger.info({ savepoint: dir, createdAt: manifest.createdAt, tasks: manifest.tasks.length }, "the savepoint is in place");
  return manifest;
}

/** The tasks of a part in the savepoint, which must be one a partition. */
function tasksOf(part: SubTopology, partitionCount: number, { tasks }: SavepointManifest, dir: string): readonly SavepointTask[] {
  const own = tasks.filter((task) => task.part === part.name).sort((a, b) => a.partition - b.partition);
  if (own.length === partitionCount && own.every((task, index) => task.partition === index)) return own;
  throw new TopologyError("SAVEPOINT_INVALID", `the savepoint has ${own.length} tasks of ${part.name}, and its topics have ${partitionCount} partitions`, {
    place: dir,
    cure: "keys would be in other tasks: use topics with the number of partitions that they had when the savepoint was taken",
  });
}

/** Where a task begins. The checkpoint's own place in a changelog goes, and what may have been delivered since is marked. */
async function nextCheckpoint(task: SavepointTask, checkpoint: Checkpoint, part: SubTopology, { log, logger }: Options): Promise<Checkpoint> {
  const rebuildUntil: Record<string, number> = { ...checkpoint.rebuildUntil };
  for (const [index, name] of inputNames(part.topics, task.partition).entries()) {
    const { start, end } = await log.offsets(part.topics[index] as string, task.partition);
    const offset = task.offsets[name] ?? 0;
    if (offset > end || (offset < start && task.offsets[name] !== undefined)) {
      throw new TopologyError("OFFSET_OUT_OF_RANGE", `the savepoint goes on at offset ${offset}, and the log reaches from ${start} to ${end}`, {
        place: name,
        cure: "use the log that the savepoint was taken on, or a whole copy of it",
      });
    }
    if (end > offset) rebuildUntil[name] = Math.max(end, rebuildUntil[name] ?? 0);
  }
  const { sweep: _, rebuildUntil: __, ...kept } = checkpoint;
  const isBehind = Object.keys(rebuildUntil).length > 0;
  if (isBehind && !isRebuildable(part)) logger.warn({ task: task.id }, "the log holds records behind the savepoint; if they were processed before, the outputs of this part that cannot be checked get them twice");
  return { ...kept, offsets: { ...task.offsets }, ...(isBehind && isRebuildable(part) ? { rebuildUntil } : {}) };
}

/** Reads a task's entries into memory's smallest part that holds them: one at a time, the checkpoint last. */
async function copyEntries(task: SavepointTask, part: SubTopology, options: Options, put: (key: Buffer, value: Buffer) => Promise<void>): Promise<Checkpoint | undefined> {
  // The checkpoint and its chain are read as a store has them.
  const head = memoryBackend();
  const batch = head.newBatch();
  for await (const [key, value] of readEntryFile(entryPath(options.dir, task), task.content)) {
    if (key.subarray(0, 2).toString("latin1") === "m\0" || key.subarray(0, 2).toString("latin1") === "c\0") batch.put(key, value);
    if (key.subarray(0, 2).toString("latin1") !== "m\0" || key.equals(STORES_KEY)) await put(key, value);
  }
  await head.write(batch, { sync: false });
  const checkpoint = await readCheckpoint(head, `savepoint ${options.dir}, task ${task.id}`);
  return checkpoint === undefined ? undefined : nextCheckpoint(task, checkpoint, part, options);
}

async function intoFolder(plan: Plan, manifest: SavepointManifest, options: Options): Promise<void> {
  const { log, stateDir, dir } = options;
  const target = join(stateDir, plan.topology.name);
  const partial = `${target}.partial`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  try {
    for (const part of plan.subTopologies) {
      const counts = await Promise.all(part.topics.map((topic) => log.partitionCount(topic)));
      for (const task of tasksOf(part, counts[0] ?? 0, manifest, dir)) await importTask(await behindRepartitions(plan, part, task, log), part, join(partial, encodeURIComponent(task.id)), options);
    }
    // Nothing but stores without a checkpoint can be there.
    await rm(target, { recursive: true, force: true });
    await rename(partial, target);
  } catch (cause) {
    await rm(partial, { recursive: true, force: true });
    throw cause;
  }
}

async function importTask(task: SavepointTask, part: SubTopology, into: string, options: Options): Promise<void> {
  const backend = await openLevel(into, { cacheBytes: options.stateCacheBytes, writeBufferBytes: options.stateWriteBufferBytes });
  try {
    let batch = backend.newBatch();
    const checkpoint = await copyEntries(task, part, options, async (key, value) => {
      batch.put(key, value);
      if (batch.bytes < BATCH_BYTES) return;
      await backend.write(batch, { sync: false });
      batch = backend.newBatch();
    });
    if (checkpoint !== undefined) putCheckpoint(batch, new ByteWriter(4_096), checkpoint);
    await backend.write(batch, { sync: true });
  } finally {
    await backend.close();
  }
}

async function intoCluster(plan: Plan, log: ClusterLog, manifest: SavepointManifest, options: Options): Promise<void> {
  const group = plan.topology.name;
  await refuseRunning(log, group);
  const parts = await openTopics(plan, log, options);
  const batches: TransactionBatch[] = [];
  const positions: GroupPosition[] = [];
  for (const part of parts) {
    for (const stored of tasksOf(part.part, part.partitionCount, manifest, options.dir)) {
      const task = await behindRepartitions(plan, part.part, stored, log);
      await refuseStored(part, task, log, group);
      // Whoever might still write for the task is fenced.
      await (await log.openProducer(transactionalIdOf(group, task.id))).close();
      batches.push(...(await changelogOf(task, part, options)));
      if (batches.reduce((sum, { frames }) => sum + frames.length, 0) > TRANSACTION_BYTES_MAX) throw refused(options.dir, `the savepoint is larger than ${TRANSACTION_BYTES_MAX} bytes, and goes in as one transaction`, "let the topology process its input anew instead");
      for (const topic of part.part.topics) {
        const offset = task.offsets[topicPartitionName(topic, task.partition)];
        if (offset !== undefined) positions.push({ topic, partition: task.partition, offset });
      }
    }
  }
  const producer = await log.openProducer(`${group}-savepoint`);
  try {
    await producer.commit({ batches, group, positions });
  } finally {
    await producer.close();
  }
}

async function refuseStored({ changelog, part }: ClusterPart, { partition }: SavepointTask, log: ClusterLog, group: string): Promise<void> {
  const cure = "reset the topology first, or begin under another name of the topology";
  const { start, end } = await log.offsets(changelog, partition);
  if (end > start) throw refused(topicPartitionName(changelog, partition), "there is state of this topology on the cluster already", cure);
  const committed = await log.committedOffsets(group, part.topics.map((topic) => ({ topic, partition })));
  const [name] = committed.keys();
  if (name !== undefined) throw refused(name, `the group ${group} has an offset already`, cure);
}

/** Takes puts and does nothing with them: the changelog alone is wanted. */
const NO_BATCH: StateBatch = { put() {}, del() {} };

/** A task's store as the commits of a changelog, of which the last has the checkpoint's number. */
async function changelogOf(task: SavepointTask, { part, changelog }: ClusterPart, options: Options): Promise<TransactionBatch[]> {
  const bodies: Buffer[] = [];
  const body = new ByteWriter(1 << 20);
  const recorder = new ChangeRecorder(NO_BATCH, body);
  const checkpoint = await copyEntries(task, part, options, (key, value) => {
    recorder.note(key, value);
    if (body.position >= BODY_BYTES) bodies.push(body.take());
    return Promise.resolve();
  });
  if (checkpoint === undefined) return [];
  putCheckpoint(recorder, new ByteWriter(4_096), checkpoint);
  bodies.push(body.take());
  const first = checkpoint.commit - bodies.length + 1;
  return bodies.map((changes, index) => ({ topic: changelog, partition: task.partition, ...packChanges(changes, first + index, options.clock.now()) }));
}
