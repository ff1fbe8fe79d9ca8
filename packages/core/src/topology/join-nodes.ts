/** Steps that bring the records of a stream together with another stream's, or with a table's rows. */
import type { StreamRecord } from "../model/index.ts";
import type { JoinWindow } from "./join-window.ts";
import type { ErrorPolicy, NodeBase, NodeId } from "./node.ts";
import type { AnySerde } from "./table-nodes.ts";

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- values pass between steps of different types; the handles carry the types.
type AnyValue = any;

/** Makes one value of two; null stands for the side that has none. */
export type Joiner = (left: AnyValue, right: AnyValue, key: string | null) => AnyValue;

/** Looks up the row of each record's key in a table: its upstream is the stream, then the table. */
export interface StreamTableJoinNode extends NodeBase {
  readonly kind: "stream-table-join";
  readonly join: "inner" | "left";
  readonly joiner: Joiner;
  /** Set where records wait for rows of a versioned table that come late. */
  readonly hold: { readonly graceMs: number; readonly serde: AnySerde } | undefined;
  readonly onError: ErrorPolicy;
}

/** Looks up a row of a global table by a key that a function gives: its upstream is the stream alone. */
export interface StreamGlobalTableJoinNode extends NodeBase {
  readonly kind: "stream-global-table-join";
  readonly join: "inner" | "left";
  readonly globalTable: NodeId;
  readonly key: (value: AnyValue, record: StreamRecord<AnyValue>) => string | null;
  readonly joiner: Joiner;
  readonly onError: ErrorPolicy;
}

/** Joins the records of two streams with equal keys within a time: its upstream is the left one, then the right one. */
export interface StreamStreamJoinNode extends NodeBase {
  readonly kind: "stream-stream-join";
  readonly name: string;
  readonly join: "inner" | "left" | "outer";
  readonly joiner: Joiner;
  readonly window: JoinWindow;
  readonly left: AnySerde;
  readonly right: AnySerde;
  readonly onError: ErrorPolicy;
}

/** The nodes of this file. */
export type AnyJoinNode = StreamTableJoinNode | StreamGlobalTableJoinNode | StreamStreamJoinNode;
