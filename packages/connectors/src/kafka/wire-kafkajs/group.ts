import type { WireConnection, WireMember } from "../wire.ts";
import { groupByTopic } from "../wire-protocol/topic-group.ts";
import type { KafkajsLink } from "./connect.ts";
import { OFFSET_FETCH, decodeOffsetFetch, encodeOffsetFetch } from "./own-request.ts";

interface JoinAnswer {
  readonly errorCode: number;
  readonly generationId: number;
  readonly groupProtocol: string | null;
  readonly leaderId: string | null;
  readonly memberId: string | null;
  readonly members: readonly { readonly memberId: string; readonly memberMetadata: Buffer | null }[];
}

interface CommittedAnswer {
  readonly responses: readonly { readonly topic: string; readonly partitions: readonly { readonly partition: number; readonly errorCode: number }[] }[];
}

interface DescribedAnswer {
  readonly groups: readonly {
    readonly errorCode: number;
    readonly state: string;
    readonly protocolType: string;
    readonly members: readonly { readonly memberId: string; readonly clientId: string; readonly clientHost: string; readonly memberMetadata: Buffer | null; readonly memberAssignment: Buffer | null }[];
  }[];
}

const EMPTY = Buffer.alloc(0);
const UNKNOWN_SERVER_ERROR = -1;
/** Commits from outside of a group's membership carry no generation. */
const NO_GENERATION = -1;

/** What a member, or somebody who looks after a group, asks its coordinator. */
export function groups({ ask, askOwn, requestTimeoutMs }: KafkajsLink): Pick<
  WireConnection, "joinGroup" | "syncGroup" | "heartbeat" | "leaveGroup" | "offsetFetch" | "offsetCommit" | "describeGroup" | "deleteGroup"
> {
  let rebalanceTimeoutMs = 0; // of the last join: a follower's sync waits for the leader's as long
  return {
    joinGroup: async ({ group, memberId, sessionTimeoutMs, protocolType, protocols, ...request }) => {
      rebalanceTimeoutMs = request.rebalanceTimeoutMs;
      const values = { groupId: group, memberId, sessionTimeout: sessionTimeoutMs, rebalanceTimeout: rebalanceTimeoutMs, protocolType, groupProtocols: protocols };
      const answer = await ask<JoinAnswer>("JoinGroup", values, requestTimeoutMs + Math.max(rebalanceTimeoutMs, sessionTimeoutMs));
      return {
        errorCode: answer.errorCode,
        generation: answer.generationId,
        protocol: answer.groupProtocol ?? "",
        leaderId: answer.leaderId ?? "",
        memberId: answer.memberId ?? "",
        members: answer.members.map((member) => ({ memberId: member.memberId, metadata: member.memberMetadata ?? EMPTY })),
      };
    },
    syncGroup: async ({ assignments, ...member }) => {
      const groupAssignment = assignments.map(({ memberId, assignment }) => ({ memberId, memberAssignment: assignment }));
      const values = { groupId: member.group, generationId: member.generation, memberId: member.memberId, groupAssignment };
      const answer = await ask<{ readonly errorCode: number; readonly memberAssignment: Buffer | null }>("SyncGroup", values, requestTimeoutMs + rebalanceTimeoutMs);
      return { errorCode: answer.errorCode, assignment: answer.memberAssignment ?? EMPTY };
    },
    heartbeat: async ({ group, generation, memberId }: WireMember) => {
      const { errorCode } = await ask<{ readonly errorCode: number }>("Heartbeat", { groupId: group, groupGenerationId: generation, memberId, groupInstanceId: null });
      return { errorCode };
    },
    leaveGroup: async ({ group, memberId }) => {
      const answer = await ask<{ readonly errorCode: number; readonly members?: readonly { readonly errorCode: number }[] }>("LeaveGroup", { groupId: group, memberId });
      return { errorCode: answer.errorCode === 0 ? answer.members?.[0]?.errorCode ?? 0 : answer.errorCode };
    },
    offsetFetch: (request) => askOwn(OFFSET_FETCH, encodeOffsetFetch(request), decodeOffsetFetch),
    offsetCommit: async ({ group, positions }) => {
      const topics = groupByTopic(positions).map(({ topic, items }) => ({ topic, partitions: items.map(({ partition, offset, metadata }) => ({ partition, offset, metadata })) }));
      const answer = await ask<CommittedAnswer>("OffsetCommit", { groupId: group, groupGenerationId: NO_GENERATION, memberId: "", topics });
      return answer.responses.flatMap(({ topic, partitions }) => partitions.map(({ partition, errorCode }) => ({ topic, partition, errorCode })));
    },
    describeGroup: async (group) => {
      const described = (await ask<DescribedAnswer>("DescribeGroups", { groupIds: [group] })).groups[0];
      if (described === undefined) return { errorCode: UNKNOWN_SERVER_ERROR, state: "", protocolType: "", members: [] };
      return {
        errorCode: described.errorCode,
        state: described.state,
        protocolType: described.protocolType,
        members: described.members.map(({ memberId, clientId, clientHost, memberMetadata, memberAssignment }) => ({ memberId, clientId, host: clientHost, metadata: memberMetadata ?? EMPTY, assignment: memberAssignment ?? EMPTY })),
      };
    },
    deleteGroup: async (group) => {
      const answer = await ask<{ readonly results: readonly { readonly errorCode: number }[] }>("DeleteGroups", [group]);
      return { errorCode: answer.results[0]?.errorCode ?? UNKNOWN_SERVER_ERROR };
    },
  };
}
