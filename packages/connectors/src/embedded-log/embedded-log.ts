import type { AppendResult, Clock, Logger, ProducerRecord, SourceLog } from "@iot-topology/core";
import type { FsyncPolicy } from "./group-writer.ts";
import type { ProtectedOffset, Retention, RetentionResult } from "./retention.ts";

/** How {@link openEmbeddedLog} opens a log. */
export interface EmbeddedLogOptions {
  /** The log's folder; made when it does not exist. */
  readonly dir: string;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** `always` (default): an append resolves when it is on the disk. `interval`: synced every `fsyncIntervalMs`. `never`: left to the operating system. A kill of the process loses nothing under any of them. */
  readonly fsync?: FsyncPolicy;
  /** 1,000 when absent. */
  readonly fsyncIntervalMs?: number;
  /** By topic; a topic that is not named is kept for ever. */
  readonly retention?: Readonly<Record<string, Retention>>;
  /** The largest record in bytes, key, value and headers together; 8 MiB when absent. */
  readonly maxRecordBytes?: number;
  /** LevelDB's block cache; 8 MiB when absent, because a log is read in order. */
  readonly cacheBytes?: number;
}

/** What a partition holds. */
export interface PartitionStats {
  readonly partition: number;
  readonly start: number;
  readonly end: number;
  readonly bytes: number;
}

/** What a topic holds. */
export interface TopicStats {
  readonly topic: string;
  readonly createdMs: number;
  readonly bytes: number;
  readonly partitions: readonly PartitionStats[];
}

/** Records for one topic among those of {@link EmbeddedLog.appendWithPosition}. */
export interface TopicRecords {
  readonly topic: string;
  readonly records: readonly ProducerRecord[];
}

/** A durable log in one folder, for one process. See {@link SourceLog} for what every log does. */
export interface EmbeddedLog extends SourceLog {
  readonly dir: string;
  /** The largest record in bytes that an append takes. */
  readonly maxRecordBytes: number;
  /**
   * Appends records of several topics and moves the position of the source they came from, all or none. With `expected` (undefined stands for none),
   * throws PRODUCER_FENCED where the position is another one: someone else reads the same source.
   */
  appendWithPosition(sourceId: string, position: Uint8Array, parts: readonly TopicRecords[], expected?: { readonly position: Uint8Array | undefined }): Promise<AppendResult>;
  /** The position last committed for a source, or undefined. */
  sourcePosition(sourceId: string): Buffer | undefined;
  /** All sources with their positions. */
  sourcePositions(): AsyncIterable<readonly [string, Buffer]>;
  /** Keeps a consumer group's next offset. */
  commitPosition(group: string, topic: string, partition: number, offset: number): Promise<void>;
  /** The offset kept for a consumer group, or undefined. */
  position(group: string, topic: string, partition: number): Promise<number | undefined>;
  /** Forgets the sequences of all producers whose id starts so, for a topology that starts anew from sequence 1. */
  forgetProducers(idPrefix: string): Promise<number>;
  /** Removes what the topics' retention lets go, but nothing from a protected offset on. */
  retain(protect?: ProtectedOffset): Promise<RetentionResult>;
  stats(): readonly TopicStats[];
}
