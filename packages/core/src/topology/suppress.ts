/** Suppress: what is held back, until when, and what happens when there is too much of it. */
import type { DurationMs } from "../model/index.ts";
import type { Serde } from "../schema/index.ts";
import type { TopologyDraft } from "./draft.ts";
import type { NodeId, TopologyNode } from "./node.ts";
import type { AnySerde } from "./table-nodes.ts";
import type { SuppressBuffer, SuppressNode } from "./window-nodes.ts";

/**
 * Bounds of a suppress's buffer, which is a store: what is held survives a restart, and memory is bounded whatever it holds.
 *
 * - `spill` (the default): nothing bounds what is held but the disk; `recordsMax` is then how many held changes are kept in memory besides.
 * - `fail`: the task fails with `BUFFER_FULL` when more is held than `recordsMax` changes or `bytesMax` bytes of keys and values.
 * - `emit-early`: the oldest changes leave before their time instead.
 */
export type BufferOptions<Full extends SuppressBuffer["full"] = SuppressBuffer["full"]> =
  | { readonly full?: "spill"; readonly recordsMax?: number; readonly bytesMax?: never }
  | { readonly full: Exclude<Full, "spill">; readonly recordsMax: number; readonly bytesMax?: number }
  | { readonly full: Exclude<Full, "spill">; readonly recordsMax?: number; readonly bytesMax: number };

/** Until when a table's changes are held back. Made by {@link untilTimeLimit}. */
export interface UntilTimeLimit {
  readonly kind: "time-limit";
  readonly limitMs: DurationMs;
  readonly buffer: SuppressBuffer;
}

/** Until when a windowed table's changes are held back. Made by {@link untilWindowCloses}. */
export interface UntilWindowCloses {
  readonly kind: "window-closes";
  readonly buffer: SuppressBuffer;
}

/** Options of a suppress. */
export interface SuppressOptions<V> {
  /** How held values are kept; as in the nearest store before it when absent. */
  readonly value?: Serde<V>;
}

function bufferOf(options: BufferOptions | undefined): SuppressBuffer {
  return Object.freeze({ ...options, full: options?.full ?? "spill" });
}

/**
 * Holds each key's change back for a time, and sends on the last one: at most one change a key in `limit` of stream time. The time counts from the key's first held change, and stays
 * when others replace it.
 *
 * @example users.suppress("calm-users", untilTimeLimit(minutes(1))).toStream()
 */
export function untilTimeLimit(limit: DurationMs, options: { readonly buffer?: BufferOptions } = {}): UntilTimeLimit {
  return Object.freeze({ kind: "time-limit", limitMs: limit, buffer: bufferOf(options.buffer) });
}

/**
 * Holds each window's result back until nothing can change it any more, and sends it once: when the stream time reaches a tumbling or hopping window's end and grace, or is greater
 * than a sliding window's end and grace or a session's end, gap and grace. The same results as with `emit: "close"`, which costs less; this one can stand behind `filter` and `mapValues`.
 *
 * @example
 * clicks.groupByKey().windowed(tumbling(minutes(1), { grace: minutes(1) })).count("clicks-a-minute").suppress("final-clicks", untilWindowCloses()).toStream()
 */
export function untilWindowCloses(options: { readonly buffer?: BufferOptions<"fail" | "spill"> } = {}): UntilWindowCloses {
  return Object.freeze({ kind: "window-closes", buffer: bufferOf(options.buffer) });
}

function nearest<T>(draft: TopologyDraft, id: NodeId, find: (node: TopologyNode) => T | undefined, passes: (node: TopologyNode) => boolean): T | undefined {
  for (let node = draft.node(id); ; node = draft.node(node.upstream[0] as NodeId)) {
    const found = find(node);
    if (found !== undefined || !passes(node)) return found;
  }
}

/** Adds the node of a suppress. */
export function addSuppress(draft: TopologyDraft, upstream: NodeId, name: string, until: UntilTimeLimit | UntilWindowCloses, serde: AnySerde | undefined): NodeId {
  const stored = (node: TopologyNode): AnySerde | undefined => ("serde" in node ? node.serde : undefined);
  const windows = (node: TopologyNode): SuppressNode["windowed"] => {
    if (node.kind === "windowed-aggregate") return { node: node.id, window: node.window, emit: node.emit };
    return node.kind === "suppress" ? node.windowed && { ...node.windowed, emit: "close" } : undefined;
  };
  return draft.add({
    kind: "suppress",
    name,
    upstream: [upstream],
    serde: serde ?? nearest(draft, upstream, stored, ({ kind }) => kind === "table-filter"),
    until: until.kind === "time-limit" ? Object.freeze({ kind: until.kind, limitMs: until.limitMs }) : Object.freeze({ kind: until.kind }),
    buffer: until.buffer,
    windowed: nearest(draft, upstream, windows, ({ kind }) => kind === "table-filter" || kind === "table-map"),
  });
}
