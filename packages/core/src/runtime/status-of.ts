import { sumCounters } from "../model/index.ts";
import type { OpenedTask } from "./open-task.ts";
import type { CounterStatus, TaskStatus } from "./status.ts";

/** How a task stands. */
export function taskStatusOf({ task, committer }: OpenedTask): TaskStatus {
  const times = Object.values(task.streamTimes);
  return {
    id: task.id,
    inputs: task.inputs.map((input) => ({ topic: input.topic, partition: input.partition, position: input.position, committed: committer.durableOffset(input.topic, input.partition), end: input.endOffset, lag: input.lag })),
    commitNumber: committer.checkpoint.commit,
    streamTime: times.length === 0 ? null : Math.max(...times),
    rebuilding: committer.isRebuilding,
  };
}

/** The sum of the tasks' counters. */
export function counterStatusOf(tasks: readonly OpenedTask[]): CounterStatus {
  const commits = tasks.reduce((sum, { committer }) => sum + committer.checkpoint.commit, 0);
  return { ...sumCounters(tasks.map(({ task }) => task.counters)), commits };
}
