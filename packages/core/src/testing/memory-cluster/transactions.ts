/**
 * The transaction coordinator of the model.
 *
 *   open --end(commit)--> prepared --control records and offsets, one after another--> settled
 *     |--newer producer, abortHanging, timeout--> prepared to abort --control records--> settled
 */
import { TopologyError } from "../../model/index.ts";
import type { GroupPosition, OpenTransaction } from "../../port/index.ts";
import type { ClusterGroups } from "./groups.ts";
import type { ClusterPartition, EntryOwner } from "./partition.ts";
import type { RoutedRecord } from "./topics.ts";

interface ClusterTransaction extends EntryOwner {
  readonly startedAt: number;
  readonly partitions: Set<ClusterPartition>;
  readonly positions: Map<string, readonly GroupPosition[]>;
  /** Set once its outcome is decided: resolves when it is written everywhere. */
  settled: Promise<void> | undefined;
}

interface ProducerState {
  readonly producerId: bigint;
  epoch: number;
  transaction: ClusterTransaction | undefined;
}

/** Which producer a request comes from. */
export interface ProducerIdentity {
  readonly transactionalId: string;
  readonly epoch: number;
}

/** What the coordinator needs from outside. */
export interface TransactionEnvironment {
  readonly groups: ClusterGroups;
  readonly now: () => number;
  readonly travel: () => Promise<void>;
  /** Called when more became readable. */
  readonly onVisible: () => void;
}

/** All transactional ids of the cluster. */
export class ClusterTransactions {
  readonly #producers = new Map<string, ProducerState>();
  readonly #environment: TransactionEnvironment;

  constructor(environment: TransactionEnvironment) {
    this.#environment = environment;
  }

  /** InitProducerId: fences what was before, ends what that had open, and waits until that is settled. */
  async open(transactionalId: string): Promise<ProducerIdentity> {
    let state = this.#producers.get(transactionalId);
    if (state === undefined) {
      state = { producerId: BigInt(this.#producers.size + 1_000), epoch: -1, transaction: undefined };
      this.#producers.set(transactionalId, state);
    }
    const epoch = ++state.epoch;
    await this.#abort(state);
    this.#check({ transactionalId, epoch });
    return { transactionalId, epoch };
  }

  #abort(state: ProducerState): Promise<void> {
    const { transaction } = state;
    if (transaction === undefined) return Promise.resolve();
    return this.#decide(state, transaction, "aborted");
  }

  #check({ transactionalId, epoch }: ProducerIdentity): ProducerState {
    const state = this.#producers.get(transactionalId);
    if (state !== undefined && state.epoch === epoch) return state;
    throw new TopologyError("PRODUCER_FENCED", `a newer producer took over the transactional id ${transactionalId}`, { place: transactionalId });
  }

  /** While the end of the one before is being written Kafka answers CONCURRENT_TRANSACTIONS, and the client asks again. */
  async #ready(identity: ProducerIdentity): Promise<void> {
    for (let before = this.#check(identity).transaction; before?.settled !== undefined; before = this.#check(identity).transaction) await before.settled;
  }

  /** Synchronous, as is what its callers do with it: whoever takes over must find either all of a request or nothing. */
  #transactionOf(identity: ProducerIdentity): ClusterTransaction {
    const state = this.#check(identity);
    state.transaction ??= {
      transactionalId: identity.transactionalId,
      outcome: undefined,
      startedAt: this.#environment.now(),
      partitions: new Set(),
      positions: new Map(),
      settled: undefined,
    };
    return state.transaction;
  }

  /** Writes records of one partition, invisible for now. Tells the offset behind the last. */
  async produce(identity: ProducerIdentity, partition: ClusterPartition, records: readonly RoutedRecord[]): Promise<number> {
    await this.#ready(identity);
    const transaction = this.#transactionOf(identity);
    transaction.partitions.add(partition);
    for (const { record } of records) partition.append(record, transaction);
    return partition.next;
  }

  async addOffsets(identity: ProducerIdentity, group: string, positions: readonly GroupPosition[]): Promise<void> {
    await this.#ready(identity);
    const transaction = this.#transactionOf(identity);
    transaction.positions.set(group, [...(transaction.positions.get(group) ?? []), ...positions]);
    this.#environment.groups.get(group).pending.add(transaction);
  }

  /** The point of no return: resolves once the outcome is fixed, before it is readable everywhere. */
  commit(identity: ProducerIdentity): void {
    const state = this.#check(identity);
    if (state.transaction === undefined) return;
    void this.#decide(state, state.transaction, "committed");
  }

  #decide(state: ProducerState, transaction: ClusterTransaction, outcome: "committed" | "aborted"): Promise<void> {
    if (transaction.settled !== undefined) return transaction.settled;
    transaction.outcome = outcome;
    transaction.settled = this.#settle(state, transaction);
    return transaction.settled;
  }

  async #settle(state: ProducerState, transaction: ClusterTransaction): Promise<void> {
    const { groups, travel, onVisible } = this.#environment;
    for (const partition of transaction.partitions) {
      await travel();
      partition.end(transaction);
      onVisible();
    }
    for (const [group, positions] of transaction.positions) {
      await travel();
      const target = groups.get(group);
      if (transaction.outcome === "committed") target.setOffsets(positions);
      target.pending.delete(transaction);
    }
    if (state.transaction === transaction) state.transaction = undefined;
  }

  /** Aborts transactions begun before the given time and fences their producers, as the coordinator's timeout does. Tells how many. */
  async abortBefore(startedBefore: number): Promise<number> {
    const hanging = [...this.#producers.values()].filter(({ transaction }) => transaction !== undefined && transaction.settled === undefined && transaction.startedAt < startedBefore);
    for (const state of hanging) state.epoch++;
    await Promise.all(hanging.map((state) => this.#abort(state)));
    return hanging.length;
  }

  openBefore(startedBefore: number): OpenTransaction[] {
    return [...this.#producers].flatMap(([transactionalId, { producerId, transaction }]) => {
      if (transaction === undefined || transaction.settled !== undefined || transaction.startedAt >= startedBefore) return [];
      const partitions = [...transaction.partitions].map(({ topic, partition }) => ({ topic, partition }));
      return [{ transactionalId, producerId, startedAt: transaction.startedAt, partitions }];
    });
  }
}
