import { type ErrorCode, TopologyError, topicPartitionName } from "../model/index.ts";
import type { DeadLetter, ErrorPolicy } from "../topology/index.ts";
import type { TaskContext } from "./context.ts";

/** Takes a record that a step cannot process, by the step's policy. */
export type Refuse = (code: ErrorCode, message: string, field: string, cause?: unknown) => void;

const MESSAGE_LENGTH_MAX = 2_000;

/** What a thrown value says, in bounded length. */
export function messageOf(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text.length > MESSAGE_LENGTH_MAX ? `${text.slice(0, MESSAGE_LENGTH_MAX)}...` : text;
}

/** Compiles a policy for a step. Damage in a store is no record's fault: it is thrown, whatever the policy, so that the state is made again. */
export function compileRefuse(context: TaskContext, step: string, policy: ErrorPolicy): Refuse {
  const refuse = byPolicy(context, step, policy);
  return (code, message, field, cause) => {
    if (cause instanceof TopologyError && cause.code === "STATE_CORRUPT") throw cause;
    refuse(code, message, field, cause);
  };
}

function byPolicy(context: TaskContext, step: string, policy: ErrorPolicy): Refuse {
  if (policy.kind === "skip") {
    return () => {
      context.counters.skipped++;
    };
  }
  const link = context.deadLetterLink(policy);
  if (link === undefined) {
    return (code, message, field, cause) => {
      const { topic, partition, offset } = context.origin;
      throw new TopologyError("TASK_FAILED", `step ${step} failed: ${code}: ${message}${field === "" ? "" : ` (field ${field})`}`, {
        place: `${context.taskId}, record ${topicPartitionName(topic, partition)} at offset ${offset}`,
        cure: "mend the step or the data, or give the step onError: a dead-letter stream or \"skip\"",
        cause,
      });
    };
  }
  return (code, message, field) => {
    const { origin, counters } = context;
    counters.deadLetters[code] = (counters.deadLetters[code] ?? 0) + 1;
    const letter: DeadLetter = {
      code,
      message: message.length > MESSAGE_LENGTH_MAX ? `${message.slice(0, MESSAGE_LENGTH_MAX)}...` : message,
      field,
      step,
      topic: origin.topic,
      partition: origin.partition,
      offset: origin.offset,
      timestamp: origin.timestamp,
      key: origin.key,
      value: origin.value,
    };
    link({ key: origin.key, value: letter, timestamp: origin.timestamp, headers: origin.headers });
  };
}
