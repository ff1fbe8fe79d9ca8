import type { Clock, Logger, SinkConnector, SourceLog } from "../port/index.ts";
import type { StateDisk } from "../state/state-disk.ts";
import type { ThreadOptions } from "./thread/options.ts";

/** How an instance runs. */
export interface InstanceOptions {
  /** The log that holds the topology's topics. */
  readonly log: SourceLog;
  /** One for each connector that the topology's sinks name; topics of the log need none. */
  readonly connectors: readonly SinkConnector[];
  /** The folder for state; `null` keeps it in memory, and it goes with the process. */
  readonly stateDir: string | null;
  /** What keeps the folders below `stateDir`; LevelDB on the file system when absent. Savepoints always use the file system. */
  readonly disk?: StateDisk;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** Partitions of topics that do not exist yet; 1 when absent. */
  readonly partitions?: number;
  /** A commit comes at the latest this long after the first uncommitted record; 100 ms when absent. */
  readonly commitIntervalMs?: number;
  /** And at the latest after this many records a task, 40,000 when absent, or 8 MiB of rows. */
  readonly commitRecordsMax?: number;
  /** Decoded entries kept in memory a store and task; when absent 200,000, shared out among the tasks (at least 10,000), and 200,000 a task on a cluster. */
  readonly cacheEntriesMax?: number;
  /** Processing pauses while this many sealed batches wait for one sink; 64 when absent. */
  readonly outboxBatchesMax?: number;
  /** ... or this many bytes for all; 64 MiB when absent. */
  readonly outboxBytesMax?: number;
  /** How long `stop` goes on delivering; 10 s when absent. What is left stays in the outbox. */
  readonly stopTimeoutMs?: number;
  /**
   * Spreads the tasks over threads; one thread, the caller's own, when absent. Log, sinks and queries stay with the caller, whose thread hands over what is read and takes
   * what is sealed. Not on a cluster, where further processes take a share of the tasks.
   */
  readonly threads?: ThreadOptions;
  /** LevelDB's block cache and write buffer a task, in bytes; when absent 32 and 16 MiB, shared out among the tasks (at least 2 MiB each), and 8 MiB each on a cluster. */
  readonly stateCacheBytes?: number;
  readonly stateWriteBufferBytes?: number;
  /** On a cluster: creates the topics that are read or written where they are absent, instead of refusing. */
  readonly createTopics?: boolean;
  /** On a cluster: replicas of the topics that are created; the broker's default when absent. */
  readonly replicationFactor?: number;
  /** On a cluster: how many other instances keep a copy of each task's state; 0 when absent. */
  readonly standbyReplicas?: number;
  /** On a cluster: without a heartbeat for this long an instance's tasks go to others; 10 s when absent. */
  readonly sessionTimeoutMs?: number;
  /** On a cluster: a transaction in an input that is open for longer than this is told of in log and status; 60 s when absent. */
  readonly hangingTransactionMs?: number;
  /** On a cluster: where other instances reach this one's interactive queries. */
  readonly advertisedUrl?: string;
  /** On a cluster: changes in bytes after which a changelog is cleaned at the earliest; 16 MiB when absent. */
  readonly changelogSweepBytesMin?: number;
  /** On a cluster: local state of a task that runs elsewhere is removed after this long; 10 minutes when absent. */
  readonly stateCleanupDelayMs?: number;
}

/** The options with every default filled in. */
export type ResolvedOptions = Required<Omit<InstanceOptions, "logger" | "clock" | "replicationFactor" | "advertisedUrl" | "threads">> & {
  readonly threads?: ThreadOptions;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly replicationFactor?: number;
  readonly advertisedUrl?: string;
};
