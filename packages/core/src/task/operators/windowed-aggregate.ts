/**
 * Aggregates a key and window, over one stream or several. Semantics of windows, lateness, timestamps, null values and merges are Kafka Streams', but for these:
 * a window that closes is always sent, however far stream time jumps; a closed session never changes; all inputs share one stream time; a late record is counted once.
 * How windows are stored is written at the top of the files in task/windowing.
 */
import { TopologyError } from "../../model/index.ts";
import type { WindowedAggregateNode } from "../../topology/index.ts";
import { advanceStreamTime, drop, type TaskContext } from "../context.ts";
import { keyText } from "../key-text.ts";
import type { AnyRecord, Link } from "../link.ts";
import { compileRefuse, messageOf } from "../refuse.ts";
import { openWindowing, serdeCodec, type SessionFold, type WindowChange, type WindowResult } from "../windowing/index.ts";
import { frozen } from "./keyed-aggregate.ts";

/** The user's functions as a fold: totals are frozen, undefined is null, and without `init` the first value stands as it is. */
function foldOf({ aggregation: { init, adds, merge } }: WindowedAggregateNode, input: number): SessionFold<unknown> {
  const add = adds[input];
  const total = (value: unknown): unknown => frozen(value ?? null);
  const start = (): unknown => (init === undefined ? null : total(init()));
  return {
    init: start,
    add: (before, value, key) => total(before === null && init === undefined ? value : add?.(before ?? start(), value, key)),
    merge: (before, other, key) => (before === null && init === undefined ? other : total(merge?.(before ?? start(), other, key))),
  };
}

const NO_HEADERS: AnyRecord["headers"] = Object.freeze([]);

/** A change of a window as a record between tables. */
function changeRecord({ key, start, end, value, old, timestamp }: WindowChange<unknown>, headers: AnyRecord["headers"]): AnyRecord {
  return { key, value, old, window: { start, end }, timestamp, headers };
}

export function windowedAggregateLinks(context: TaskContext, node: WindowedAggregateNode, next: Link, lateNext: Link): readonly Link[] {
  const { name, window, retentionMs } = node;
  const refuse = compileRefuse(context, name, node.onError);
  const windowing = openWindowing<unknown>({ context, name, window, codec: serdeCodec(node.serde), retentionMs, closes: node.emit === "close" });
  const emitClosed = (change: WindowChange<unknown>): void => next(changeRecord(change, NO_HEADERS));
  const followers = context.timeFollowers.get(node.id) ?? [];
  return node.upstream.map((_id, input): Link => {
    const fold = foldOf(node, input);
    return (record) => {
      const key = keyText(record.key);
      if (key === null) return drop(context, "null-key");
      const value: unknown = record.value ?? null;
      if (value === null && window.kind === "sliding") return drop(context, "null-value");
      if (record.timestamp < 0) return drop(context, "before-epoch");
      const streamTime = advanceStreamTime(context, name, record.timestamp);
      let result: WindowResult<unknown>;
      try {
        result = windowing.add({ key, value, timestamp: record.timestamp, streamTime, fold });
      } catch (cause) {
        // Damage in the store is not the record's fault.
        if (cause instanceof TopologyError) throw cause;
        return refuse("STEP_FAILED", messageOf(cause), "", cause);
      }
      for (const change of result.changes) next(changeRecord(change, record.headers));
      if (result.isLate) {
        context.counters.late++;
        lateNext(record);
      }
      windowing.close(streamTime, emitClosed);
      for (const follow of followers) follow(streamTime);
    };
  });
}
