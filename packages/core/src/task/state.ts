/**
 * The states of a task, and which may follow which:
 *
 *   created -> opening -> running <-> rebuilding? (a running task may be rebuilding: a flag, not a state)
 *                 |          |
 *                 v          v
 *              failed <-- running -> closing -> closed
 */
export type TaskState = "created" | "opening" | "running" | "closing" | "closed" | "failed";

/** What may follow each state. */
export const TASK_TRANSITIONS: { readonly [S in TaskState]: readonly TaskState[] } = Object.freeze({
  created: ["opening", "closed"],
  opening: ["running", "failed", "closing"],
  running: ["closing", "failed"],
  closing: ["closed", "failed"],
  failed: ["closing", "closed"],
  closed: [],
});
