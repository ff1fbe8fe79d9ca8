/**
 * Joins each row of the left table with the row of the right one that it names. Which changes leave, in which order and with which time, is as in Kafka Streams.
 *
 * The store of subscriptions holds `length ":" foreign key, left key` for each left row that names one, in order, so that an update of a right row finds its left rows by a walk
 * in the order of their keys. The length keeps a foreign key apart from one that begins with it.
 */
import { TopologyError } from "../../model/index.ts";
import { KeyIndex } from "../../state/key-index.ts";
import type { ForeignKeyJoinNode } from "../../topology/index.ts";
import { drop, getterOf, type TableGetter, type TaskContext } from "../context.ts";
import type { AnyRecord, Link } from "../link.ts";
import { compileRefuse, messageOf, type Refuse } from "../refuse.ts";
import { madeBefore } from "./table.ts";

function subscriptionsTo(foreignKey: string): string {
  return `${foreignKey.length}:${foreignKey}`;
}

class ForeignKeyJoin {
  readonly #context: TaskContext;
  readonly #node: ForeignKeyJoinNode;
  readonly #left: TableGetter;
  readonly #right: TableGetter;
  readonly #subscriptions: KeyIndex;
  readonly #refuse: Refuse;
  readonly #next: Link;

  constructor(context: TaskContext, node: ForeignKeyJoinNode, next: Link) {
    const [left, right = node.globalTable] = node.upstream;
    this.#context = context;
    this.#node = node;
    this.#left = getterOf(context, left as number);
    this.#right = getterOf(context, right as number);
    this.#subscriptions = new KeyIndex(context.backend, node.name, { entriesMax: context.cacheEntriesMax, scratch: context.scratch });
    this.#refuse = compileRefuse(context, node.name, node.onError);
    this.#next = next;
    context.tables.push(this.#subscriptions);
  }

  /** The result's row of what both sides have: null where they have none together. */
  #make(left: unknown, right: unknown, key: string): unknown {
    if (left === null || (right === null && this.#node.join === "inner")) return null;
    return this.#node.joiner(left, right, key) ?? null;
  }

  #foreignKey(row: unknown, key: string): string | null {
    return row === null ? null : (this.#node.foreignKey(row, key) ?? null);
  }

  readonly get: TableGetter = (key) => {
    const left = this.#left(key);
    if (left === undefined) return undefined;
    const foreignKey = madeBefore(() => this.#foreignKey(left.value, key)) as string | null;
    const right = foreignKey === null ? undefined : this.#right(foreignKey);
    const value = madeBefore(() => this.#make(left.value, right?.value ?? null, key));
    return value === null ? undefined : { value, timestamp: Math.max(left.timestamp, right?.timestamp ?? Number.NEGATIVE_INFINITY) };
  };

  readonly fromLeft: Link = (record) => {
    if (record.outOfOrder === true) return drop(this.#context, "out-of-order");
    const key = record.key as string;
    const before = madeBefore(() => this.#foreignKey(record.old, key)) as string | null;
    let row: unknown = record.value;
    let foreignKey: string | null = null;
    try {
      foreignKey = this.#foreignKey(row, key);
    } catch (cause) {
      if (cause instanceof TopologyError) throw cause;
      // The row that stood there is outdated: what cannot be joined is a deletion.
      this.#refuse("STEP_FAILED", messageOf(cause), "", cause);
      row = null;
    }
    if (foreignKey !== before) {
      if (before !== null) this.#subscriptions.remove(subscriptionsTo(before) + key);
      if (foreignKey !== null) this.#subscriptions.insert(subscriptionsTo(foreignKey) + key);
    }
    if (this.#node.join === "left") return this.#leftOfLeft(record, row, foreignKey, before);
    this.#leftOfInner(record, row, foreignKey, before);
  };

  #leftOfLeft(record: AnyRecord, row: unknown, foreignKey: string | null, before: string | null): void {
    if (row === null && record.old === null) return;
    this.#forward(record, row, foreignKey, before);
  }

  #leftOfInner(record: AnyRecord, row: unknown, foreignKey: string | null, before: string | null): void {
    if (row !== null && foreignKey === null) drop(this.#context, "null-foreign-key");
    if (foreignKey === null) {
      // Nothing stood in the result for a row that named nothing.
      if (before === null) return;
      const right = this.#right(before);
      const timestamp = Math.max(record.timestamp, right?.timestamp ?? Number.NEGATIVE_INFINITY);
      const old = madeBefore(() => this.#make(record.old, right?.value ?? null, record.key as string));
      return this.#next({ key: record.key, value: null, old, timestamp, headers: record.headers });
    }
    // Nothing stood in the result before, and nothing does now.
    if ((before === null || before === foreignKey) && this.#right(foreignKey) === undefined) return;
    this.#forward(record, row, foreignKey, before);
  }

  /** The change of a left row, with the time of the right row that it names now. */
  #forward(record: AnyRecord, row: unknown, foreignKey: string | null, before: string | null): void {
    const key = record.key as string;
    const right = foreignKey === null ? undefined : this.#right(foreignKey);
    const rightBefore = before === foreignKey ? right : before === null ? undefined : this.#right(before);
    const timestamp = Math.max(record.timestamp, right?.timestamp ?? Number.NEGATIVE_INFINITY);
    const old = madeBefore(() => this.#make(record.old, rightBefore?.value ?? null, key));
    this.#next({ key, value: this.#joined(row, right?.value ?? null, key), old, timestamp, headers: record.headers });
  }

  #joined(left: unknown, right: unknown, key: string): unknown {
    try {
      return this.#make(left, right, key);
    } catch (cause) {
      if (cause instanceof TopologyError) throw cause;
      this.#refuse("STEP_FAILED", messageOf(cause), "", cause);
      return null;
    }
  }

  /** The time of the change is that of the right row alone, as in Kafka Streams. */
  readonly fromRight: Link = (record) => {
    if (record.outOfOrder === true) return drop(this.#context, "out-of-order");
    const { timestamp, headers } = record;
    const prefix = subscriptionsTo(record.key as string);
    for (const subscription of this.#subscriptions.walk(prefix, undefined)) {
      if (!subscription.startsWith(prefix)) return;
      const key = subscription.slice(prefix.length);
      const left = this.#left(key)?.value ?? null;
      this.#next({ key, value: this.#joined(left, record.value, key), old: madeBefore(() => this.#make(left, record.old, key)), timestamp, headers });
    }
  };
}

export function foreignKeyJoinLinks(context: TaskContext, node: ForeignKeyJoinNode, next: Link): readonly Link[] {
  const join = new ForeignKeyJoin(context, node, next);
  context.getters.set(node.id, join.get);
  if (node.globalTable === undefined) return [join.fromLeft, join.fromRight];
  const changes = context.globalChanges.get(node.globalTable) ?? [];
  context.globalChanges.set(node.globalTable, [...changes, join.fromRight]);
  return [join.fromLeft];
}
