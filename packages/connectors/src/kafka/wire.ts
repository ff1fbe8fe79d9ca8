/**
 * The wire: what the adapter needs of a Kafka client library, a method a request, addressed to one broker. The libraries do sockets, TLS, SASL, version
 * negotiation and the encoding of requests; what they get wrong (routing, retries, transactions, groups, the filter of aborted records) is done once above
 * it, for all of them. Every method resolves with what the broker answered, error codes included, and rejects only where no answer came
 * (a {@link WireError}): whether the broker did it is then unknown.
 */

/** No answer: refused, cut, timed out, or not authenticated. */
export class WireError extends Error {
  override readonly name = "WireError";
  /** True where the same request can never succeed: authentication failed, TLS is misconfigured. */
  readonly isFatal: boolean;
  constructor(message: string, options: { readonly cause?: unknown; readonly isFatal?: boolean } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.isFatal = options.isFatal ?? false;
  }
}

export interface WireAddress {
  readonly host: string;
  readonly port: number;
}

export interface WireTls {
  readonly ca?: string | readonly string[];
  readonly cert?: string;
  readonly key?: string;
  readonly passphrase?: string;
  readonly rejectUnauthorized?: boolean;
  readonly servername?: string;
}

export type WireSasl =
  | { readonly mechanism: "plain" | "scram-sha-256" | "scram-sha-512"; readonly username: string; readonly password: string }
  | { readonly mechanism: "oauthbearer"; readonly token: () => Promise<string> };

export interface WireOptions {
  readonly clientId: string;
  readonly tls?: WireTls;
  readonly sasl?: WireSasl;
  readonly connectTimeoutMs: number;
  readonly requestTimeoutMs: number;
}

/** A library that speaks Kafka's protocol. */
export interface Wire {
  readonly name: "kafkajs" | "platformatic";
  /** Opens one connection. */
  connect(address: WireAddress, options: WireOptions): Promise<WireConnection>;
}

export interface WirePartitionError {
  readonly topic: string;
  readonly partition: number;
  readonly errorCode: number;
}

export interface WireMetadata {
  readonly clusterId: string | null;
  readonly controllerId: number;
  readonly brokers: readonly { readonly nodeId: number; readonly host: string; readonly port: number; readonly rack: string | null }[];
  readonly topics: readonly {
    readonly errorCode: number;
    readonly topic: string;
    readonly partitions: readonly { readonly errorCode: number; readonly partition: number; readonly leader: number; readonly replicas: readonly number[]; readonly isr: readonly number[] }[];
  }[];
}

export interface WireFetchedPartition {
  readonly topic: string;
  readonly partition: number;
  readonly errorCode: number;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  readonly logStartOffset: number;
  readonly abortedTransactions: readonly { readonly producerId: bigint; readonly firstOffset: number }[];
  /** With a rack id: the broker that is nearer, which must be asked instead, for the answer then holds no records; -1: none. */
  readonly preferredReplica: number;
  /** Whole record batches as they stand in the log; the last may be cut short. */
  readonly records: Buffer;
}

export interface WireBatch {
  readonly topic: string;
  readonly partition: number;
  readonly batch: Uint8Array;
}

/** A connection to one broker. Requests may overlap; answers come in order. `errorCode` is Kafka's (0: none). Offsets are numbers, safe to 2^53. */
export interface WireConnection {
  readonly isOpen: boolean;
  /** Called once, when the connection is gone for whatever reason; soon, if it is gone already. A request whose time is over ends its connection. */
  onClose(listener: () => void): void;
  close(): Promise<void>;

  /** `null` asks for all topics. Never creates topics. */
  metadata(topics: readonly string[] | null): Promise<WireMetadata>;
  findCoordinator(request: { readonly key: string; readonly type: "group" | "transaction" }): Promise<{ readonly errorCode: number; readonly nodeId: number; readonly host: string; readonly port: number }>;

  /** Appends ready-made record batches (format v2), at most one a partition, acks = all. Each partition has an answer of its own; one that the broker left out has none. */
  produce(request: { readonly transactionalId: string | null; readonly timeoutMs: number; readonly batches: readonly WireBatch[] }): Promise<readonly (WirePartitionError & { readonly baseOffset: number })[]>;
  /** Isolation level read_committed. */
  fetch(request: {
    readonly maxWaitMs: number;
    readonly minBytes: number;
    readonly maxBytes: number;
    readonly partitions: readonly { readonly topic: string; readonly partition: number; readonly offset: number; readonly maxBytes: number }[];
    readonly rackId?: string;
  }): Promise<{ readonly errorCode: number; readonly partitions: readonly WireFetchedPartition[] }>;
  /** -1: the last stable offset (read_committed), -2: the first offset, otherwise the first offset at or behind the timestamp, -1 if none. A partition once a request: brokers refuse it twice. */
  listOffsets(partitions: readonly { readonly topic: string; readonly partition: number; readonly timestamp: number }[]): Promise<readonly (WirePartitionError & { readonly offset: number })[]>;
  deleteRecords(partitions: readonly { readonly topic: string; readonly partition: number; readonly offset: number }[], timeoutMs: number): Promise<readonly WirePartitionError[]>;

  initProducerId(request: { readonly transactionalId: string | null; readonly transactionTimeoutMs: number }): Promise<{ readonly errorCode: number; readonly producerId: bigint; readonly producerEpoch: number }>;
  addPartitionsToTxn(request: WireProducer & { readonly partitions: readonly { readonly topic: string; readonly partition: number }[] }): Promise<readonly WirePartitionError[]>;
  addOffsetsToTxn(request: WireProducer & { readonly group: string }): Promise<{ readonly errorCode: number }>;
  txnOffsetCommit(request: WireProducer & { readonly group: string; readonly positions: readonly WirePosition[] }): Promise<readonly WirePartitionError[]>;
  endTxn(request: WireProducer & { readonly commit: boolean }): Promise<{ readonly errorCode: number }>;

  joinGroup(request: {
    readonly group: string;
    readonly sessionTimeoutMs: number;
    readonly rebalanceTimeoutMs: number;
    readonly memberId: string;
    readonly protocolType: string;
    readonly protocols: readonly { readonly name: string; readonly metadata: Buffer }[];
  }): Promise<{
    readonly errorCode: number;
    readonly generation: number;
    readonly protocol: string;
    readonly leaderId: string;
    readonly memberId: string;
    readonly members: readonly { readonly memberId: string; readonly metadata: Buffer }[];
  }>;
  syncGroup(request: WireMember & { readonly assignments: readonly { readonly memberId: string; readonly assignment: Buffer }[] }): Promise<{ readonly errorCode: number; readonly assignment: Buffer }>;
  heartbeat(request: WireMember): Promise<{ readonly errorCode: number }>;
  leaveGroup(request: { readonly group: string; readonly memberId: string }): Promise<{ readonly errorCode: number }>;
  offsetFetch(request: { readonly group: string; readonly partitions: readonly { readonly topic: string; readonly partition: number }[] }): Promise<{ readonly errorCode: number; readonly positions: readonly (WirePartitionError & { readonly offset: number; readonly metadata: string | null })[] }>;
  /** As nobody's member: works only while the group is empty. */
  offsetCommit(request: { readonly group: string; readonly positions: readonly WirePosition[] }): Promise<readonly WirePartitionError[]>;
  describeGroup(group: string): Promise<{
    readonly errorCode: number;
    readonly state: string;
    readonly protocolType: string;
    readonly members: readonly { readonly memberId: string; readonly clientId: string; readonly host: string; readonly metadata: Buffer; readonly assignment: Buffer }[];
  }>;
  deleteGroup(group: string): Promise<{ readonly errorCode: number }>;

  createTopics(request: {
    readonly topics: readonly { readonly topic: string; readonly partitions: number; readonly replicationFactor: number; readonly config: Readonly<Record<string, string>> }[];
    readonly timeoutMs: number;
  }): Promise<readonly { readonly topic: string; readonly errorCode: number; readonly message: string | null }[]>;
  createPartitions(request: { readonly topic: string; readonly total: number; readonly timeoutMs: number }): Promise<{ readonly errorCode: number; readonly message: string | null }>;
  deleteTopics(topics: readonly string[], timeoutMs: number): Promise<readonly { readonly topic: string; readonly errorCode: number }[]>;
  describeTopicConfigs(topics: readonly string[]): Promise<readonly { readonly topic: string; readonly errorCode: number; readonly config: Readonly<Record<string, string>> }[]>;
  /** Open transactions that this broker coordinates; `undefined` where it cannot or may not tell. */
  listOpenTransactions(): Promise<readonly { readonly transactionalId: string; readonly producerId: bigint }[] | undefined>;
  describeTransaction(transactionalId: string): Promise<{ readonly errorCode: number; readonly state: string; readonly producerId: bigint; readonly startedAt: number; readonly partitions: readonly { readonly topic: string; readonly partition: number }[] } | undefined>;
}

export interface WireProducer {
  readonly transactionalId: string;
  readonly producerId: bigint;
  readonly producerEpoch: number;
}
export interface WirePosition {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly metadata: string | null;
}
export interface WireMember {
  readonly group: string;
  readonly generation: number;
  readonly memberId: string;
}
