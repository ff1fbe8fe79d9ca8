import { topicPartitionName } from "../model/index.ts";
import type { Plan } from "../plan/index.ts";
import type { ClusterLog, Logger } from "../port/index.ts";
import type { OpenedTask } from "./open-task.ts";

/**
 * Drops from repartition topics what their readers have committed: nobody reads it again, since state comes from changelogs. Their retention is endless, so that
 * nothing that is not read yet can go.
 */
export class RepartitionTrim {
  readonly #topics: ReadonlySet<string>;
  readonly #log: ClusterLog;
  readonly #logger: Logger;
  readonly #trimmed = new Map<string, number>();

  constructor(plan: Plan, log: ClusterLog, logger: Logger) {
    this.#topics = new Set(plan.internalTopics.map(({ topic }) => topic));
    this.#log = log;
    this.#logger = logger;
  }

  /** Looks at the tasks that run here. What cannot be dropped now is tried again with the next look. */
  async look(tasks: readonly Pick<OpenedTask, "task" | "committer">[]): Promise<void> {
    for (const { task, committer } of tasks) {
      for (const { topic, partition } of task.inputs) {
        const name = topicPartitionName(topic, partition);
        const committed = committer.durableOffset(topic, partition);
        if (!this.#topics.has(topic) || committed <= (this.#trimmed.get(name) ?? 0)) continue;
        try {
          await this.#log.deleteRecordsBefore(topic, partition, committed);
          this.#trimmed.set(name, committed);
        } catch (cause) {
          this.#logger.warn({ topic, partition, error: String(cause) }, "records that were processed could not be dropped from a repartition topic; it grows until the next try");
        }
      }
    }
  }
}
