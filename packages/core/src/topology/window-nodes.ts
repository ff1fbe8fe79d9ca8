/** Steps over windows and groups of several streams. Between windowed tables flow changes as between tables, each with its window. */
import type { AggregateNode, AnySchema, ErrorPolicy, NodeBase, NodeId } from "./node.ts";
import type { AnySerde } from "./table-nodes.ts";
import type { Window } from "./window.ts";

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- values pass between steps of different types; the handles carry the types.
type AnyValue = any;

/** When a window's results leave: with each record that changes them, once when the window is closed, or those that changed at each commit. */
export type WindowEmit = "update" | "close" | "commit";

/** How totals start, grow and come together. */
export interface WindowedAggregation {
  readonly kind: "count" | "reduce" | "aggregate" | "cogroup";
  /** Absent: the first value starts the total, as in a reduce. */
  readonly init: (() => AnyValue) | undefined;
  /** One for each of the node's inputs. Null deletes the total. */
  readonly adds: readonly ((total: AnyValue, value: AnyValue, key: string) => AnyValue)[];
  /** Of two sessions' totals, the older first; only for sessions. */
  readonly merge: ((total: AnyValue, other: AnyValue, key: string) => AnyValue) | undefined;
}

/** An aggregate a key and window, over one stream or several. */
export interface WindowedAggregateNode extends NodeBase {
  readonly kind: "windowed-aggregate";
  readonly name: string;
  readonly serde: AnySerde;
  readonly window: Window;
  readonly emit: "update" | "close";
  /** Keeps state longer than records can still come for it; undefined for just as long. */
  readonly retentionMs: number | undefined;
  readonly aggregation: WindowedAggregation;
  readonly onError: ErrorPolicy;
}

/** Columns of aggregates, or a reduce, a group of fields and window; all but tumbling windows whose rows leave at commits, which are an `aggregate`. */
export interface WindowedGroupNode extends NodeBase {
  readonly kind: "windowed-group";
  readonly name: string;
  readonly groupBy: readonly string[];
  readonly schema: AnySchema | undefined;
  readonly window: Window;
  readonly emit: WindowEmit;
  readonly retentionMs: number | undefined;
  readonly aggregation: AggregateNode["aggregation"];
  readonly onError: ErrorPolicy;
}

/** An aggregate a key over several streams, without windows. */
export interface CogroupNode extends NodeBase {
  readonly kind: "cogroup";
  readonly name: string;
  readonly serde: AnySerde;
  readonly init: () => AnyValue;
  /** One for each of the node's inputs. Null deletes the total. */
  readonly adds: readonly ((total: AnyValue, value: AnyValue, key: string) => AnyValue)[];
  readonly ttlMs: number | undefined;
  readonly onError: ErrorPolicy;
}

/** What a suppress does when its buffer is full; undefined bounds nothing. */
export interface SuppressBuffer {
  readonly recordsMax?: number;
  readonly bytesMax?: number;
  readonly full: "emit-early" | "fail" | "spill";
}

/** Holds changes back, and sends on the last of each key. */
export interface SuppressNode extends NodeBase {
  readonly kind: "suppress";
  readonly name: string;
  /** How held values are kept: that of the nearest store before it, or the user's; undefined is an error of the plan. */
  readonly serde: AnySerde | undefined;
  readonly until: { readonly kind: "window-closes" } | { readonly kind: "time-limit"; readonly limitMs: number };
  readonly buffer: SuppressBuffer;
  /** The windows of the table before it; undefined where it has none. */
  readonly windowed: { readonly node: NodeId; readonly window: Window; readonly emit: WindowEmit } | undefined;
}

/** The nodes of this file. */
export type AnyWindowNode = WindowedAggregateNode | WindowedGroupNode | CogroupNode | SuppressNode;
