import type { Checkpoint } from "../commit/checkpoint.ts";
import { Committer, recover, type TaskCommitter } from "../commit/commit.ts";
import type { OutboxEntry } from "../commit/outbox.ts";
import { makeCounters, TopologyError, topicPartitionName } from "../model/index.ts";
import { isRebuildable, type Plan, type SubTopology } from "../plan/index.ts";
import type { StateBackend } from "../state/backend.ts";
import { memoryBackend } from "../state/memory-backend.ts";
import { taskFolder } from "../state/state-disk.ts";
import { TaskInput } from "../task/input.ts";
import { Task } from "../task/task.ts";
import { adapt, planAdaptation } from "./adaptation.ts";
import { globalInputs } from "./global-inputs.ts";
import type { ResolvedOptions } from "./options.ts";

/** A task with everything that belongs to it. */
export interface OpenedTask {
  readonly task: Task;
  readonly committer: TaskCommitter;
  readonly backend: StateBackend;
  /** Sealed in a former life and not acknowledged. */
  readonly outbox: readonly OutboxEntry[];
  readonly dir: string | null;
}

/** Which task of which part. */
export interface TaskPlace {
  readonly plan: Plan;
  readonly part: SubTopology;
  readonly partition: number;
  readonly partitionCount: number;
}

interface Recovered {
  /** Where the damaged state was set aside, if it was. */
  readonly setAside?: string;
  readonly backend: StateBackend;
  readonly checkpoint: Checkpoint | undefined;
  readonly outbox: readonly OutboxEntry[];
}

async function openBackend(dir: string | null, options: ResolvedOptions, place: string): Promise<Recovered> {
  if (dir === null) return { backend: memoryBackend(), checkpoint: undefined, outbox: [] };
  if (options.disk.isMarkedDamaged(dir)) throw new TopologyError("STATE_CORRUPT", "the state was found damaged while it was in use", { place: dir });
  const backend = await options.disk.open(dir, { cacheBytes: options.stateCacheBytes, writeBufferBytes: options.stateWriteBufferBytes });
  try {
    return { backend, ...(await recover(backend, place)) };
  } catch (cause) {
    await backend.close();
    throw cause;
  }
}

async function openOrRebuild(place: TaskPlace, id: string, dir: string | null, options: ResolvedOptions): Promise<Recovered> {
  try {
    return await openBackend(dir, options, `state of task ${id}`);
  } catch (cause) {
    if (!(cause instanceof TopologyError) || cause.code !== "STATE_CORRUPT" || dir === null) throw cause;
    if (!isRebuildable(place.part)) {
      throw new TopologyError("STATE_CORRUPT", `the state of task ${id} is damaged, and it cannot be rebuilt without doubling what its topic sinks hold: ${cause.message}`, {
        place: dir,
        cure: "restore the folder from a backup, or reset the topology and its output topics",
        cause,
      });
    }
    const kept = await options.disk.setAside(dir);
    options.logger.error({ task: id, code: cause.code, place: cause.place, error: cause.message, kept }, "damaged state was set aside; it is being rebuilt from the log");
    return { ...(await openBackend(dir, options, `state of task ${id}`)), setAside: kept };
  }
}

/** A task's state, open and compared with the topology; nothing of it is changed before `begin`, so that all states of a topology can be compared first. */
export interface OpenedState {
  readonly backend: StateBackend;
  /** Brings the state to the topology's shape and makes the task. */
  begin(): Promise<OpenedTask>;
}

/** Opens a task's state, checks it, rebuilds it from the log where it is damaged, and places the task where its last commit left it. */
export async function openTask(place: TaskPlace, options: ResolvedOptions): Promise<OpenedState> {
  const { plan, part, partition } = place;
  const id = `${part.name}_${partition}`;
  const dir = options.stateDir === null ? null : taskFolder(options.stateDir, plan.topology.name, id);
  const { backend, checkpoint, outbox, setAside: damaged } = await openOrRebuild(place, id, dir, options);
  try {
    const inputs: TaskInput[] = [];
    const ends: Record<string, number> = {};
    for (const topic of part.topics) {
      const { start, end } = await options.log.offsets(topic, partition);
      const name = topicPartitionName(topic, partition);
      const position = checkpoint?.offsets[name] ?? start;
      if (damaged !== undefined && start > 0) {
        throw new TopologyError("STATE_CORRUPT", `damaged state cannot be rebuilt: the log begins at offset ${start}`, {
          place: `${name}, state set aside as ${damaged}`,
          cure: "restore the state from a backup, or reset the topology to start from what the log still holds",
        });
      }
      if (checkpoint === undefined && start > 0) {
        options.logger.warn({ task: id, topic, partition, start }, "the log no longer holds the first records; state starts behind them");
      }
      if (position > end) {
        throw new TopologyError("OFFSET_OUT_OF_RANGE", `the state is at offset ${position}, but the log ends at ${end}`, {
          place: name,
          cure: "the log was reset or replaced: reset the topology too, or restore the log",
        });
      }
      if (end > 0) ends[name] = end;
      inputs.push(new TaskInput(topic, partition, position, end));
    }
    inputs.push(...(await globalInputs(part, checkpoint, options.log)));
    // Without a checkpoint nobody knows what a former life delivered: up to the log's present end, sinks check before they add.
    const rebuild = checkpoint === undefined && Object.keys(ends).length > 0 && isRebuildable(part);
    const first: Checkpoint = { format: 1, commit: 0, offsets: {}, sequences: {}, streamTimes: {}, counters: makeCounters(), ...(rebuild ? { rebuildUntil: ends } : {}) };
    const last = checkpoint ?? first;
    const adaptation = await planAdaptation({ id, part, backend, checkpoint, logger: options.logger });
    return {
      backend,
      begin: async () => {
        const committer = new Committer(backend, { topology: plan.topology.name, version: plan.topology.version, task: id }, last, outbox);
        await adapt(adaptation, committer, inputs);
        const task = new Task({ id, topology: plan.topology.name, partitionCount: place.partitionCount, part, inputs, backend, cacheEntriesMax: options.cacheEntriesMax, snapshot: last, wallClock: options.clock.now() });
        return { task, committer, backend, outbox, dir };
      },
    };
  } catch (cause) {
    await backend.close();
    throw cause;
  }
}
