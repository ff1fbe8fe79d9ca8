import { TopologyError } from "../model/index.ts";

/** What failed, as the error that it is or, where nobody expected it, as TASK_FAILED. */
export function taskError(cause: unknown, place?: string): TopologyError {
  if (cause instanceof TopologyError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new TopologyError("TASK_FAILED", message, { cause, cure: "this looks like a bug: please report it with the log", ...(place === undefined ? {} : { place }) });
}
