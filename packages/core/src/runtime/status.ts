import type { TaskCounters } from "../model/index.ts";

/** The life of an instance. */
export type InstanceState = "starting" | "running" | "stopping" | "stopped" | "failed";

/** One input partition of a task. `lag` is in records. */
export interface InputStatus {
  readonly topic: string;
  readonly partition: number;
  readonly position: number;
  /** The offset up to which everything is committed: what the log must keep from. */
  readonly committed: number;
  readonly end: number;
  readonly lag: number;
}

/** One task. */
export interface TaskStatus {
  readonly id: string;
  readonly inputs: readonly InputStatus[];
  readonly commitNumber: number;
  /** The greatest stream time of its steps, in epoch milliseconds. */
  readonly streamTime: number | null;
  /** True while its state is being rebuilt from the log. */
  readonly rebuilding: boolean;
}

/** What waits for one sink. */
export interface OutboxStatus {
  readonly target: string;
  readonly batches: number;
  readonly bytes: number;
  /** Batches acknowledged since the start. */
  readonly delivered: number;
  /** Batches that were found uncertain and had to be checked since the start. */
  readonly uncertain: number;
  readonly lastError: string | null;
}

/** Sums over all tasks. They stand in the checkpoints, so they survive restarts. */
export interface CounterStatus extends Readonly<Omit<TaskCounters, "written" | "deadLetters">> {
  readonly written: Readonly<Record<string, number>>;
  readonly deadLetters: Readonly<Record<string, number>>;
  readonly commits: number;
}

/** A transaction in an input that was begun long ago and not ended: readers do not get past it. */
export interface HangingTransactionStatus {
  readonly transactionalId: string;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  /** The input partitions that wait for it, as `topic-partition`. */
  readonly partitions: readonly string[];
}

/** How this process stands in its group. */
export interface ClusterStatus {
  readonly memberId: string | null;
  readonly generation: number;
  /** Assignments since the start. */
  readonly rebalances: number;
  readonly standby: readonly string[];
  /** Tasks whose stores are being restored, with offsets of their changelogs. */
  readonly restoring: readonly { readonly id: string; readonly position: number; readonly end: number }[];
  /** Transactions that failed and whose tasks were opened again, since the start. */
  readonly abortedTransactions: number;
  /** Tasks that another process took over, as their producers found out, since the start. */
  readonly fencedTasks: number;
  /** Transactions that hold the inputs back, as of the last look. */
  readonly hangingTransactions: readonly HangingTransactionStatus[];
  /** Where each task of the topology answers queries, as of the last assignment. */
  readonly owners: Readonly<Record<string, string | null>>;
}

/** How an instance stands. */
export interface InstanceStatus {
  readonly state: InstanceState;
  readonly topology: string;
  readonly version: number;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  readonly tasks: readonly TaskStatus[];
  readonly counters: CounterStatus;
  readonly outbox: readonly OutboxStatus[];
  /** Windows held in memory. */
  readonly windowsOpen: number;
  /** Only on a cluster. */
  readonly cluster?: ClusterStatus;
  readonly failure: { readonly code: string; readonly message: string } | null;
}
