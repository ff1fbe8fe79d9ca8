import { type Serde, serde } from "../schema/index.ts";
import type { TopologyDraft } from "./draft.ts";
import { type ChangeRepartitionForm, changeRepartitionSink } from "./change-repartition.ts";
import type { NodeId } from "./node.ts";
import { errorPolicy } from "./policy.ts";
import { repartitionTopic } from "./repartition.ts";
import type { Table } from "./table.ts";
import type { TableAggregation } from "./table-join-nodes.ts";
import type { AnySerde } from "./table-nodes.ts";

/** Adds both ends of a repartition of changes, and gives the reading one. What does not fit into its topic fails the task: a total that missed it would be wrong for good. */
export function addChangeRepartition(draft: TopologyDraft, grouped: NodeId, { name, serde: value, partitions }: { readonly name: string; readonly serde: AnySerde; readonly partitions: number | undefined }): NodeId {
  const topic = repartitionTopic(draft.topology, name);
  const changes: ChangeRepartitionForm = Object.freeze({ name, topic, serde: value });
  const writer = draft.add({ kind: "repartition", name, upstream: [grouped], topic, fields: undefined, partitions, form: undefined, changes, spec: changeRepartitionSink(changes), onError: errorPolicy(undefined) });
  return draft.add({ kind: "source", name, upstream: [], topics: Object.freeze([topic]), redeliveryMs: undefined, repartition: Object.freeze({ writer, form: undefined, changes }) });
}

/** How a total of a table's rows grows and shrinks. Totals must not be changed in place: both functions return another; null deletes it. */
export interface TableReduceForm<W> {
  readonly add: (total: W, value: W, key: string) => W | null;
  readonly subtract: (total: W, value: W, key: string) => W | null;
}

/** The same for a total of another type. */
export interface TableAggregateForm<W, A> {
  /** How the totals are kept. */
  readonly value: Serde<A>;
  readonly init: () => A;
  readonly add: (total: A, value: W, key: string) => A | null;
  readonly subtract: (total: A, value: W, key: string) => A | null;
}

/**
 * A table's rows, grouped. An update of a row is subtracted and then added: one change where it stays in its group, two where it moves, that of the former group first.
 * A function that throws fails the task, whatever the policies before it: a total that missed a row would be wrong for good.
 */
export class TableGroup<W> {
  readonly draft: TopologyDraft;
  readonly nodeId: NodeId;

  constructor(draft: TopologyDraft, nodeId: NodeId) {
    this.draft = draft;
    this.nodeId = nodeId;
  }

  /** Counts the rows of each group. A group without rows stays with 0. */
  count(store: string): Table<number> {
    return this.#add(store, serde.integer(), { kind: "count", init: () => 0, add: (total: number) => total + 1, subtract: (total: number) => total - 1 });
  }

  /**
   * Combines the rows' values; the first starts the total as it is.
   *
   * @example accounts.groupBy(({ owner, balance }) => ({ key: owner, value: balance })).reduce("wealth", { value: serde.float64() }, { add: (sum, balance) => sum + balance, subtract: (sum, balance) => sum - balance })
   */
  reduce(store: string, options: { readonly value: Serde<W> }, form: TableReduceForm<W>): Table<W> {
    return this.#add(store, options.value, { kind: "reduce", init: undefined, add: form.add, subtract: form.subtract });
  }

  /**
   * Combines the rows' values into a total of another type.
   *
   * @example users.groupBy((user, id) => ({ key: user.team, value: id })).aggregate("teams", { value: serde.json<string[]>(), init: () => [], add: (ids, id) => [...ids, id], subtract: (ids, id) => ids.filter((other) => other !== id) })
   */
  aggregate<A>(store: string, form: TableAggregateForm<W, A>): Table<A> {
    return this.#add(store, form.value, { kind: "aggregate", init: form.init, add: form.add, subtract: form.subtract });
  }

  #add<A>(name: string, value: Serde<A>, aggregation: TableAggregation): Table<A> {
    return this.draft.table<A>(this.draft.add({ kind: "table-aggregate", name, upstream: [this.nodeId], serde: value, aggregation: Object.freeze(aggregation) }));
  }
}
