import type { WireConnection } from "../wire.ts";
import type { PlatformaticLink } from "./connect.ts";

const TOPIC = 2 as const;
const UNKNOWN_SERVER_ERROR = -1;
const ANSWER_MARGIN_MS = 1_000;
const VALIDATE_ONLY = false;

/** What the administration of topics asks the controller, or any broker, which passes it on. */
export function administration({ ask, requests, requestTimeoutMs }: PlatformaticLink): Pick<WireConnection, "createTopics" | "createPartitions" | "deleteTopics" | "describeTopicConfigs"> {
  const within = (timeoutMs: number): number => Math.max(requestTimeoutMs, timeoutMs + ANSWER_MARGIN_MS);
  return {
    createTopics: async ({ topics, timeoutMs }) => {
      const values = topics.map(({ topic, partitions, replicationFactor, config }) => ({
        name: topic, numPartitions: partitions, replicationFactor, assignments: [], configs: Object.entries(config).map(([name, value]) => ({ name, value })),
      }));
      const answer = await ask(requests.createTopics, [values, timeoutMs, VALIDATE_ONLY], within(timeoutMs));
      return answer.topics.map(({ name, errorCode, errorMessage }) => ({ topic: name, errorCode, message: errorMessage ?? null }));
    },
    createPartitions: async ({ topic, total, timeoutMs }) => {
      // No assignments at all, which the library's type does not foresee: an empty list would assign nobody to the new partitions.
      const assignments = null as unknown as [];
      const [result] = (await ask(requests.createPartitions, [[{ name: topic, count: total, assignments }], timeoutMs, VALIDATE_ONLY], within(timeoutMs))).results;
      return { errorCode: result?.errorCode ?? UNKNOWN_SERVER_ERROR, message: result?.errorMessage ?? null };
    },
    deleteTopics: async (topics, timeoutMs) => {
      const answer = await ask(requests.deleteTopics, [topics.map((name) => ({ name })), timeoutMs], within(timeoutMs));
      return answer.responses.map(({ name, errorCode }) => ({ topic: name ?? "", errorCode }));
    },
    describeTopicConfigs: async (topics) => {
      const answer = await ask(requests.describeConfigs, [topics.map((name) => ({ resourceType: TOPIC, resourceName: name, configurationKeys: null }))]);
      return answer.results.map(({ resourceName, errorCode, configs }) => ({
        topic: resourceName,
        errorCode,
        config: Object.fromEntries(configs.flatMap(({ name, value }) => value === null || value === undefined ? [] : [[name, value]])),
      }));
    },
  };
}
