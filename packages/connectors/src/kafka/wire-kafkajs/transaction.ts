import type { WireConnection } from "../wire.ts";
import { groupByTopic } from "../wire-protocol/topic-group.ts";
import type { KafkajsLink } from "./connect.ts";
import {
  DESCRIBE_TRANSACTIONS, LIST_TRANSACTIONS, decodeDescribeTransactions, decodeListTransactions, encodeDescribeTransactions, encodeListTransactions,
} from "./own-request.ts";

const GROUP_COORDINATOR = 0;
const TRANSACTION_COORDINATOR = 1;

interface CoordinatorAnswer {
  readonly errorCode: number;
  readonly coordinator: { readonly nodeId: number; readonly host: string; readonly port: number };
}

interface ProducerIdAnswer {
  readonly errorCode: number;
  readonly producerId: string;
  readonly producerEpoch: number;
}

interface AddedAnswer {
  readonly errors: readonly { readonly topic: string; readonly partitionErrors: readonly { readonly partition: number; readonly errorCode: number }[] }[];
}

interface CommittedAnswer {
  readonly topics: readonly { readonly topic: string; readonly partitions: readonly { readonly partition: number; readonly errorCode: number }[] }[];
}

/** What a transactional producer asks its coordinator. */
export function transactions({ ask, askOwn, knows }: KafkajsLink): Pick<
  WireConnection, "findCoordinator" | "initProducerId" | "addPartitionsToTxn" | "addOffsetsToTxn" | "txnOffsetCommit" | "endTxn" | "listOpenTransactions" | "describeTransaction"
> {
  return {
    findCoordinator: async ({ key, type }) => {
      const { errorCode, coordinator } = await ask<CoordinatorAnswer>("GroupCoordinator", { groupId: key, coordinatorType: type === "group" ? GROUP_COORDINATOR : TRANSACTION_COORDINATOR });
      return { errorCode, nodeId: coordinator.nodeId, host: coordinator.host, port: coordinator.port };
    },
    initProducerId: async ({ transactionalId, transactionTimeoutMs }) => {
      const answer = await ask<ProducerIdAnswer>("InitProducerId", { transactionalId, transactionTimeout: transactionTimeoutMs });
      return { errorCode: answer.errorCode, producerId: BigInt(answer.producerId), producerEpoch: answer.producerEpoch };
    },
    addPartitionsToTxn: async ({ partitions, ...producer }) => {
      const topics = groupByTopic(partitions).map(({ topic, items }) => ({ topic, partitions: items.map(({ partition }) => partition) }));
      const answer = await ask<AddedAnswer>("AddPartitionsToTxn", { ...producer, topics });
      return answer.errors.flatMap(({ topic, partitionErrors }) => partitionErrors.map(({ partition, errorCode }) => ({ topic, partition, errorCode })));
    },
    addOffsetsToTxn: async ({ group, ...producer }) => {
      const { errorCode } = await ask<{ readonly errorCode: number }>("AddOffsetsToTxn", { ...producer, groupId: group });
      return { errorCode };
    },
    txnOffsetCommit: async ({ group, positions, ...producer }) => {
      const topics = groupByTopic(positions).map(({ topic, items }) => ({ topic, partitions: items.map(({ partition, offset, metadata }) => ({ partition, offset, metadata })) }));
      const answer = await ask<CommittedAnswer>("TxnOffsetCommit", { ...producer, groupId: group, topics });
      return answer.topics.flatMap(({ topic, partitions }) => partitions.map(({ partition, errorCode }) => ({ topic, partition, errorCode })));
    },
    endTxn: async ({ commit, ...producer }) => {
      const { errorCode } = await ask<{ readonly errorCode: number }>("EndTxn", { ...producer, transactionResult: commit });
      return { errorCode };
    },
    listOpenTransactions: async () => {
      if (!knows(LIST_TRANSACTIONS)) return undefined;
      const answer = await askOwn(LIST_TRANSACTIONS, encodeListTransactions(), decodeListTransactions);
      return answer.errorCode === 0 ? answer.transactions : undefined;
    },
    describeTransaction: async (transactionalId) => {
      if (!knows(DESCRIBE_TRANSACTIONS)) return undefined;
      return await askOwn(DESCRIBE_TRANSACTIONS, encodeDescribeTransactions(transactionalId), decodeDescribeTransactions);
    },
  };
}
