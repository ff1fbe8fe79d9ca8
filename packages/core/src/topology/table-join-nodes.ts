/** Steps that make a table of the rows of others: regrouped, or joined. */
import type { ErrorPolicy, NodeBase, NodeId } from "./node.ts";
import type { AnySerde } from "./table-nodes.ts";

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- values pass between steps of different types; the handles carry the types.
type AnyValue = any;

/** Where a row of a table counts, and with which value. A row whose group is null counts nowhere. */
export interface GroupedRow<W> {
  readonly key: string | null;
  readonly value: W;
}

/** A table's changes under the keys of their groups. */
export interface TableGroupNode extends NodeBase {
  readonly kind: "table-group";
  readonly group: (value: AnyValue, key: string) => GroupedRow<AnyValue>;
  readonly onError: ErrorPolicy;
}
/** An aggregate of the rows of a table, a group: what a row was is subtracted, what it became is added. */
export interface TableAggregateNode extends NodeBase {
  readonly kind: "table-aggregate";
  readonly name: string;
  readonly serde: AnySerde;
  readonly aggregation: TableAggregation;
}
/** `init` absent: the first value starts the total, as in a reduce. Null from either function deletes the total. */
export interface TableAggregation {
  readonly kind: "count" | "reduce" | "aggregate";
  readonly init: (() => AnyValue) | undefined;
  readonly add: (total: AnyValue, value: AnyValue, key: string) => AnyValue;
  readonly subtract: (total: AnyValue, value: AnyValue, key: string) => AnyValue;
}
/** A join of two tables by their keys. */
export interface TableJoinNode extends NodeBase {
  readonly kind: "table-join";
  readonly join: "inner" | "left" | "outer";
  readonly joiner: (left: AnyValue, right: AnyValue, key: string) => AnyValue;
  /** Set where the result is kept in a store, which has the node's name. */
  readonly serde: AnySerde | undefined;
  readonly onError: ErrorPolicy;
}
/** A join of a table's rows with those of another that they name, which stands behind this one upstream or is a global table. The name is that of the store of subscriptions. */
export interface ForeignKeyJoinNode extends NodeBase {
  readonly kind: "foreign-key-join";
  readonly name: string;
  readonly join: "inner" | "left";
  readonly globalTable: NodeId | undefined;
  readonly foreignKey: (value: AnyValue, key: string) => string | null | undefined;
  readonly joiner: (left: AnyValue, right: AnyValue, key: string) => AnyValue;
  readonly onError: ErrorPolicy;
}

/** The nodes of this file. */
export type AnyTableJoinNode = TableGroupNode | TableAggregateNode | TableJoinNode | ForeignKeyJoinNode;
