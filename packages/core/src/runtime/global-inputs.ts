import type { Checkpoint } from "../commit/checkpoint.ts";
import { TopologyError, topicPartitionName } from "../model/index.ts";
import type { SubTopology } from "../plan/index.ts";
import type { SourceLog } from "../port/index.ts";
import { TaskInput } from "../task/input.ts";

/** The partitions of each topic of a part's global tables. Throws TOPIC_NOT_FOUND. */
export async function globalCounts({ globals }: SubTopology, log: Pick<SourceLog, "partitionCount">): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  for (const { topic } of globals) {
    const count = await log.partitionCount(topic);
    if (count === undefined) throw new TopologyError("TOPIC_NOT_FOUND", `the topic "${topic}" of a global table does not exist`, { place: topic, cure: "create it, or let it be created: `--create-topics`, or createTopics: true" });
    counts.set(topic, count);
  }
  return counts;
}

/**
 * The inputs of a task's global tables: every partition of their topics, at the positions that came in the same commit as the rows. Throws TOPIC_NOT_FOUND, and OFFSET_OUT_OF_RANGE
 * where the log does not reach from there to its end any more.
 */
export async function globalInputs(part: SubTopology, checkpoint: Checkpoint | undefined, log: SourceLog): Promise<TaskInput[]> {
  const inputs: TaskInput[] = [];
  for (const [topic, count] of await globalCounts(part, log)) {
    for (let partition = 0; partition < count; partition++) {
      const name = topicPartitionName(topic, partition);
      const { start, end } = await log.offsets(topic, partition);
      const position = checkpoint?.offsets[name] ?? start;
      if (position < start || position > end) {
        throw new TopologyError("OFFSET_OUT_OF_RANGE", `a global table is at offset ${position}, and the log reaches from ${start} to ${end}`, {
          place: name,
          cure: position > end ? "the topic was deleted or made anew: reset the topology" : "updates were deleted before they were read: reset the topology, and give the topic cleanup.policy=compact or a longer retention",
        });
      }
      inputs.push(new TaskInput(topic, partition, position, end, true));
    }
  }
  return inputs;
}
