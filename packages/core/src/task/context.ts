import { type ByteWriter, invariant, type LogRecord, type TaskCounters } from "../model/index.ts";
import type { ErrorPolicy, NodeId } from "../topology/index.ts";
import type { StateBackend, StateBatch } from "../state/backend.ts";
import type { WindowTable } from "../state/window-table.ts";
import type { Link } from "./link.ts";
import type { AsyncStep } from "./operators/map-async.ts";
import type { OpenedStore } from "./stores/place.ts";
import type { Timers } from "./timers.ts";
import type { UndoLog } from "./undo-log.ts";
import type { SinkBuffer } from "./sink-buffer.ts";

/** A store as the commit sees it. */
export interface TaskTable {
  flush(batch: StateBatch): void;
  /** The flushed batch is durable. */
  committed(): Promise<void> | void;
}

/** A row of a table. */
export interface TableEntry {
  readonly value: unknown;
  readonly timestamp: number;
}

/** Looks up a key's row as it is now, and for a versioned table as it was at a moment. */
export type TableGetter = (key: string, asOf?: number) => TableEntry | undefined;

/** What a task's operators share: the record that is being processed, the stores, the counters. */
export interface TaskContext {
  readonly taskId: string;
  readonly topology: string;
  /** The input record that everything now in flight comes from. */
  origin: LogRecord;
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
  /** Asynchronous steps, whose calls the runtime makes. */
  readonly calls: AsyncStep[];
  /** The stores of process steps, by name. */
  readonly stores: Map<string, OpenedStore>;
  /** When punctuators are due. */
  readonly timers: Timers;
  /** What a call of a process step has changed. */
  readonly undo: UndoLog;
  /** How to look up a table's rows, by its node; filled while the steps are compiled. */
  readonly getters: Map<NodeId, TableGetter>;
  /** What is told the stream time of a step with windows, by its node, when that has processed a record. */
  readonly timeFollowers: Map<NodeId, ((streamTime: number) => void)[]>;
  /** What takes the changes of a global table, by its node. */
  readonly globalChanges: Map<NodeId, Link[]>;
  /** The origin of what comes of no record of the task's own topics, at a time: where the task is in them, with rows that no other has. */
  readonly injected: (timestamp: number) => LogRecord;
  /** The link of a policy's dead-letter stream. */
  readonly deadLetterLink: (policy: ErrorPolicy) => Link | undefined;
}

/** Counts a record that a step cannot take by its own rule. */
export function drop(context: TaskContext, reason: DropReason): void {
  const { dropped } = context.counters;
  dropped[reason] = (dropped[reason] ?? 0) + 1;
}

/** Why a step drops a record. */
export type DropReason = "null-key" | "null-value" | "expired" | "null-foreign-key" | "out-of-order" | "before-epoch";

/** The getter of a table, which may be compiled after the step that asks. */
export function getterOf(context: TaskContext, table: NodeId): TableGetter {
  let getter: TableGetter | undefined;
  return (key, asOf) => {
    getter ??= context.getters.get(table);
    invariant(getter !== undefined, `step ${table} is a table that can be asked`);
    return getter(key, asOf);
  };
}

/** Makes a record's origin the current one. */
export function enter(context: TaskContext, origin: LogRecord): void {
  context.origin = origin;
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
