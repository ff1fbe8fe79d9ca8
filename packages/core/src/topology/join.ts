import { type DurationMs, type StreamRecord, TopologyError } from "../model/index.ts";
import type { Serde } from "../schema/index.ts";
import type { TopologyDraft } from "./draft.ts";
import type { Joiner } from "./join-nodes.ts";
import type { JoinWindow } from "./join-window.ts";
import type { NodeId } from "./node.ts";
import { errorPolicy, type OnError } from "./policy.ts";

/**
 * Options of a join of a stream with a table. With `grace`, which needs a versioned table (`history`), a record waits until the stream's time has passed its own by so much: the
 * table's rows may come that late. It is joined as of its own time, and results leave in the order of time. Waiting records are kept in a store, which has the join's name.
 */
export type TableJoinOptions<V> = { readonly onError?: OnError } & (
  | { readonly name?: string; readonly grace?: never; readonly value?: never }
  | {
      readonly name: string;
      readonly grace: DurationMs;
      /** How waiting records' values are kept. */
      readonly value: Serde<NonNullable<V>>;
    }
);

/** Options of a join of two streams. Both sides' records are kept in stores of the join's name for as long as they can be matched. */
export interface StreamJoinOptions<V, W> {
  readonly name: string;
  /** How far apart two records may be. */
  readonly within: JoinWindow;
  /** How this stream's values are kept. */
  readonly left: Serde<NonNullable<V>>;
  /** How the other stream's values are kept. */
  readonly right: Serde<NonNullable<W>>;
  readonly onError?: OnError;
}

/** A handle that takes part in a join. */
interface JoinSide {
  readonly draft: TopologyDraft;
  readonly nodeId: NodeId;
}

function sameDraft(one: JoinSide, other: JoinSide): TopologyDraft {
  if (one.draft === other.draft) return one.draft;
  throw new TopologyError("PLAN_INVALID", "a join of streams or tables of different topologies", {
    place: one.draft.topology,
    cure: `bring both sides into one topology, or read a topic that ${other.draft.topology} writes`,
  });
}

/** Adds the node of a join of two streams. */
export function addStreamJoin(join: "inner" | "left" | "outer", left: JoinSide, right: JoinSide, joiner: Joiner, options: StreamJoinOptions<unknown, unknown>): NodeId {
  const { name, within } = options;
  return sameDraft(left, right).add({
    kind: "stream-stream-join",
    name,
    upstream: [left.nodeId, right.nodeId],
    join,
    joiner,
    window: within,
    left: options.left,
    right: options.right,
    onError: errorPolicy(options.onError),
  });
}

/** Options of a join of a stream with a global table. */
export interface GlobalTableJoinOptions<V> {
  readonly name?: string;
  /** The key of the row that a record is joined with; null for none. */
  readonly key: (value: NonNullable<V>, record: StreamRecord<NonNullable<V>>) => string | null;
  readonly onError?: OnError;
}

/** Adds the node of a stream's join with a global table. */
export function addGlobalTableJoin(join: "inner" | "left", stream: JoinSide, table: JoinSide, joiner: Joiner, { name, key, onError }: GlobalTableJoinOptions<unknown>): NodeId {
  return sameDraft(stream, table).add({ kind: "stream-global-table-join", name, upstream: [stream.nodeId], join, globalTable: table.nodeId, key, joiner, onError: errorPolicy(onError) });
}

/** Adds the node of a stream's join with a table. */
export function addTableJoin(join: "inner" | "left", stream: JoinSide, table: JoinSide, joiner: Joiner, options: TableJoinOptions<unknown>): NodeId {
  const { name, grace, value } = options;
  if (grace !== undefined && (name === undefined || value === undefined)) {
    throw new TopologyError("PLAN_INVALID", "a join with grace keeps records, and has no name or no serde for them", { place: name ?? "join with a table", cure: 'give it { name: "...", grace, value: serde }' });
  }
  return sameDraft(stream, table).add({
    kind: "stream-table-join",
    name,
    upstream: [stream.nodeId, table.nodeId],
    join,
    joiner,
    hold: grace === undefined || value === undefined ? undefined : Object.freeze({ graceMs: grace, serde: value }),
    onError: errorPolicy(options.onError),
  });
}
