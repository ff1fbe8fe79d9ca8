import type { ByteWriter, LogRecord, RecordMeta, TaskCounters } from "../model/index.ts";
import type { ErrorPolicy, NodeId } from "../topology/index.ts";
import type { StateBackend, StateBatch } from "../state/backend.ts";
import type { WindowTable } from "../state/window-table.ts";
import type { Link } from "./link.ts";
import type { SinkBuffer } from "./sink-buffer.ts";

/** A store as the commit sees it. */
export interface TaskTable {
  flush(batch: StateBatch): void;
  committed(): void;
}

/** What a task's operators share: the record that is being processed, the stores, the counters. */
export interface TaskContext {
  readonly taskId: string;
  /** The input record that everything now in flight comes from. */
  origin: LogRecord;
  /** The same as a row's meta; `index` is set by each sink. */
  meta: RecordMeta;
  /** True while a commit makes steps send on the rows that they held back. */
  flushing: boolean;
  readonly counters: TaskCounters;
  readonly backend: StateBackend;
  readonly scratch: ByteWriter;
  readonly cacheEntriesMax: number;
  readonly partitionCount: number;
  readonly tables: TaskTable[];
  readonly windows: { readonly table: WindowTable<unknown>; readonly startBound: () => number }[];
  readonly sinks: SinkBuffer[];
  /** Stream time a step that keeps one, by the step's name. Saved in the checkpoint. */
  readonly streamTimes: Record<string, number>;
  /** Called at the start of each commit, in the order of the topology: steps that hold rows back send them on. */
  readonly flushes: { readonly node: NodeId; readonly flush: () => void }[];
  /** The link of a policy's dead-letter stream. */
  readonly deadLetterLink: (policy: ErrorPolicy) => Link | undefined;
}

/** Makes a record's origin the current one. */
export function enter(context: TaskContext, origin: LogRecord): void {
  context.origin = origin;
  context.meta = { topic: origin.topic, partition: origin.partition, offset: origin.offset, index: 0, loadTime: origin.timestamp };
}

/**
 * Stream time of a step: the greatest event time it has seen, but never beyond the load time of the record that brought it. A clock that is wrong by a
 * year would otherwise make every other device's records late; Kafka Streams lets it.
 */
export function advanceStreamTime(context: TaskContext, step: string, timestamp: number): number {
  const bounded = Math.min(timestamp, context.origin.timestamp);
  const known = context.streamTimes[step];
  if (known !== undefined && known >= bounded) return known;
  context.streamTimes[step] = bounded;
  return bounded;
}
