import type { ColumnDeclaration } from "./declaration.ts";

/** A table to be made. */
export interface TableObject {
  readonly name: string;
  readonly columns: readonly ColumnDeclaration[];
  readonly indexes: readonly string[];
  readonly engine: "ReplacingMergeTree" | "AggregatingMergeTree";
  /** The version column of a ReplacingMergeTree. */
  readonly version: string | null;
  readonly orderBy: readonly string[];
  readonly partitionBy: string | null;
  readonly ttl: string | null;
  /** How many blocks' tokens are remembered. */
  readonly deduplicationWindow: number;
  /** Whether an insert must survive a power cut, whatever the server's own setting is. */
  readonly isSynced?: boolean;
}

/** A plain view to be made. `select` names tables through {@link Names}. */
export interface ViewObject {
  readonly name: string;
  readonly select: string;
}

/** A table that is filled from a history, by a trigger (a materialized view) or by the connector, and can be rebuilt from it. */
export interface DerivedObject {
  readonly table: TableObject;
  /** The materialized view, or null where the connector fills the table. */
  readonly trigger: ViewObject | null;
  /** What the connector notes about the table; made anew with it. */
  readonly notes: TableObject | null;
  readonly source: string;
  /** Whether the history still has all rows; false where a TTL removes some. */
  readonly isRebuildable: boolean;
}

/** Everything that a spec needs in the database, in the order of making. */
export interface ObjectSet {
  readonly base: TableObject;
  readonly derived: readonly DerivedObject[];
  readonly views: readonly ViewObject[];
}

/** A name with its database, quoted. */
export type Qualify = (name: string) => string;
