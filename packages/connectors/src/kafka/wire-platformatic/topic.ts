import type { WireConnection } from "../wire.ts";
import { groupByTopic } from "../wire-protocol/topic-group.ts";
import type { PlatformaticLink } from "./connect.ts";

const NO_REPLICA = -1;
const READ_COMMITTED = 1;
const NO_EPOCH = -1;

/** Where topics are and how far they reach. */
export function topics({ ask, requests }: PlatformaticLink): Pick<WireConnection, "metadata" | "listOffsets" | "deleteRecords"> {
  return {
    metadata: async (names) => {
      const answer = await ask(requests.metadata, [names === null ? null : [...names], false]);
      return {
        clusterId: answer.clusterId ?? null,
        controllerId: answer.controllerId,
        brokers: answer.brokers.map(({ nodeId, host, port, rack }) => ({ nodeId, host, port, rack: rack ?? null })),
        topics: answer.topics.map(({ errorCode, name, partitions }) => ({
          errorCode,
          topic: name,
          partitions: partitions.map((partition) => ({
            errorCode: partition.errorCode, partition: partition.partitionIndex, leader: partition.leaderId, replicas: partition.replicaNodes, isr: partition.isrNodes,
          })),
        })),
      };
    },
    listOffsets: async (partitions) => {
      const request = groupByTopic(partitions).map(({ topic, items }) => ({
        name: topic, partitions: items.map(({ partition, timestamp }) => ({ partitionIndex: partition, currentLeaderEpoch: NO_EPOCH, timestamp: BigInt(timestamp) })),
      }));
      const answer = await ask(requests.listOffsets, [NO_REPLICA, READ_COMMITTED, request]);
      return answer.topics.flatMap(({ name, partitions: offsets }) =>
        offsets.map(({ partitionIndex, errorCode, offset }) => ({ topic: name, partition: partitionIndex, errorCode, offset: Number(offset) })));
    },
    deleteRecords: async (partitions, timeoutMs) => {
      const request = groupByTopic(partitions).map(({ topic, items }) => ({ name: topic, partitions: items.map(({ partition, offset }) => ({ partitionIndex: partition, offset: BigInt(offset) })) }));
      const answer = await ask(requests.deleteRecords, [request, timeoutMs]);
      return answer.topics.flatMap(({ name, partitions: deleted }) => deleted.map(({ partitionIndex, errorCode }) => ({ topic: name, partition: partitionIndex, errorCode })));
    },
  };
}
