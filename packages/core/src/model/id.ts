/** `<sub-topology>_<partition>`, as Kafka Streams names tasks. */
export type TaskId = string;

/** One partition of one topic. */
export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** `topic-partition`, as Kafka prints it. */
export function topicPartitionName(topic: string, partition: number): string {
  return `${topic}-${partition}`;
}

const STABLE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;

/** Whether a name may be used for a step, store, topic or topology: letters, digits, `.`, `_`, `-`, at most 200. */
export function isStableName(name: string): boolean {
  return STABLE_NAME.test(name);
}
