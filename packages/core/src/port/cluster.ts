import type { TopicPartition } from "../model/index.ts";
import type { SourceLog } from "./source-log.ts";

/** Records for one topic in a transaction, in frames (see model/frame.ts): a frame without a partition goes where murmur2 of its key says, or round robin without a key. */
export interface TransactionBatch {
  readonly topic: string;
  readonly frames: Uint8Array;
  readonly recordCount: number;
  /** Where given, all records go to this partition, whatever their frames say. */
  readonly partition?: number;
}

/** The next offset to read of an input, as a group's committed offset. */
export interface GroupPosition extends TopicPartition {
  readonly offset: number;
  /** Free text beside the offset, at most a few hundred characters. */
  readonly metadata?: string;
}

/** Everything that one commit makes visible, all or none. */
export interface Transaction {
  readonly batches: readonly TransactionBatch[];
  readonly group: string;
  readonly positions: readonly GroupPosition[];
}

/** What a committed transaction says. */
export interface TransactionResult {
  /** By `topic-partition` (see `topicPartitionName`): one past the last record that this transaction wrote there. */
  readonly nextOffsets: ReadonlyMap<string, number>;
}

/**
 * The only producer that can commit under its transactional id: opening one fences every older one, and aborts what that had open.
 *
 * After any rejection of `commit` the producer is finished and its last transaction may or may not have been committed: open a new one (which settles it), and
 * look at what the log holds. PRODUCER_FENCED, not retriable: a newer producer with the id exists, so the task is someone else's.
 */
export interface TransactionalProducer {
  readonly transactionalId: string;
  /** begin, add partitions, produce, add offsets, end: resolves once the commit is acknowledged. Calls are never concurrent. Rejects within the configured deadline. */
  commit(transaction: Transaction): Promise<TransactionResult>;
  close(): Promise<void>;
}

/** A member as the group's leader sees it. */
export interface GroupMemberInfo {
  readonly memberId: string;
  readonly userData: Buffer;
}

/** What the leader gives a member. `partitions` is what the group's tools show; `userData` is the engine's. */
export interface GroupAssignment {
  readonly partitions: Readonly<Record<string, readonly number[]>>;
  readonly userData: Buffer;
}

/** How to join a group. All callbacks are called one at a time, never two at once. */
export interface GroupOptions {
  readonly group: string;
  readonly topics: readonly string[];
  /** Without a heartbeat for this long a member is taken for dead; 10 s when absent. */
  readonly sessionTimeoutMs?: number;
  /** How long members may take to rejoin; 30 s when absent. */
  readonly rebalanceTimeoutMs?: number;
  readonly heartbeatIntervalMs?: number;
  /** The id of this process's dead former self, if it is known: it is removed from the group first, so that nobody waits for its session to end. */
  readonly formerMemberId?: string;
  /** What this member tells the leader; asked for before each join. */
  userData(): Buffer;
  /** Called on the leader alone. Every member needs an entry in the answer, by memberId. */
  assign(members: readonly GroupMemberInfo[]): Promise<ReadonlyMap<string, GroupAssignment>>;
  /** A new generation began. Heartbeats go on meanwhile. */
  onAssigned(assignment: GroupAssignment, generation: number, memberId: string): Promise<void>;
  /** The membership ended without our doing (session over, fenced): tasks may be others' by now. The member joins again by itself afterwards. */
  onLost(reason: string): Promise<void>;
  /** Something that retries do not cure (authorisation, ...): the member has given up. */
  onFailure(error: Error): void;
}

/** This process's place in a group. */
export interface GroupMembership {
  /** When the coordinator last acknowledged a heartbeat or a join, in epoch milliseconds of this process's clock. */
  readonly acknowledgedAt: number;
  /** Asks for a new generation, as when a task that should move was given up. */
  rejoin(): void;
  /** Leaves at once, so that others need not wait for the session to end. */
  leave(): Promise<void>;
}

/** How a topic is set up. */
export interface TopicDescription {
  readonly topic: string;
  readonly partitions: number;
  readonly replicationFactor: number;
  /** Kafka's names and values: `cleanup.policy`, `retention.ms`, `min.insync.replicas`, `max.message.bytes`, ... */
  readonly config: Readonly<Record<string, string>>;
}

/** How a topic is to be created. */
export interface TopicCreation {
  readonly topic: string;
  readonly partitions: number;
  /** The broker's default when absent. */
  readonly replicationFactor?: number;
  readonly config?: Readonly<Record<string, string>>;
}

/** A group as its coordinator sees it. */
export interface GroupDescription {
  readonly state: "Empty" | "Stable" | "PreparingRebalance" | "CompletingRebalance" | "Dead" | "Unknown";
  readonly members: readonly { readonly memberId: string; readonly clientId: string; readonly host: string; readonly userData: Buffer | undefined }[];
}

/** A transaction that was begun and neither committed nor aborted, and holds readers back. */
export interface OpenTransaction {
  readonly transactionalId: string;
  readonly producerId: bigint;
  readonly startedAt: number;
  readonly partitions: readonly TopicPartition[];
}

/**
 * A log that several processes share, with groups and transactions: Kafka, or its model in memory (`testing`). Reads are always `read_committed`: an
 * aborted record, a control record or one of an open transaction never comes out of `fetch`, and `offsets().end` is the last stable offset.
 */
export interface ClusterLog extends SourceLog {
  readonly isCluster: true;
  /** Fences older producers with this id (InitProducerId) and settles what they left open; only when this resolves is what they committed final and readable. */
  openProducer(transactionalId: string): Promise<TransactionalProducer>;
  joinGroup(options: GroupOptions): Promise<GroupMembership>;
  /** A group's committed offsets, stable ones only; partitions without one are left out. By `topic-partition`. */
  committedOffsets(group: string, partitions: readonly TopicPartition[]): Promise<ReadonlyMap<string, number>>;
  /** Sets a group's offsets. Throws CONFIG_INVALID while the group has members. */
  setCommittedOffsets(group: string, positions: readonly GroupPosition[]): Promise<void>;
  describeGroup(group: string): Promise<GroupDescription>;
  /** Removes a group with its offsets. Throws where it has members; a group that does not exist is no error. */
  deleteGroup(group: string): Promise<void>;
  /**
   * Waits until every transaction is over that has written to the partition so far, and gives one past its last record then. A transaction becomes visible
   * partition by partition: `offsets` may still leave out what the group's committed offsets show already. Throws TRANSACTION_HANGING at the deadline.
   */
  settledEnd(topic: string, partition: number): Promise<number>;
  /** Undefined where the topic does not exist. */
  describeTopic(topic: string): Promise<TopicDescription | undefined>;
  /** Creates topics; one that exists already is left as it is. */
  createTopics(topics: readonly TopicCreation[]): Promise<void>;
  deleteTopics(topics: readonly string[]): Promise<void>;
  /** Open transactions that began before the given time (epoch milliseconds): candidates for the alarm about hanging ones. */
  openTransactions(startedBefore: number): Promise<readonly OpenTransaction[]>;
}

/** Whether a log is a cluster's. */
export function isClusterLog(log: SourceLog): log is ClusterLog {
  return "isCluster" in log && log.isCluster === true;
}
