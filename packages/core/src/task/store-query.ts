/**
 * Looks into a task's stores from outside: committed state only, read from the store itself, so that an answer never holds what a crash could take back.
 */
import { ByteReader, ByteWriter, TopologyError } from "../model/index.ts";
import type { StateBackend } from "../state/backend.ts";
import { readEntry } from "../state/sealed.ts";
import { startText } from "../state/window-table.ts";
import type { AggregateNode, DedupNode, TopologyNode, WindowedGroupNode } from "../topology/index.ts";
import { compileAccumulation } from "./accumulation.ts";
import { type GroupTotal, groupTotalCodec, windowRow } from "./group-total.ts";
import type { ReadPlace } from "./readers/reader.ts";
import { windowLookup, windowSizeMs } from "./readers/window-lookup.ts";
import { compileScalarKey } from "./scalar-key.ts";
import { storedTotals } from "./windowing/index.ts";

/** Windows that one query looks at, at most. */
export const QUERY_WINDOWS_MAX = 10_000;

/** A key of a store: its fields. */
export type StoreKey = Readonly<Record<string, unknown>>;

/** Which windows, by their start in epoch milliseconds: from `from` (included) to `to` (excluded); those sessions that reach into that time. */
export interface WindowRange {
  readonly from: number;
  readonly to: number;
}

/** A store that can be asked. */
export interface StoreQuery {
  readonly name: string;
  readonly kind: "group" | "window" | "session" | "dedup";
  readonly keyFields: readonly string[];
  readonly windowMs: number | undefined;
  /** How far apart its windows begin; the length of sliding windows, the gap of sessions. 1 where it has none. */
  readonly stepMs: number;
  readonly node: AggregateNode | DedupNode | WindowedGroupNode;
  /** Rows as the step sends them on, as the last commit left them; none where the key is not there. Throws USAGE where the range is too long. */
  ask(place: ReadPlace, key: StoreKey, range: WindowRange): readonly Record<string, unknown>[];
}

const NUL = "\0";

function groupQuery(node: AggregateNode): StoreQuery {
  const accumulation = compileAccumulation(node);
  const keyOf = compileScalarKey(node.groupBy);
  const scratch = new ByteWriter(256);
  const sizeMs = node.window?.sizeMs;
  const rowAt = (backend: StateBackend, prefix: string, key: StoreKey, start: number | undefined): Record<string, unknown>[] => {
    const payload = readEntry(backend, scratch, prefix, keyOf(key), `store ${node.name}`);
    if (payload === undefined) return [];
    const state = accumulation.codec.decode(new ByteReader(payload));
    const row: Record<string, unknown> = {};
    for (const field of node.groupBy) row[field] = key[field];
    if (start !== undefined && sizeMs !== undefined) Object.assign(row, { window_start: start, window_end: start + sizeMs });
    accumulation.fill(row, state.total);
    row["updates"] = state.updates;
    return [row];
  };
  return {
    name: node.name,
    kind: sizeMs === undefined ? "group" : "window",
    keyFields: node.groupBy,
    windowMs: sizeMs,
    stepMs: sizeMs ?? 1,
    node,
    ask({ backend }, key, { from, to }) {
      if (sizeMs === undefined) return rowAt(backend, `s${NUL}${node.name}${NUL}`, key, undefined);
      const first = Math.ceil(from / sizeMs) * sizeMs;
      if ((to - first) / sizeMs > QUERY_WINDOWS_MAX) {
        throw new TopologyError("USAGE", `the range holds ${Math.ceil((to - first) / sizeMs)} windows`, { place: `store ${node.name}`, cure: `ask for at most ${QUERY_WINDOWS_MAX}` });
      }
      const rows: Record<string, unknown>[] = [];
      for (let start = first; start < to; start += sizeMs) rows.push(...rowAt(backend, `w${NUL}${node.name}${NUL}${startText(start)}${NUL}`, key, start));
      return rows;
    },
  };
}

/** Groups of fields over windows other than those of `groupQuery`. */
function windowedGroupQuery(node: WindowedGroupNode): StoreQuery {
  const { name, groupBy, window } = node;
  const accumulation = compileAccumulation(node);
  const keyOf = compileScalarKey(groupBy);
  const lookUp = windowLookup(node, storedTotals(node, groupTotalCodec(accumulation, groupBy.length)));
  const windowMs = windowSizeMs(window);
  return {
    name,
    kind: window.kind === "session" ? "session" : "window",
    keyFields: groupBy,
    windowMs,
    stepMs: window.kind === "session" ? window.gapMs : window.kind === "hopping" ? window.advanceMs : (windowMs as number),
    node,
    ask(place, key, { from, to }) {
      // Windows begin at whole milliseconds.
      return lookUp(place, keyOf(key), from, Math.ceil(to) - 1).map(({ start, end, value }) => windowRow(accumulation, groupBy, start, end, value as GroupTotal<never>));
    },
  };
}

function dedupQuery(node: DedupNode, fields: readonly string[]): StoreQuery {
  const keyOf = compileScalarKey(fields);
  const scratch = new ByteWriter(256);
  return {
    name: node.name,
    kind: "dedup",
    keyFields: fields,
    windowMs: undefined,
    stepMs: 1,
    node,
    ask({ backend }, key) {
      const seen = readEntry(backend, scratch, `s${NUL}${node.name}${NUL}`, keyOf(key), `store ${node.name}`) !== undefined;
      return seen ? [{ ...key, seen }] : [];
    },
  };
}

/** The stores of these steps that can be asked: aggregates, and dedups that keep a key a record. */
export function storeQueries(nodes: readonly TopologyNode[]): StoreQuery[] {
  return nodes.flatMap((node) => {
    if (node.kind === "aggregate") return [groupQuery(node)];
    if (node.kind === "windowed-group") return [windowedGroupQuery(node)];
    if (node.kind === "dedup" && node.fields !== undefined && node.sequenceField === undefined && node.withinMs === undefined) return [dedupQuery(node, node.fields)];
    return [];
  });
}
