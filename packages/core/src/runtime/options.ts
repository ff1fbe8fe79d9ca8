import type { Clock, Logger, SinkConnector, SourceLog } from "../port/index.ts";

/** How an instance runs. */
export interface InstanceOptions {
  /** The log that holds the topology's topics. */
  readonly log: SourceLog;
  /** One for each connector that the topology's sinks name; topics of the log need none. */
  readonly connectors: readonly SinkConnector[];
  /** The folder for state; `null` keeps it in memory, and it goes with the process. */
  readonly stateDir: string | null;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** Partitions of topics that do not exist yet; 1 when absent. */
  readonly partitions?: number;
  /** A commit comes at the latest this long after the first uncommitted record; 100 ms when absent. */
  readonly commitIntervalMs?: number;
  /** And at the latest after this many records a task; 20,000 when absent. */
  readonly commitRecordsMax?: number;
  /** Decoded entries kept in memory a store and task; 200,000 when absent. */
  readonly cacheEntriesMax?: number;
  /** Processing pauses while this many sealed batches wait for one sink; 64 when absent. */
  readonly outboxBatchesMax?: number;
  /** ... or this many bytes for all; 256 MiB when absent. */
  readonly outboxBytesMax?: number;
  /** How long `stop` goes on delivering; 10 s when absent. What is left stays in the outbox. */
  readonly stopTimeoutMs?: number;
  /** LevelDB's block cache and write buffer a task, in bytes; 32 MiB and 32 MiB when absent. */
  readonly stateCacheBytes?: number;
  readonly stateWriteBufferBytes?: number;
}

/** The options with every default filled in. */
export type ResolvedOptions = Required<Omit<InstanceOptions, "logger" | "clock">> & { readonly logger: Logger; readonly clock: Clock };
