import { type DurationMs, TopologyError } from "../model/index.ts";
import type { Serde } from "../schema/index.ts";
import type { TopologyDraft } from "./draft.ts";
import { type ForeignKeyTopics, joinThroughTopics } from "./foreign-key-topics.ts";
import { GlobalTable } from "./global-table.ts";
import type { NodeId } from "./node.ts";
import { errorPolicy, type OnError } from "./policy.ts";
import type { Stream } from "./stream.ts";
import { addSuppress, type SuppressOptions, type UntilTimeLimit } from "./suppress.ts";
import { addChangeRepartition, TableGroup } from "./table-group.ts";
import type { GroupedRow, TableJoinNode } from "./table-join-nodes.ts";

/** How long a table keeps what it holds. Both are in stream time: the greatest time of a record that the table has seen. */
export type RowOptions =
  | {
      /**
       * Makes the table a versioned one: each row is kept with its former versions, those that stood at most so long ago. It can be joined as of a record's time, and an update
       * that comes out of order takes its place among the versions. One older than this is dropped and counted (`expired`). Only the last values are kept unless given.
       */
      readonly history?: DurationMs;
      readonly ttl?: never;
    }
  | {
      readonly history?: never;
      /**
       * How long a row stands after its last update. A row whose time is at least this far behind the stream time is deleted: a deletion is forwarded, with the time at which the
       * row ended. An update that is as old as that when it comes is dropped and counted (`expired`). For ever unless given.
       */
      readonly ttl?: DurationMs;
    };

/** Options of a topic that is read as a table. */
export type TableOptions<T> = RowOptions & {
  /** The name of the store. */
  readonly store: string;
  /** How values stand in the topic and in the store. */
  readonly value: Serde<T>;
  /** For values that the serde cannot read. */
  readonly onError?: OnError;
};

/**
 * Options of a step between tables. Its result is computed when it is asked for, unless a store is named. A row on which the user's function throws goes by `onError`, and is a
 * deletion in the result.
 */
export type TableStepOptions<T> = { readonly onError?: OnError } & ({ readonly store?: never; readonly value?: never; readonly name?: string } | { readonly store: string; readonly value: Serde<T>; readonly name?: never });

/** Options of the grouping of a table. */
export type TableGroupOptions<W> = { readonly name?: string; readonly onError?: OnError } & (
  | { readonly repartition?: never; readonly value?: never; readonly partitions?: never }
  | {
      /** The name of a repartition, for tables of several partitions. */
      readonly repartition: string;
      /** How the groups' values stand in its topic. */
      readonly value: Serde<W>;
      /** As many as the part that writes has, when absent. */
      readonly partitions?: number;
    }
);

/** A table as a join sees it. */
interface JoinedTable {
  readonly draft: TopologyDraft;
  readonly nodeId: NodeId;
}

/** Options of a join by foreign key. */
export type ForeignKeyJoinOptions<V, W, R> = {
  /** The name of the store that keeps which rows name which foreign key. */
  readonly name: string;
  /** The key of the other table's row that a row names; null where it names none. */
  readonly foreignKey: (value: V, key: string) => string | null | undefined;
  /** The topics of the topology's own through which tables of several partitions are joined. */
  readonly repartition?: ForeignKeyTopics<V, W>;
  readonly onError?: OnError;
} & ({ readonly store?: never; readonly value?: never } | { readonly store: string; readonly value: Serde<R> });

/**
 * A table: the last value of each key, and a stream of its changes. Every update is forwarded, one that sets the same value too. Updates are taken in
 * the order in which they are read: one with an older timestamp replaces a newer one, as in Kafka Streams' unversioned tables.
 */
export class Table<V> {
  readonly draft: TopologyDraft;
  readonly nodeId: NodeId;

  constructor(draft: TopologyDraft, nodeId: NodeId) {
    this.draft = draft;
    this.nodeId = nodeId;
  }

  /** A store keeps the last values only. */
  #history(store: string | undefined): number | undefined {
    const node = this.draft.node(this.nodeId);
    return store === undefined && "historyMs" in node ? node.historyMs : undefined;
  }

  /** Keeps the rows for which the predicate holds. A row that no longer does is a deletion in the result, and one that did not before either makes no change. */
  filter(predicate: (value: V, key: string) => boolean, options: TableStepOptions<V> = {}): Table<V> {
    const { store, value, onError } = options;
    return this.draft.table(this.draft.add({ kind: "table-filter", name: store ?? options.name, upstream: [this.nodeId], predicate, serde: value, historyMs: this.#history(store), onError: errorPolicy(onError) }));
  }

  /** Keeps the rows for which the predicate does not hold. */
  filterNot(predicate: (value: V, key: string) => boolean, options: TableStepOptions<V> = {}): Table<V> {
    return this.filter((value, key) => !predicate(value, key), options);
  }

  /** One value for each value. Deletions stay deletions, and a null makes one. */
  mapValues<W>(map: (value: V, key: string) => W | null, options: TableStepOptions<W> = {}): Table<W> {
    const { store, value, onError } = options;
    return this.draft.table(this.draft.add({ kind: "table-map", name: store ?? options.name, upstream: [this.nodeId], map, serde: value, historyMs: this.#history(store), onError: errorPolicy(onError) }));
  }

  /**
   * Holds changes back for a time, and sends on the last of each key. The name is that of the store that holds them; a join with the result sees what has left.
   *
   * @example users.suppress("calm-users", untilTimeLimit(minutes(1), { buffer: { recordsMax: 10_000, full: "emit-early" } })).toStream()
   */
  suppress(name: string, until: UntilTimeLimit, options: SuppressOptions<V> = {}): Table<V> {
    return this.draft.table(addSuppress(this.draft, this.nodeId, name, until, options.value));
  }

  /** The table's changes as records: the new value, or null for a deletion. */
  toStream(): Stream<V | null> {
    return this.draft.stream(this.draft.add({ kind: "to-stream", name: undefined, upstream: [this.nodeId], isLatest: false }));
  }

  /**
   * Groups the rows, for aggregates over them. What a row was is subtracted from its group, what it becomes is added to its group; a row whose group is null counts nowhere.
   *
   * Rows of one group must be in one task: the topic has one partition, or `repartition` names a topic of the topology's own, `<topology>-<name>-repartition`, through which the
   * changes go to the task that has their group.
   *
   * @example users.groupBy((user) => ({ key: user.country, value: user.name }), { repartition: "by-country", value: serde.string() }).count("users-a-country")
   */
  groupBy<W>(group: (value: V, key: string) => GroupedRow<W>, options: TableGroupOptions<W> = {}): TableGroup<W> {
    const { repartition, value, partitions } = options;
    const grouped = this.draft.add({ kind: "table-group", name: options.name, upstream: [this.nodeId], group, onError: errorPolicy(options.onError) });
    return new TableGroup<W>(this.draft, repartition === undefined ? grouped : addChangeRepartition(this.draft, grouped, { name: repartition, serde: value, partitions }));
  }

  /**
   * Joins the rows of two tables with equal keys: a row stands in the result while both have one. Changes of either table make changes of the result, whose time is the greater of
   * both rows'. Rows with equal keys must be in one task: both topics have the same keys and as many partitions.
   *
   * @example users.join(addresses, (user, address) => ({ ...user, city: address.city })).toStream()
   */
  join<W, R>(other: Table<W>, joiner: (left: V, right: W, key: string) => R | null, options: TableStepOptions<R> = {}): Table<R> {
    return this.#join("inner", this.#beside(other), joiner, options);
  }

  /** The same, with a row for each row of this table; `right` is null where the other has none. */
  leftJoin<W, R>(other: Table<W>, joiner: (left: V, right: W | null, key: string) => R | null, options: TableStepOptions<R> = {}): Table<R> {
    return this.#join("left", this.#beside(other), joiner, options);
  }

  /** The same, with a row for each key that either table has; never are both null. */
  outerJoin<W, R>(other: Table<W>, joiner: (left: V | null, right: W | null, key: string) => R | null, options: TableStepOptions<R> = {}): Table<R> {
    return this.#join("outer", this.#beside(other), joiner, options);
  }

  #beside({ draft, nodeId }: JoinedTable): NodeId {
    if (draft === this.draft) return nodeId;
    throw new TopologyError("PLAN_INVALID", `a table of topology ${draft.topology} is joined in topology ${this.draft.topology}`, { place: this.draft.topology, cure: "read the topic in this topology too" });
  }

  #join<R>(join: TableJoinNode["join"], other: NodeId, joiner: TableJoinNode["joiner"], options: TableStepOptions<R>): Table<R> {
    const { store, value, onError } = options;
    return this.draft.table(this.draft.add({ kind: "table-join", name: store ?? options.name, upstream: [this.nodeId, other], join, joiner, serde: value, onError: errorPolicy(onError) }));
  }

  /**
   * Joins each row with the row of another table that it names by its key. An update of the other table makes a change for every row that names it, in the order of their keys.
   * Both tables must be in one task: their topics have one partition, or the other is a global table, whose topic may have any number, as may this table's then. Otherwise
   * `repartition` tells how rows stand in two topics of the topology's own, `<topology>-<name>-subscriptions-repartition` and `-results-repartition`, and changes go to the task that has
   * the row they name, and back. Each change of a left row has its last word in the result however the answers of two tasks overtake each other; on the way there the result may lack
   * states that a faster change has overtaken. What keeps the order takes some 30 bytes for each left key that ever was.
   *
   * @example accounts.joinByForeignKey(users, (account, user) => ({ ...account, name: user.name }), { name: "accounts-by-user", foreignKey: ({ owner }) => owner })
   */
  joinByForeignKey<W, R>(other: Table<W> | GlobalTable<W>, joiner: (left: V, right: W, key: string) => R | null, options: ForeignKeyJoinOptions<V, W, R>): Table<R> {
    return this.#joinByForeignKey("inner", other, joiner, options);
  }

  /** The same, with a row for each row of this table; `right` is null where it names none, or one that is not there. */
  leftJoinByForeignKey<W, R>(other: Table<W> | GlobalTable<W>, joiner: (left: V, right: W | null, key: string) => R | null, options: ForeignKeyJoinOptions<V, W, R>): Table<R> {
    return this.#joinByForeignKey("left", other, joiner, options);
  }

  #joinByForeignKey<W, R>(join: "inner" | "left", other: Table<W> | GlobalTable<W>, joiner: TableJoinNode["joiner"], options: ForeignKeyJoinOptions<V, W, R>): Table<R> {
    const { name, foreignKey, repartition, store, value, onError } = options;
    const right = this.#beside(other);
    if (repartition !== undefined) {
      if (other instanceof Table) return joinThroughTopics(join, this, other, joiner, options, repartition);
      throw new TopologyError("PLAN_INVALID", "a join with a global table goes through no topics: every task has all its rows", { place: `step ${name}`, cure: "leave out `repartition`" });
    }
    const globalTable = other instanceof GlobalTable ? right : undefined;
    const joined = this.draft.table<R>(this.draft.add({ kind: "foreign-key-join", name, upstream: globalTable === undefined ? [this.nodeId, right] : [this.nodeId], globalTable, join, foreignKey, joiner, onError: errorPolicy(onError) }));
    return store === undefined ? joined : joined.mapValues((row) => row, { store, value });
  }
}
