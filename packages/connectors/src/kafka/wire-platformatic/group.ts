import type { WireConnection } from "../wire.ts";
import { groupByTopic } from "../wire-protocol/topic-group.ts";
import type { PlatformaticLink } from "./connect.ts";
import { nestPositions } from "./transaction.ts";

const UNKNOWN_SERVER_ERROR = -1;
/** Commits from outside of a group's membership carry no generation. */
const NO_GENERATION = -1;
/** Older brokers must not hand out what an open transaction is about to change. */
const REQUIRE_STABLE = true;

/** What a member, or somebody who looks after a group, asks its coordinator. */
export function groups({ ask, requests, requestTimeoutMs }: PlatformaticLink): Pick<
  WireConnection, "joinGroup" | "syncGroup" | "heartbeat" | "leaveGroup" | "offsetFetch" | "offsetCommit" | "describeGroup" | "deleteGroup"
> {
  let rebalanceTimeoutMs = 0; // of the last join: a follower's sync waits for the leader's as long
  return {
    joinGroup: async ({ group, memberId, sessionTimeoutMs, protocolType, protocols, ...request }) => {
      rebalanceTimeoutMs = request.rebalanceTimeoutMs;
      const timeoutMs = requestTimeoutMs + Math.max(rebalanceTimeoutMs, sessionTimeoutMs);
      const answer = await ask(requests.joinGroup, [group, sessionTimeoutMs, rebalanceTimeoutMs, memberId, null, protocolType, [...protocols]], timeoutMs);
      return {
        errorCode: answer.errorCode,
        generation: answer.generationId,
        protocol: answer.protocolName ?? "",
        leaderId: answer.leader,
        memberId: answer.memberId,
        members: answer.members.map((member) => ({ memberId: member.memberId, metadata: member.metadata })),
      };
    },
    syncGroup: async ({ group, generation, memberId, assignments }) => {
      const { errorCode, assignment } = await ask(requests.syncGroup, [group, generation, memberId, null, null, null, [...assignments]], requestTimeoutMs + rebalanceTimeoutMs);
      return { errorCode, assignment };
    },
    heartbeat: async ({ group, generation, memberId }) => {
      const { errorCode } = await ask(requests.heartbeat, [group, generation, memberId, null]);
      return { errorCode };
    },
    leaveGroup: async ({ group, memberId }) => {
      const answer = await ask(requests.leaveGroup, [group, [{ memberId, groupInstanceId: null }]]);
      return { errorCode: answer.errorCode === 0 ? answer.members[0]?.errorCode ?? 0 : answer.errorCode };
    },
    offsetFetch: async ({ group, partitions }) => {
      const topics = groupByTopic(partitions).map(({ topic, items }) => ({ name: topic, partitionIndexes: items.map(({ partition }) => partition) }));
      const answer = await ask(requests.offsetFetch, [[{ groupId: group, topics }], REQUIRE_STABLE]);
      return {
        errorCode: answer.errorCode,
        positions: answer.topics.flatMap(({ name, partitions: offsets }) =>
          offsets.map(({ partitionIndex, committedOffset, metadata, errorCode }) => ({ topic: name, partition: partitionIndex, offset: Number(committedOffset), metadata: metadata ?? null, errorCode }))),
      };
    },
    offsetCommit: async ({ group, positions }) => {
      const answer = await ask(requests.offsetCommit, [group, NO_GENERATION, "", null, nestPositions(positions)]);
      return answer.topics.flatMap(({ name, partitions }) => partitions.map(({ partitionIndex, errorCode }) => ({ topic: name, partition: partitionIndex, errorCode })));
    },
    describeGroup: async (group) => {
      const [described] = (await ask(requests.describeGroups, [[group], false])).groups;
      if (described === undefined) return { errorCode: UNKNOWN_SERVER_ERROR, state: "", protocolType: "", members: [] };
      return {
        errorCode: described.errorCode,
        state: described.groupState,
        protocolType: described.protocolType,
        members: described.members.map(({ memberId, clientId, clientHost, memberMetadata, memberAssignment }) => ({ memberId, clientId, host: clientHost, metadata: memberMetadata, assignment: memberAssignment })),
      };
    },
    deleteGroup: async (group) => {
      const [result] = (await ask(requests.deleteGroups, [[group]])).results;
      return { errorCode: result?.errorCode ?? UNKNOWN_SERVER_ERROR };
    },
  };
}
