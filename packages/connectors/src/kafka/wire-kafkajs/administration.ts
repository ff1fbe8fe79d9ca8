import type { WireConnection } from "../wire.ts";
import type { KafkajsLink } from "./connect.ts";

interface TopicErrorsAnswer {
  readonly topicErrors: readonly { readonly topic: string; readonly errorCode: number; readonly errorMessage?: string | null }[];
}

interface ConfigsAnswer {
  readonly resources: readonly { readonly errorCode: number; readonly resourceName: string; readonly configEntries: readonly { readonly configName: string; readonly configValue: string | null }[] }[];
}

const TOPIC = 2;
const UNKNOWN_SERVER_ERROR = -1;
const ANSWER_MARGIN_MS = 1_000;

/** What the administration of topics asks the controller, or any broker, which passes it on. */
export function administration({ ask, requestTimeoutMs }: KafkajsLink): Pick<WireConnection, "createTopics" | "createPartitions" | "deleteTopics" | "describeTopicConfigs"> {
  const within = (timeoutMs: number): number => Math.max(requestTimeoutMs, timeoutMs + ANSWER_MARGIN_MS);
  return {
    createTopics: async ({ topics, timeoutMs }) => {
      const values = topics.map(({ topic, partitions, replicationFactor, config }) => ({
        topic, numPartitions: partitions, replicationFactor, configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
      }));
      const answer = await ask<TopicErrorsAnswer>("CreateTopics", { topics: values, timeout: timeoutMs }, within(timeoutMs));
      return answer.topicErrors.map(({ topic, errorCode, errorMessage }) => ({ topic, errorCode, message: errorMessage ?? null }));
    },
    createPartitions: async ({ topic, total, timeoutMs }) => {
      const answer = await ask<TopicErrorsAnswer>("CreatePartitions", { topicPartitions: [{ topic, count: total }], timeout: timeoutMs }, within(timeoutMs));
      const result = answer.topicErrors[0];
      return { errorCode: result?.errorCode ?? UNKNOWN_SERVER_ERROR, message: result?.errorMessage ?? null };
    },
    deleteTopics: async (topics, timeoutMs) => {
      const answer = await ask<TopicErrorsAnswer>("DeleteTopics", { topics, timeout: timeoutMs }, within(timeoutMs));
      return answer.topicErrors.map(({ topic, errorCode }) => ({ topic, errorCode }));
    },
    describeTopicConfigs: async (topics) => {
      const answer = await ask<ConfigsAnswer>("DescribeConfigs", { resources: topics.map((name) => ({ type: TOPIC, name })) });
      return answer.resources.map(({ resourceName, errorCode, configEntries }) => ({
        topic: resourceName,
        errorCode,
        config: Object.fromEntries(configEntries.flatMap(({ configName, configValue }) => configValue === null ? [] : [[configName, configValue]])),
      }));
    },
  };
}
