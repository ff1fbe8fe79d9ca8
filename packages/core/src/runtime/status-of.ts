import { sumCounters, type TopologyError } from "../model/index.ts";
import type { Plan } from "../plan/index.ts";
import type { DeliveryLane } from "./lane.ts";
import type { OpenedTask } from "./open-task.ts";
import type { CounterStatus, InstanceState, InstanceStatus, TaskStatus } from "./status.ts";

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

/** The sums over tasks. */
export function counterStatusOf(tasks: readonly OpenedTask[]): CounterStatus {
  const commits = tasks.reduce((sum, { committer }) => sum + committer.checkpoint.commit, 0);
  return { ...sumCounters(tasks.map(({ task }) => task.counters)), commits };
}

/** What an instance's status is made of, in either mode. */
interface InstanceParts {
  readonly plan: Plan;
  readonly state: InstanceState;
  readonly startedAt: number;
  readonly tasks: readonly OpenedTask[];
  readonly lanes: ReadonlyMap<string, DeliveryLane>;
  readonly failure: TopologyError | undefined;
}

/** How an instance stands, but for its group. */
export function instanceStatusOf({ plan, state, startedAt, tasks, lanes, failure }: InstanceParts): InstanceStatus {
  return {
    state,
    topology: plan.topology.name,
    version: plan.topology.version,
    startedAt,
    tasks: tasks.map(taskStatusOf),
    counters: counterStatusOf(tasks),
    outbox: [...lanes.values()].map((lane) => lane.status()),
    windowsOpen: tasks.reduce((sum, { task }) => sum + task.windowsOpen, 0),
    failure: failure === undefined ? null : { code: failure.code, message: failure.message },
  };
}
