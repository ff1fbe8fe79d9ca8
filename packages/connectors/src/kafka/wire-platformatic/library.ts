import { WireError } from "../wire.ts";

/** What @platformatic/kafka exports. */
export type Platformatic = typeof import("@platformatic/kafka");

let loading: Promise<Platformatic> | undefined;

/** Loads the library, once, when a connection is first wanted. */
export async function loadPlatformatic(): Promise<Platformatic> {
  loading ??= import("@platformatic/kafka");
  try {
    return await loading;
  } catch (cause) {
    throw new WireError("@platformatic/kafka cannot be loaded", { cause, isFatal: true });
  }
}

/**
 * One version of each request: the newest that is as good as its successors here and that every broker from Kafka 3.0 to 4.x knows. SyncGroup stays at 4, for 5 wants the
 * group's protocol repeated, which a member who only syncs does not know.
 */
export function requestsOf(library: Platformatic) {
  return {
    metadata: library.metadataV9.api,
    findCoordinator: library.findCoordinatorV3.api,
    listOffsets: library.listOffsetsV6.api,
    deleteRecords: library.deleteRecordsV2.api,
    initProducerId: library.initProducerIdV4.api,
    addPartitionsToTxn: library.addPartitionsToTxnV3.api,
    addOffsetsToTxn: library.addOffsetsToTxnV3.api,
    txnOffsetCommit: library.txnOffsetCommitV3.api,
    endTxn: library.endTxnV3.api,
    listTransactions: library.listTransactionsV0.api,
    describeTransactions: library.describeTransactionsV0.api,
    joinGroup: library.joinGroupV6.api,
    syncGroup: library.syncGroupV4.api,
    heartbeat: library.heartbeatV4.api,
    leaveGroup: library.leaveGroupV4.api,
    offsetFetch: library.offsetFetchV7.api,
    offsetCommit: library.offsetCommitV8.api,
    describeGroups: library.describeGroupsV5.api,
    deleteGroups: library.deleteGroupsV2.api,
    createTopics: library.createTopicsV5.api,
    createPartitions: library.createPartitionsV3.api,
    deleteTopics: library.deleteTopicsV5.api,
    describeConfigs: library.describeConfigsV4.api,
  };
}

/** The requests of {@link requestsOf}. */
export type PlatformaticRequests = ReturnType<typeof requestsOf>;
