import type { AggregateKind, Aggregator, DurationMs } from "@iot-topology/core";

/** A column of a table: name and ClickHouse type. */
export interface ColumnDeclaration {
  readonly name: string;
  readonly type: string;
}

/** The newest row of each `by`, kept by a materialized view, under a plain view. */
export interface LatestOptions<Field extends string = string> {
  readonly view: string;
  readonly by: readonly Field[];
  /** Fields that order rows in time, the most significant first. Equal ones are ordered by place in the log. */
  readonly newest: readonly Field[];
}

/** Aggregates of fixed windows of event time in UTC, kept by a materialized view, under a plain view. */
export interface WindowOptions<Field extends string = string, V = never> {
  readonly view: string;
  readonly every: DurationMs;
  /** The field of event time: a DateTime or DateTime64 column. */
  readonly time: Field;
  readonly by: readonly Field[];
  readonly aggregates: Readonly<Record<string, Aggregator<V, unknown>>>;
}

/** What was known at each midnight UTC: a row a midnight and `by`. */
export interface AsOfDailyOptions<Field extends string = string> {
  readonly table: string;
  readonly by: readonly Field[];
  readonly newest: readonly Field[];
}

/** What was known at any moment: `SELECT * FROM view(as_of = '2026-01-01 00:00:00')`. */
export interface AsOfOptions<Field extends string = string> {
  readonly view: string;
  readonly by: readonly Field[];
  readonly newest: readonly Field[];
}

/** A plain view of one's own. `{name}` stands for the table or view of that name. */
export interface PlainViewOptions {
  readonly view: string;
  readonly select: string;
}

/** Options of `clickhouse.history`. */
export interface HistoryOptions<V = never, Field extends string = keyof V & string> {
  /** The sorting key. It identifies a row: of rows with equal keys ClickHouse keeps one. */
  readonly orderBy: readonly Field[];
  readonly latest?: readonly LatestOptions<Field>[];
  readonly windows?: readonly WindowOptions<Field, V>[];
  readonly asOfDaily?: readonly AsOfDailyOptions<Field>[];
  readonly asOf?: readonly AsOfOptions<Field>[];
  readonly views?: readonly PlainViewOptions[];
  /** An expression over fields of the sorting key: `toYYYYMM(event_time)`. None by default. */
  readonly partitionBy?: string;
  /** When rows go: `event_time + INTERVAL 90 DAY`. Never by default. Views keep what they hold. */
  readonly ttl?: string;
  /** The name of the column that holds the log's timestamp. `load_time` by default. */
  readonly loadTimeColumn?: string;
}

/** Options of `clickhouse.upsert`. */
export interface UpsertOptions<Field extends string = string> {
  readonly key: readonly Field[];
  /** The field by which the newest row of a key stands: the greatest wins. */
  readonly version: Field;
}

/** The columns that name a row's place in the log; together they identify it. */
export interface IdentityColumns {
  readonly topic: string;
  readonly partition: string;
  readonly offset: string;
  readonly index: string;
}

/** One aggregated column of a window view. */
export interface AggregateDeclaration {
  readonly name: string;
  readonly kind: AggregateKind;
  readonly field: string | null;
}

/** A window view, as the connector keeps it. */
export interface WindowDeclaration {
  readonly view: string;
  readonly everyMs: DurationMs;
  readonly time: ColumnDeclaration;
  readonly by: readonly ColumnDeclaration[];
  readonly aggregates: readonly AggregateDeclaration[];
}

/** A newest-row view or table, as the connector keeps it. */
export interface NewestDeclaration {
  readonly name: string;
  readonly by: readonly string[];
  readonly newest: readonly string[];
}

/** An append-only table and what hangs on it. */
export interface HistoryDeclaration {
  readonly kind: "history";
  readonly table: string;
  /** All columns in the order of the binary rows: the schema's, then the load time and the place in the log. */
  readonly columns: readonly ColumnDeclaration[];
  /** The columns that views show: the schema's and the load time. */
  readonly shown: readonly ColumnDeclaration[];
  readonly identity: IdentityColumns;
  /** Null for tables without as-of views. */
  readonly loadTime: string | null;
  readonly orderBy: readonly string[];
  readonly partitionBy: string | null;
  readonly ttl: string | null;
  readonly latest: readonly NewestDeclaration[];
  readonly windows: readonly WindowDeclaration[];
  readonly asOfDaily: readonly NewestDeclaration[];
  readonly asOf: readonly NewestDeclaration[];
  readonly views: readonly PlainViewOptions[];
}

/** A table of which the newest version of each key shows. */
export interface UpsertDeclaration {
  readonly kind: "upsert";
  readonly view: string;
  readonly columns: readonly ColumnDeclaration[];
  readonly key: readonly string[];
  readonly version: string;
}

/** What a ClickHouse sink's spec declares. */
export type Declaration = HistoryDeclaration | UpsertDeclaration;

/** Names of the tables behind a named view, in one place. */
export const names = {
  state: (view: string): string => `${view}_state`,
  trigger: (view: string): string => `${view}_mv`,
  data: (view: string): string => `${view}_data`,
  notes: (table: string): string => `${table}_notes`,
};
