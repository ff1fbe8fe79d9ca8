import type { WireConnection, WirePosition } from "../wire.ts";
import { groupByTopic } from "../wire-protocol/topic-group.ts";
import type { PlatformaticLink } from "./connect.ts";

const GROUP_COORDINATOR = 0;
const TRANSACTION_COORDINATOR = 1;
const UNKNOWN_SERVER_ERROR = -1;
const TRANSACTIONAL_ID_NOT_FOUND = 105;
const NO_EPOCH = -1;
/** Offsets are committed for a group, not as one of its members. */
const NO_GENERATION = -1;
const NO_DURATION = -1n;

interface NestedPositions {
  readonly name: string;
  readonly partitions: { readonly partitionIndex: number; readonly committedOffset: bigint; readonly committedLeaderEpoch: number; readonly committedMetadata: string | null }[];
}

/** Positions as TxnOffsetCommit and OffsetCommit nest them. */
export function nestPositions(positions: readonly WirePosition[]): NestedPositions[] {
  return groupByTopic(positions).map(({ topic, items }) => ({
    name: topic,
    partitions: items.map(({ partition, offset, metadata }) => ({ partitionIndex: partition, committedOffset: BigInt(offset), committedLeaderEpoch: NO_EPOCH, committedMetadata: metadata })),
  }));
}

/** What a transactional producer asks its coordinator. */
export function transactions({ ask, knows, requests }: PlatformaticLink): Pick<
  WireConnection, "findCoordinator" | "initProducerId" | "addPartitionsToTxn" | "addOffsetsToTxn" | "txnOffsetCommit" | "endTxn" | "listOpenTransactions" | "describeTransaction"
> {
  return {
    findCoordinator: async ({ key, type }) => {
      const [coordinator] = (await ask(requests.findCoordinator, [type === "group" ? GROUP_COORDINATOR : TRANSACTION_COORDINATOR, [key]])).coordinators;
      if (coordinator === undefined) return { errorCode: UNKNOWN_SERVER_ERROR, nodeId: -1, host: "", port: -1 };
      return { errorCode: coordinator.errorCode, nodeId: coordinator.nodeId, host: coordinator.host, port: coordinator.port };
    },
    initProducerId: async ({ transactionalId, transactionTimeoutMs }) => {
      const { errorCode, producerId, producerEpoch } = await ask(requests.initProducerId, [transactionalId, transactionTimeoutMs]);
      return { errorCode, producerId, producerEpoch };
    },
    addPartitionsToTxn: async ({ partitions, transactionalId, producerId, producerEpoch }) => {
      const topics = groupByTopic(partitions).map(({ topic, items }) => ({ name: topic, partitions: items.map(({ partition }) => partition) }));
      const answer = await ask(requests.addPartitionsToTxn, [[{ transactionalId, producerId, producerEpoch, verifyOnly: false, topics }]]);
      const results = answer.resultsByTransaction.flatMap(({ topicResults }) => topicResults);
      return results.flatMap(({ name, resultsByPartition }) => resultsByPartition.map(({ partitionIndex, partitionErrorCode }) => ({ topic: name, partition: partitionIndex, errorCode: partitionErrorCode })));
    },
    addOffsetsToTxn: async ({ group, transactionalId, producerId, producerEpoch }) => {
      const { errorCode } = await ask(requests.addOffsetsToTxn, [transactionalId, producerId, producerEpoch, group]);
      return { errorCode };
    },
    txnOffsetCommit: async ({ group, positions, transactionalId, producerId, producerEpoch }) => {
      const answer = await ask(requests.txnOffsetCommit, [transactionalId, group, producerId, producerEpoch, NO_GENERATION, "", null, nestPositions(positions)]);
      return answer.topics.flatMap(({ name, partitions }) => partitions.map(({ partitionIndex, errorCode }) => ({ topic: name, partition: partitionIndex, errorCode })));
    },
    endTxn: async ({ commit, transactionalId, producerId, producerEpoch }) => {
      const { errorCode } = await ask(requests.endTxn, [transactionalId, producerId, producerEpoch, commit]);
      return { errorCode };
    },
    listOpenTransactions: async () => {
      if (!knows(requests.listTransactions)) return undefined;
      const answer = await ask(requests.listTransactions, [["Ongoing"], [], NO_DURATION, null]);
      if (answer.errorCode !== 0) return undefined;
      return answer.transactionStates.map(({ transactionalId, producerId }) => ({ transactionalId, producerId }));
    },
    describeTransaction: async (transactionalId) => {
      if (!knows(requests.describeTransactions)) return undefined;
      const [state] = (await ask(requests.describeTransactions, [[transactionalId]])).transactionStates;
      if (state === undefined) return { errorCode: TRANSACTIONAL_ID_NOT_FOUND, state: "", producerId: -1n, startedAt: -1, partitions: [] };
      return {
        errorCode: state.errorCode,
        state: state.transactionState,
        producerId: state.producerId,
        startedAt: Number(state.transactionStartTimeMs),
        partitions: state.topics.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition }))),
      };
    },
  };
}
