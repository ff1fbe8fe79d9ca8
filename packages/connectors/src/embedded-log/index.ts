/** The embedded log: durable, partitioned, in one folder, for one process. */
export { openEmbeddedLog } from "./open-log.ts";
export type { EmbeddedLog, EmbeddedLogOptions, PartitionStats, TopicRecords, TopicStats } from "./embedded-log.ts";
export type { FsyncPolicy } from "./group-writer.ts";
export type { ProtectedOffset, Retention, RetentionResult } from "./retention.ts";
