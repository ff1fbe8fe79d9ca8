import type { WireConnection, WireMetadata } from "../wire.ts";
import { groupByTopic } from "../wire-protocol/topic-group.ts";
import type { KafkajsLink } from "./connect.ts";

interface MetadataAnswer {
  readonly clusterId: string | null;
  readonly controllerId: number;
  readonly brokers: WireMetadata["brokers"];
  readonly topicMetadata: readonly {
    readonly topicErrorCode: number;
    readonly topic: string;
    readonly partitionMetadata: readonly { readonly partitionErrorCode: number; readonly partitionId: number; readonly leader: number; readonly replicas: readonly number[]; readonly isr: readonly number[] }[];
  }[];
}

interface OffsetsAnswer {
  readonly responses: readonly { readonly topic: string; readonly partitions: readonly { readonly partition: number; readonly errorCode: number; readonly offset: string }[] }[];
}

interface DeletionAnswer {
  readonly topics: readonly { readonly topic: string; readonly partitions: readonly { readonly partition: number; readonly errorCode: number }[] }[];
}

/** kafkajs writes an empty list of topics as "all": a name that no topic can have asks for none. */
const NO_TOPICS = [""];

/** Where topics are and how far they reach. */
export function topics({ ask }: KafkajsLink): Pick<WireConnection, "metadata" | "listOffsets" | "deleteRecords"> {
  return {
    metadata: async (names) => {
      const wanted = names === null ? [] : names.length === 0 ? NO_TOPICS : names;
      const answer = await ask<MetadataAnswer>("Metadata", { topics: wanted, allowAutoTopicCreation: false });
      return {
        clusterId: answer.clusterId,
        controllerId: answer.controllerId,
        brokers: answer.brokers.map(({ nodeId, host, port, rack }) => ({ nodeId, host, port, rack })),
        topics: answer.topicMetadata.filter(({ topic }) => topic !== "").map(({ topicErrorCode, topic, partitionMetadata }) => ({
          errorCode: topicErrorCode,
          topic,
          partitions: partitionMetadata.map(({ partitionErrorCode, partitionId, leader, replicas, isr }) => ({ errorCode: partitionErrorCode, partition: partitionId, leader, replicas, isr })),
        })),
      };
    },
    listOffsets: async (partitions) => {
      const request = groupByTopic(partitions).map(({ topic, items }) => ({ topic, partitions: items.map(({ partition, timestamp }) => ({ partition, timestamp })) }));
      const answer = await ask<OffsetsAnswer>("ListOffsets", { topics: request }); // read_committed is kafkajs' default
      return answer.responses.flatMap(({ topic, partitions: offsets }) => offsets.map(({ partition, errorCode, offset }) => ({ topic, partition, errorCode, offset: Number(offset) })));
    },
    deleteRecords: async (partitions, timeoutMs) => {
      const request = groupByTopic(partitions).map(({ topic, items }) => ({ topic, partitions: items.map(({ partition, offset }) => ({ partition, offset })) }));
      const answer = await ask<DeletionAnswer>("DeleteRecords", { topics: request, timeout: timeoutMs });
      return answer.topics.flatMap(({ topic, partitions: deleted }) => deleted.map(({ partition, errorCode }) => ({ topic, partition, errorCode })));
    },
  };
}
