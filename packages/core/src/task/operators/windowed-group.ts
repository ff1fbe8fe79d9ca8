/**
 * Columns of aggregates, or a reduce, a group of fields and window, for all windows and ways of emitting but those of aggregate.ts. Rows are the same as there.
 * How windows are stored is written at the top of the files in task/windowing, and how a total in group-total.ts.
 */
import { type LogRecord, TopologyError } from "../../model/index.ts";
import type { WindowedGroupNode } from "../../topology/index.ts";
import { type Accumulation, compileAccumulation } from "../accumulation.ts";
import { advanceStreamTime, drop, enter, type TaskContext } from "../context.ts";
import { type GroupTotal, groupTotalCodec, windowRow } from "../group-total.ts";
import type { AnyRecord, Link } from "../link.ts";
import { compileRefuse, messageOf } from "../refuse.ts";
import { compileScalarKey } from "../scalar-key.ts";
import { openWindowing, type SessionFold, type WindowChange, type WindowResult } from "../windowing/index.ts";

function foldOf<S>(accumulation: Accumulation<S>, fields: readonly string[]): SessionFold<GroupTotal<S>> {
  return {
    init: () => null,
    add(before, value) {
      const row = value as Record<string, unknown>;
      if (before === null) return { group: fields.map((field) => row[field]), total: accumulation.start(row), updates: 1 };
      return { group: before.group, total: accumulation.add(accumulation.copy(before.total), row), updates: before.updates + 1 };
    },
    merge: (before, other) => (before === null ? other : { group: before.group, total: accumulation.merge(before.total, other.total), updates: before.updates + other.updates }),
  };
}

const NO_HEADERS: AnyRecord["headers"] = Object.freeze([]);

/** The last change of each window since the last commit, in the order of their first ones. */
class HeldRows<S> {
  readonly #context: TaskContext;
  readonly #send: (change: WindowChange<GroupTotal<S>>, headers: AnyRecord["headers"]) => void;
  #held = new Map<string, { readonly change: WindowChange<GroupTotal<S>>; readonly origin: LogRecord }>();

  constructor(context: TaskContext, node: WindowedGroupNode, send: HeldRows<S>["hold"]) {
    this.#context = context;
    this.#send = send;
    context.flushes.push({ node: node.id, flush: () => this.#flush() });
  }

  hold(change: WindowChange<GroupTotal<S>>, _headers: AnyRecord["headers"]): void {
    this.#held.set(`${change.start} ${change.key}`, { change, origin: this.#context.origin });
  }

  #flush(): void {
    const leaving = this.#held;
    this.#held = new Map();
    for (const { change, origin } of leaving.values()) {
      enter(this.#context, origin);
      this.#send(change, origin.headers);
    }
  }
}

export function windowedGroupLink(context: TaskContext, node: WindowedGroupNode, next: Link, late: Link): Link {
  return grouped(context, node, compileAccumulation(node), next, late);
}

function grouped<S>(context: TaskContext, node: WindowedGroupNode, accumulation: Accumulation<S>, next: Link, late: Link): Link {
  const { name, groupBy, window, emit, retentionMs } = node;
  const refuse = compileRefuse(context, name, node.onError);
  const keyOf = compileScalarKey(groupBy);
  const fold = foldOf(accumulation, groupBy);
  const windowing = openWindowing<GroupTotal<S>>({ context, name, window, codec: groupTotalCodec(accumulation, groupBy.length), retentionMs, closes: emit === "close" });
  const send = ({ start, end, value, timestamp }: WindowChange<GroupTotal<S>>, headers: AnyRecord["headers"]): void => {
    // Only merged sessions have no value, and those are sent when they are closed only.
    if (value === null) return;
    next({ key: value.group.map(String).join("|"), value: windowRow(accumulation, groupBy, start, end, value), timestamp, headers });
  };
  const held = emit === "commit" ? new HeldRows<S>(context, node, send) : undefined;
  const emitClosed = (change: WindowChange<GroupTotal<S>>): void => send(change, NO_HEADERS);

  return (record: AnyRecord) => {
    const { timestamp, value } = record;
    if (timestamp < 0) return drop(context, "before-epoch");
    const streamTime = advanceStreamTime(context, name, timestamp);
    let result: WindowResult<GroupTotal<S>>;
    try {
      result = windowing.add({ key: keyOf(value), value, timestamp, streamTime, fold });
    } catch (cause) {
      if (cause instanceof TopologyError) throw cause;
      return refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
    for (const change of result.changes) {
      if (held === undefined) send(change, record.headers);
      else held.hold(change, record.headers);
    }
    if (result.isLate) {
      context.counters.late++;
      late(record);
    }
    windowing.close(streamTime, emitClosed);
  };
}
