import type { Checkpoint } from "../commit/checkpoint.ts";
import { recover } from "../commit/commit.ts";
import { ReplicatedCommitter } from "../commit/replicated-commit.ts";
import { makeCounters, TopologyError, topicPartitionName } from "../model/index.ts";
import { isRebuildable, type Plan } from "../plan/index.ts";
import type { ClusterLog, InputRange, TransactionalProducer } from "../port/index.ts";
import type { StateBackend } from "../state/backend.ts";
import { memoryBackend } from "../state/memory-backend.ts";
import { taskFolder } from "../state/state-disk.ts";
import { TaskInput } from "../task/input.ts";
import { Task } from "../task/task.ts";
import { adapt, planAdaptation } from "./adaptation.ts";
import { type ClusterPart, transactionalIdOf } from "./cluster-topics.ts";
import { globalInputs } from "./global-inputs.ts";
import type { OpenedTask } from "./open-task.ts";
import type { ResolvedOptions } from "./options.ts";
import { FollowedStore, type RestoreProgress } from "./restore.ts";

/** A task's place in the cluster. */
export interface ClusterTaskPlace {
  readonly plan: Plan;
  readonly part: ClusterPart;
  readonly partition: number;
  readonly id: string;
}

/** The folder of a task's store. */
export function taskDir(place: ClusterTaskPlace, options: ResolvedOptions): string | null {
  return options.stateDir === null ? null : taskFolder(options.stateDir, place.plan.topology.name, place.id);
}

/** Opens a task's store at its place in the changelog. What is damaged is set aside: the changelog has it all. */
export async function openStore(place: ClusterTaskPlace, options: ResolvedOptions, signal: AbortSignal, onProgress: (progress: RestoreProgress) => void): Promise<FollowedStore> {
  const dir = taskDir(place, options);
  const open = async (): Promise<StateBackend> => {
    if (dir === null) return memoryBackend();
    return options.disk.open(dir, { cacheBytes: options.stateCacheBytes, writeBufferBytes: options.stateWriteBufferBytes });
  };
  const changelog = { topic: place.part.changelog, partition: place.partition };
  const follow = { log: options.log as ClusterLog, changelog, logger: options.logger, clock: options.clock, open, disk: options.disk, dir, signal, onProgress };
  try {
    if (dir !== null && options.disk.isMarkedDamaged(dir)) throw new TopologyError("STATE_CORRUPT", "the state was found damaged while it was in use", { place: dir });
    const store = await FollowedStore.open(follow);
    try {
      await recover(store.backend, `state of task ${place.id}`);
      return store;
    } catch (cause) {
      await store.close();
      throw cause;
    }
  } catch (cause) {
    if (!(cause instanceof TopologyError) || cause.code !== "STATE_CORRUPT" || dir === null) throw cause;
    const kept = await options.disk.setAside(dir);
    options.logger.error({ task: place.id, error: cause.message, kept }, "damaged state was set aside; it is restored from the changelog");
    return FollowedStore.open(follow);
  }
}

/** An active task with what belongs to it. */
export interface OpenedClusterTask extends OpenedTask {
  readonly store: FollowedStore;
  readonly producer: TransactionalProducer;
}

/** What the opening of a task tells and asks. */
export interface OpeningHandlers {
  readonly onProgress: (progress: RestoreProgress) => void;
  /** Whether a sink that tells rows by their position may hold some of these inputs. */
  readonly mayHold: (inputs: readonly InputRange[]) => Promise<boolean>;
}

/**
 * Opens an active task: fence, then read, then restore. After the fence nobody else can commit for it, so what is read then is final.
 */
export async function openClusterTask(place: ClusterTaskPlace, options: ResolvedOptions, signal: AbortSignal, watch: OpeningHandlers): Promise<OpenedClusterTask> {
  const log = options.log as ClusterLog;
  const { plan, part, partition, id } = place;
  const producer = await log.openProducer(transactionalIdOf(plan.topology.name, id));
  try {
    const store = await openStore(place, options, signal, watch.onProgress);
    try {
      await store.catchUp();
      if (signal.aborted) throw new TopologyError("LEASE_EXPIRED", "the task was given up while its store was restored", { place: id, retriable: true });
      const { checkpoint, outbox } = await recover(store.backend, `state of task ${id}`);
      if (checkpoint === undefined) await refuseLostState(place, log);
      const { inputs, first } = await placeInputs(place, checkpoint, options, watch.mayHold);
      const last = checkpoint ?? first;
      const changelog = { topic: part.changelog, partition };
      const committer = new ReplicatedCommitter(
        store.backend,
        producer,
        {
          origin: { topology: plan.topology.name, version: plan.topology.version, task: id },
          group: plan.topology.name,
          changelog,
          clock: options.clock,
          deleteBefore: (offset) => dropDead(log, changelog, offset, options),
          sweepBytesMin: options.changelogSweepBytesMin,
        },
        last,
        store.position,
      );
      await adapt(await planAdaptation({ id, part: part.part, backend: store.backend, checkpoint, logger: options.logger }), committer, inputs);
      const task = new Task({ id, topology: plan.topology.name, partitionCount: part.partitionCount, part: part.part, inputs, backend: committer.backend, cacheEntriesMax: options.cacheEntriesMax, snapshot: last, wallClock: options.clock.now() });
      return { task, committer, backend: store.backend, outbox, dir: taskDir(place, options), store, producer };
    } catch (cause) {
      await store.close();
      throw cause;
    }
  } catch (cause) {
    await producer.close().catch(() => {}); // What failed first says more.
    throw cause;
  }
}

/** Records are dropped from a changelog only once they were written again, so one that lacks its beginning and holds no commit has lost state. */
async function refuseLostState({ part, partition, id }: ClusterTaskPlace, log: ClusterLog): Promise<void> {
  const { start } = await log.offsets(part.changelog, partition);
  if (start === 0) return;
  throw new TopologyError("CHANGELOG_MISMATCH", `the changelog of task ${id} begins at offset ${start} and holds no whole commit, so its state is lost`, {
    place: topicPartitionName(part.changelog, partition),
    cure: "restore a savepoint, or reset the topology so that the state is made again from the log",
  });
}

function dropDead(log: ClusterLog, changelog: { readonly topic: string; readonly partition: number }, offset: number, { logger }: ResolvedOptions): void {
  log.deleteRecordsBefore(changelog.topic, changelog.partition, offset).catch((cause: unknown) => {
    logger.warn({ ...changelog, offset, error: String(cause) }, "what is dead in the changelog could not be deleted; it grows until the next try");
  });
}

/** Where the task reads on: at the group's committed offsets, which came in the same transaction as the checkpoint. */
async function placeInputs(place: ClusterTaskPlace, checkpoint: Checkpoint | undefined, options: ResolvedOptions, mayHold: OpeningHandlers["mayHold"]): Promise<{ inputs: TaskInput[]; first: Checkpoint }> {
  const log = options.log as ClusterLog;
  const { plan, part, partition, id } = place;
  const committed = await log.committedOffsets(plan.topology.name, part.part.topics.map((topic) => ({ topic, partition })));
  const inputs: TaskInput[] = [];
  const ends: Record<string, number> = {};
  for (const topic of part.part.topics) {
    const name = topicPartitionName(topic, partition);
    const { start, end } = await log.offsets(topic, partition);
    const stored = checkpoint?.offsets[name];
    const set = committed.get(name);
    if (stored !== undefined && set !== undefined && set !== stored) {
      options.logger.warn({ task: id, topic, partition, offset: set, stored }, "the group's offset was set from outside: reading goes on there with the state as it is");
    }
    const position = set ?? stored ?? start;
    if (position > end) {
      throw new TopologyError("OFFSET_OUT_OF_RANGE", `the task is at offset ${position}, but the log ends at ${end}`, { place: name, cure: "the topic was deleted or made anew: reset the topology, or set the offset with `iot-topology offsets set`" });
    }
    if (position < start) {
      throw new TopologyError("OFFSET_OUT_OF_RANGE", `the task is at offset ${position}, but the log begins at ${start}: the records between were deleted before they were read`, {
        place: name,
        cure: "set the offset with `iot-topology offsets set` to go on without them, and give the topic a longer retention",
      });
    }
    if (end > start) ends[name] = end;
    inputs.push(new TaskInput(topic, partition, position, end));
  }
  inputs.push(...(await globalInputs(part.part, checkpoint, log)));
  const isNew = checkpoint === undefined && committed.size === 0 && Object.keys(ends).length > 0 && isRebuildable(part.part);
  // A topology that is started on topics with records in them is mostly a new one, not one whose changelog was lost: checking each batch costs several times its insert.
  const isRebuild = isNew && (await mayHold(part.part.topics.map((topic) => ({ topic, partition, firstOffset: 0, lastOffset: Number.MAX_SAFE_INTEGER }))));
  return { inputs, first: { format: 1, commit: 0, offsets: {}, sequences: {}, streamTimes: {}, counters: makeCounters(), ...(isRebuild ? { rebuildUntil: ends } : {}) } };
}
