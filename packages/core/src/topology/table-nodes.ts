/** Steps over keys and tables. Between tables flow changes: what a key's value became, and what it was. */
import type { RecordKey, StreamRecord } from "../model/index.ts";
import type { Serde } from "../schema/index.ts";
import type { ErrorPolicy, NodeBase } from "./node.ts";

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- values pass between steps of different types; the handles carry the types.
type AnyValue = any;
/** A serde of whatever type. */
export type AnySerde = Serde<AnyValue>;

/** A key and a value that a step puts in a record's place. Timestamp and headers stay where they are absent. */
export interface KeyValue<V> {
  readonly key: RecordKey;
  readonly value: V;
  readonly timestamp?: number;
  readonly headers?: StreamRecord<V>["headers"];
}

/** Bytes of a topic to values, nulls passing as they are. */
export interface DecodeNode extends NodeBase {
  readonly kind: "decode";
  readonly serde: AnySerde;
  readonly timestamp: ((value: AnyValue, record: StreamRecord<AnyValue>) => number) | undefined;
  readonly payloadBytesMax: number;
  readonly onError: ErrorPolicy;
}
export interface MapRecordNode extends NodeBase {
  readonly kind: "map-record";
  readonly map: (record: StreamRecord<AnyValue>) => KeyValue<AnyValue>;
  readonly onError: ErrorPolicy;
}
export interface FlatMapRecordNode extends NodeBase {
  readonly kind: "flat-map-record";
  readonly map: (record: StreamRecord<AnyValue>) => Iterable<KeyValue<AnyValue>>;
  readonly onError: ErrorPolicy;
}
/** A stream read as upserts: the last value a key, null deletes. */
export interface TableNode extends NodeBase {
  readonly kind: "table";
  readonly name: string;
  readonly serde: AnySerde;
  /** How far back in stream time the table can be asked; undefined where it keeps only the last values. */
  readonly historyMs: number | undefined;
  /** How long in stream time a row stands after its last update; undefined for ever. */
  readonly ttlMs: number | undefined;
}
export interface TableFilterNode extends NodeBase {
  readonly kind: "table-filter";
  readonly predicate: (value: AnyValue, key: string) => boolean;
  /** Set where the result is kept in a store, which has the node's name. */
  readonly serde: AnySerde | undefined;
  /** As of how far back it can be asked, where it is made of a versioned table without a store of its own. */
  readonly historyMs: number | undefined;
  readonly onError: ErrorPolicy;
}
export interface TableMapNode extends NodeBase {
  readonly kind: "table-map";
  readonly map: (value: AnyValue, key: string) => AnyValue;
  /** Set where the result is kept in a store, which has the node's name. */
  readonly serde: AnySerde | undefined;
  /** As of how far back it can be asked, where it is made of a versioned table without a store of its own. */
  readonly historyMs: number | undefined;
  readonly onError: ErrorPolicy;
}
/** A table's changes as records. */
export interface ToStreamNode extends NodeBase {
  readonly kind: "to-stream";
  /** Whether changes of former versions, which make no difference to what stands now, are dropped and counted (`out-of-order`). */
  readonly isLatest: boolean;
}
/** An aggregate a key, without windows. */
export interface KeyedAggregateNode extends NodeBase {
  readonly kind: "keyed-aggregate";
  readonly name: string;
  readonly serde: AnySerde;
  readonly aggregation: KeyedAggregation;
  /** How long in stream time a total stands after its last update; undefined for ever. */
  readonly ttlMs: number | undefined;
  readonly onError: ErrorPolicy;
}
/** `init` absent: the first value starts the total, as in a reduce. Null from `add` deletes the total. */
export interface KeyedAggregation {
  readonly kind: "count" | "reduce" | "aggregate";
  readonly init: (() => AnyValue) | undefined;
  readonly add: (total: AnyValue, value: AnyValue, key: string) => AnyValue;
}

/** The nodes of this file. */
export type AnyTableNode = DecodeNode | MapRecordNode | FlatMapRecordNode | TableNode | TableFilterNode | TableMapNode | ToStreamNode | KeyedAggregateNode;
