/**
 * Aggregates a group, with or without windows. A group's state is updated in place record by record; its row leaves once a commit, however often
 * it changed in between, as Kafka Streams' cache does. `updates` counts the records in the row: it only grows, and reprocessing gives the same
 * numbers again, so that sinks can take it as a version.
 */
import { TopologyError } from "../../model/index.ts";
import { RecentEntries } from "../../state/recent-entries.ts";
import { type Entry, StateTable } from "../../state/table.ts";
import { WindowTable } from "../../state/window-table.ts";
import type { AggregateNode } from "../../topology/index.ts";
import { advanceStreamTime, enter, type TaskContext } from "../context.ts";
import { type Accumulation, compileAccumulation, type GroupState } from "../accumulation.ts";
import type { AnyRecord, Link } from "../link.ts";
import { compileRefuse, messageOf } from "../refuse.ts";
import { compileScalarKey } from "../scalar-key.ts";

interface GroupStore<S> {
  readonly generation: number;
  find(windowStart: number, key: string): Entry<GroupState<S>> | undefined;
  insert(windowStart: number, key: string, state: GroupState<S>): Entry<GroupState<S>>;
  change(windowStart: number, entry: Entry<GroupState<S>>): void;
}

function openStore<S>(context: TaskContext, node: AggregateNode, accumulation: Accumulation<S>): GroupStore<S> {
  const options = { entriesMax: context.cacheEntriesMax, scratch: context.scratch };
  if (node.window === undefined) {
    const table = new StateTable(context.backend, node.name, accumulation.codec, options);
    context.tables.push(table);
    return {
      get generation() {
        return table.generation;
      },
      find: (_start, key) => table.find(key),
      insert: (_start, key, state) => table.insert(key, state),
      change: (_start, entry) => table.change(entry),
    };
  }
  const { sizeMs, graceMs } = node.window;
  const table = new WindowTable(context.backend, node.name, accumulation.codec, options);
  const startBound = () => {
    const closed = (context.streamTimes[node.name] ?? Number.NEGATIVE_INFINITY) - graceMs - sizeMs;
    return Number.isFinite(closed) ? Math.floor(closed / sizeMs + 1) * sizeMs : Number.NEGATIVE_INFINITY;
  };
  context.windows.push({ table: table, startBound });
  return table;
}

export function aggregateLink(context: TaskContext, node: AggregateNode, next: Link, late: Link): Link {
  const accumulation = compileAccumulation(node);
  return aggregated(context, node, accumulation, next, late);
}

function aggregated<S>(context: TaskContext, node: AggregateNode, accumulation: Accumulation<S>, next: Link, late: Link): Link {
  const refuse = compileRefuse(context, node.name, node.onError);
  const store = openStore(context, node, accumulation);
  const keyOf = compileScalarKey(node.groupBy);
  const groupOf = (value: Record<string, unknown>): readonly unknown[] => node.groupBy.map((field) => value[field]);
  const sizeMs = node.window?.sizeMs ?? 0;
  const graceMs = node.window?.graceMs ?? Number.POSITIVE_INFINITY;
  const recent = new RecentEntries<GroupState<S>>(store);
  const [only] = node.groupBy.length === 1 ? node.groupBy : [];
  const begin = (value: Record<string, unknown>, timestamp: number, windowStart: number): GroupState<S> => ({ total: accumulation.start(value), updates: 1, timestamp, waiting: false, windowStart, group: undefined, origin: undefined });
  const grow = (state: GroupState<S>, value: Record<string, unknown>, timestamp: number): void => {
    state.total = accumulation.add(state.total, value);
    state.updates++;
    if (timestamp > state.timestamp) state.timestamp = timestamp;
  };
  let waiting: GroupState<S>[] = [];
  const flush = () => {
    const leaving = waiting;
    waiting = [];
    for (const state of leaving) emit(context, node, accumulation, state, next);
  };
  context.flushes.push({ node: node.id, flush });
  return (record: AnyRecord) => {
    const { timestamp, value } = record;
    let windowStart = 0;
    if (sizeMs > 0) {
      windowStart = Math.floor(timestamp / sizeMs) * sizeMs;
      const streamTime = advanceStreamTime(context, node.name, timestamp);
      if (windowStart + sizeMs <= streamTime - graceMs) {
        context.counters.late++;
        return late(record);
      }
    }
    let state: GroupState<S> | undefined;
    try {
      const name = only === undefined ? undefined : value[only];
      let entry = recent.get(name);
      state = entry?.value;
      if (entry !== undefined && state !== undefined && state.windowStart === windowStart) grow(state, value, timestamp);
      else {
        const key = keyOf(value);
        entry = store.find(windowStart, key);
        state = entry?.value;
        if (entry === undefined || state === undefined) {
          state = begin(value, timestamp, windowStart);
          entry = store.insert(windowStart, key, state);
        } else {
          state.windowStart = windowStart;
          grow(state, value, timestamp);
        }
        recent.set(name, entry);
      }
      store.change(windowStart, entry);
    } catch (cause) {
      if (cause instanceof TopologyError) throw cause;
      return refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
    if (!state.waiting) {
      state.waiting = true;
      state.group ??= groupOf(value);
      waiting.push(state);
    }
    state.origin = context.origin;
  };
}

function emit<S>(context: TaskContext, node: AggregateNode, accumulation: Accumulation<S>, state: GroupState<S>, next: Link): void {
  const { group, origin } = state;
  state.waiting = false;
  state.origin = undefined;
  if (group === undefined || origin === undefined) return;
  const row: Record<string, unknown> = {};
  for (let index = 0; index < group.length; index++) row[node.groupBy[index] as string] = group[index];
  if (node.window !== undefined) {
    row["window_start"] = state.windowStart;
    row["window_end"] = state.windowStart + node.window.sizeMs;
  }
  accumulation.fill(row, state.total);
  row["updates"] = state.updates;
  enter(context, origin);
  next({ key: group.length === 1 ? String(group[0]) : group.map(String).join("|"), value: row, timestamp: state.timestamp, headers: origin.headers });
}
