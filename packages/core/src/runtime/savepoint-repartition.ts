/**
 * Repartition topics and savepoints: what stands in such a topic is no part of a savepoint, so nothing unread may stand there when one is taken, and whoever begins
 * from one reads on at the topic's end. Batches for it that were not delivered are in the savepoint, as all sealed batches are.
 */
import { TopologyError, topicPartitionName } from "../model/index.ts";
import type { Plan, SubTopology } from "../plan/index.ts";
import type { SourceLog } from "../port/index.ts";
import type { SavepointTask } from "./savepoint-manifest.ts";

const FETCH_LIMITS = { recordsMax: 1, bytesMax: 1_024 };

async function holdsRecords(log: SourceLog, topic: string, partition: number, from: number): Promise<boolean> {
  const { start, end } = await log.offsets(topic, partition);
  // Behind the last record there may be the marks of transactions, which are nothing to read.
  for (let next = Math.max(from, start); next < end; ) {
    const { records, nextOffset } = await log.fetch(topic, partition, next, FETCH_LIMITS);
    if (records.length > 0) return true;
    if (nextOffset === next) return false;
    next = nextOffset;
  }
  return false;
}

/** Throws SAVEPOINT_REFUSED where a repartition topic holds records that were not processed. */
export async function refuseUnread({ subTopologies, internalTopics }: Plan, log: SourceLog, tasks: readonly SavepointTask[]): Promise<void> {
  for (const { topic, readBy } of internalTopics) {
    const part = subTopologies.find(({ name }) => name === readBy);
    for (const task of tasks) {
      if (task.part !== part?.name || !(await holdsRecords(log, topic, task.partition, task.offsets[topicPartitionName(topic, task.partition)] ?? 0))) continue;
      throw new TopologyError("SAVEPOINT_REFUSED", `the repartition topic ${topic} holds records that ${task.id} has not processed, and they are no part of a savepoint`, {
        place: topicPartitionName(topic, task.partition),
        cure: "start the topology without new input, let it process everything, stop it, and take the savepoint then",
      });
    }
  }
}

/** The task with its offsets in repartition topics moved to their present ends. */
export async function behindRepartitions({ internalTopics }: Plan, { topics }: SubTopology, task: SavepointTask, log: SourceLog): Promise<SavepointTask> {
  const offsets: Record<string, number> = { ...task.offsets };
  for (const { topic } of internalTopics) {
    if (topics.includes(topic)) offsets[topicPartitionName(topic, task.partition)] = (await log.offsets(topic, task.partition)).end;
  }
  return { ...task, offsets };
}
