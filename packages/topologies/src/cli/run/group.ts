import { type ClusterLog, type Plan, type TopicPartition, topicPartitionName, TopologyError } from "@iot-topology/core";

/** The group that a topology's instances are members of, and whose offsets are its progress. */
export function groupOf(plan: Plan): string {
  return plan.topology.name;
}

/** How far a group is with one partition. */
export interface GroupLag extends TopicPartition {
  /** Undefined where the group has committed none: it begins at the start. */
  readonly committed: number | undefined;
  readonly start: number;
  readonly end: number;
  readonly lag: number;
}

/** The lag of a topology's group, a partition a row, as the brokers tell it: right whoever runs, and where nobody does. */
export async function groupLag(log: Pick<ClusterLog, "partitionCount" | "committedOffsets" | "offsets">, plan: Plan): Promise<readonly GroupLag[]> {
  const partitions: TopicPartition[] = [];
  for (const topic of new Set(plan.subTopologies.flatMap((part) => part.topics))) {
    const count = (await log.partitionCount(topic)) ?? 0;
    for (let partition = 0; partition < count; partition++) partitions.push({ topic, partition });
  }
  const committed = await log.committedOffsets(groupOf(plan), partitions);
  return Promise.all(
    partitions.map(async ({ topic, partition }): Promise<GroupLag> => {
      const { start, end } = await log.offsets(topic, partition);
      const at = committed.get(topicPartitionName(topic, partition));
      return { topic, partition, committed: at, start, end, lag: Math.max(0, end - Math.max(start, at ?? start)) };
    }),
  );
}

/** Throws where a group has members: they would overwrite what is changed, or go on with what is gone. */
export async function refuseMembers(log: Pick<ClusterLog, "describeGroup">, group: string): Promise<void> {
  const { members } = await log.describeGroup(group);
  if (members.length === 0) return;
  const named = members.map(({ memberId, host }) => `${memberId} at ${host}`).join(", ");
  throw new TopologyError("CONFIG_INVALID", `the topology runs: its group has ${members.length === 1 ? "a member" : `${members.length} members`} (${named})`, {
    place: `group ${group}`,
    cure: "stop all of its instances first; one that was killed counts until its session has ended",
  });
}
