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

/** The requests of {@link requestsOf}. */
export interface PlatformaticRequests {
  readonly metadata: Platformatic["metadataV9"]["api"];
  readonly findCoordinator: Platformatic["findCoordinatorV3"]["api"];
  readonly listOffsets: Platformatic["listOffsetsV6"]["api"];
  readonly deleteRecords: Platformatic["deleteRecordsV2"]["api"];
  readonly initProducerId: Platformatic["initProducerIdV4"]["api"];
  readonly addPartitionsToTxn: Platformatic["addPartitionsToTxnV3"]["api"];
  readonly addOffsetsToTxn: Platformatic["addOffsetsToTxnV3"]["api"];
  readonly txnOffsetCommit: Platformatic["txnOffsetCommitV3"]["api"];
  readonly endTxn: Platformatic["endTxnV3"]["api"];
  readonly listTransactions: Platformatic["listTransactionsV0"]["api"];
  readonly describeTransactions: Platformatic["describeTransactionsV0"]["api"];
  readonly joinGroup: Platformatic["joinGroupV6"]["api"];
  readonly syncGroup: Platformatic["syncGroupV4"]["api"];
  readonly heartbeat: Platformatic["heartbeatV4"]["api"];
  readonly leaveGroup: Platformatic["leaveGroupV4"]["api"];
  readonly offsetFetch: Platformatic["offsetFetchV7"]["api"];
  readonly offsetCommit: Platformatic["offsetCommitV8"]["api"];
  readonly describeGroups: Platformatic["describeGroupsV5"]["api"];
  readonly deleteGroups: Platformatic["deleteGroupsV2"]["api"];
  readonly createTopics: Platformatic["createTopicsV5"]["api"];
  readonly createPartitions: Platformatic["createPartitionsV3"]["api"];
  readonly deleteTopics: Platformatic["deleteTopicsV5"]["api"];
  readonly describeConfigs: Platformatic["describeConfigsV4"]["api"];
}

/**
 * One version of each request: the newest that is as good as its successors here and that every broker from Kafka 3.0 to 4.x knows. SyncGroup stays at 4, for 5 wants the
 * group's protocol repeated, which a member who only syncs does not know.
 */
export function requestsOf(library: Platformatic): PlatformaticRequests {
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
