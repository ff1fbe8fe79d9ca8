import type { ClusterLog, GroupAssignment, GroupMemberInfo, GroupMembership, GroupOptions } from "../port/index.ts";
import { type ClusterSuite, untilSo } from "./cluster-case.ts";

/** A member that shares out the numbers 0 to 5, and writes down what it is told. */
interface TestMember {
  readonly membership: GroupMembership;
  readonly memberId: () => string;
  readonly assigned: { readonly generation: number; readonly mine: string; readonly partitions: Readonly<Record<string, readonly number[]>> }[];
  /** Whom the leader saw, by what they had said. */
  readonly seen: string[][];
  readonly lost: string[];
  /** Calls that began while another was under way. */
  readonly overlaps: () => number;
}

const TASKS = [0, 1, 2, 3, 4, 5];

function share(topic: string, members: readonly GroupMemberInfo[]): ReadonlyMap<string, GroupAssignment> {
  const sorted = [...members].sort((a, b) => a.userData.compare(b.userData));
  return new Map(
    sorted.map(({ memberId }, index) => {
      const mine = TASKS.filter((task) => task % sorted.length === index);
      return [memberId, { partitions: { [topic]: mine }, userData: Buffer.from(mine.join()) }];
    }),
  );
}

async function joinAs(log: ClusterLog, said: string, options: Pick<GroupOptions, "group" | "sessionTimeoutMs" | "formerMemberId"> & { readonly topic: string }): Promise<TestMember> {
  const { topic, group, sessionTimeoutMs, formerMemberId } = options;
  const assigned: TestMember["assigned"] = [];
  const seen: string[][] = [];
  const lost: string[] = [];
  let memberId = "";
  let running = 0;
  let overlaps = 0;
  const alone = async <T>(work: () => T): Promise<T> => {
    if (running++ > 0) overlaps++;
    await new Promise((resolve) => setTimeout(resolve, 20));
    running--;
    return work();
  };
  const membership = await log.joinGroup({
    group,
    topics: [topic],
    rebalanceTimeoutMs: 10_000,
    heartbeatIntervalMs: 100,
    ...(sessionTimeoutMs === undefined ? {} : { sessionTimeoutMs }),
    ...(formerMemberId === undefined ? {} : { formerMemberId }),
    userData: () => Buffer.from(said),
    assign: (members) => alone(() => (seen.push(members.map(({ userData }) => userData.toString()).sort()), share(topic, members))),
    onAssigned: (assignment, generation, id) => alone(() => void ((memberId = id), assigned.push({ generation, mine: assignment.userData.toString(), partitions: assignment.partitions }))),
    onLost: (reason) => alone(() => void lost.push(reason)),
    onFailure: (error) => void lost.push(`failed: ${error.message}`),
  });
  return { membership, memberId: () => memberId, assigned, seen, lost, overlaps: () => overlaps };
}

const mineOf = (member: TestMember): string => member.assigned.at(-1)?.mine ?? "";
const waitFor = (what: string, ...shares: readonly (readonly [TestMember, string])[]): Promise<void> => untilSo(what, () => shares.every(([member, mine]) => mineOf(member) === mine));

/** What every group keeps; part of `clusterLogContract`. */
export function clusterGroupContract(suite: ClusterSuite): void {
  suite("a member gets what the leader gave it, and the group shows who is there", async (t, { log, name }) => {
    const [topic, group] = [name("a"), name("group")];
    await log.createTopics([{ topic, partitions: 6 }]);
    const member = await joinAs(log, "m1", { group, topic });
    await waitFor("all tasks", [member, "0,1,2,3,4,5"]);
    t.same(member.assigned[0]?.partitions, { [topic]: TASKS });
    t.same(member.seen, [["m1"]]);
    const described = await log.describeGroup(group);
    t.equal(described.state, "Stable");
    t.same(described.members.map(({ memberId, userData }) => [memberId, userData?.toString()]), [[member.memberId(), "m1"]]);
    await t.rejects(log.setCommittedOffsets(group, [{ topic, partition: 0, offset: 1 }]), { code: "CONFIG_INVALID" });
    await t.rejects(log.deleteGroup(group), { code: "CONFIG_INVALID" });
    const before = member.membership.acknowledgedAt;
    await untilSo("heartbeats are acknowledged", () => member.membership.acknowledgedAt > before);
    await member.membership.leave();
    await member.membership.leave();
    await untilSo("the group is empty", async () => (await log.describeGroup(group)).state === "Empty");
    t.same(member.lost, [], "leaving is no loss");
  });
  suite("members share as they come and go, each time in a new generation", async (t, { log, another, name }) => {
    const [topic, group] = [name("a"), name("group")];
    await log.createTopics([{ topic, partitions: 6 }]);
    const first = await joinAs(log, "m1", { group, topic });
    await waitFor("all tasks", [first, "0,1,2,3,4,5"]);
    const second = await joinAs(await another(), "m2", { group, topic });
    await waitFor("both have half", [first, "0,2,4"], [second, "1,3,5"]);
    t.equal(first.assigned.at(-1)?.generation, second.assigned.at(-1)?.generation);
    const generation = first.assigned.at(-1)?.generation ?? 0;
    second.membership.rejoin();
    await untilSo("a new generation for both", () => (first.assigned.at(-1)?.generation ?? 0) > generation && (second.assigned.at(-1)?.generation ?? 0) > generation);
    await waitFor("the same shares", [first, "0,2,4"], [second, "1,3,5"]);
    await first.membership.leave();
    await waitFor("the rest goes to the other", [second, "0,1,2,3,4,5"]);
    t.same([...first.lost, ...second.lost], []);
    t.equal(first.overlaps() + second.overlaps(), 0, "calls come one at a time");
    for (const { assigned } of [first, second]) t.same(assigned.map((each) => each.generation), assigned.map((each) => each.generation).sort((a, b) => a - b), "generations rise");
    await second.membership.leave();
  });
  suite("a member whose process is gone is taken for dead when its session is over", async (t, { log, another, name, sessionTimeoutMs }) => {
    const [topic, group] = [name("a"), name("group")];
    await log.createTopics([{ topic, partitions: 6 }]);
    const dying = await another();
    const gone = await joinAs(dying, "m1", { group, topic, sessionTimeoutMs });
    const stays = await joinAs(log, "m2", { group, topic, sessionTimeoutMs });
    await waitFor("both have half", [gone, "0,2,4"], [stays, "1,3,5"]);
    await dying.close();
    await waitFor("all tasks", [stays, "0,1,2,3,4,5"]);
    t.same(stays.lost, []);
    await stays.membership.leave();
  });
  suite("a process that starts again removes its dead self, and nobody waits for the session to end", async (t, { log, another, name }) => {
    const [topic, group] = [name("a"), name("group")];
    await log.createTopics([{ topic, partitions: 6 }]);
    const dying = await another();
    const former = await joinAs(dying, "m1", { group, topic, sessionTimeoutMs: 300_000 });
    const stays = await joinAs(log, "m2", { group, topic, sessionTimeoutMs: 300_000 });
    await waitFor("both have half", [former, "0,2,4"], [stays, "1,3,5"]);
    await dying.close();
    const restarted = await joinAs(await another(), "m1", { group, topic, sessionTimeoutMs: 300_000, formerMemberId: former.memberId() });
    await waitFor("both have half again", [restarted, "0,2,4"], [stays, "1,3,5"]);
    t.ok(restarted.memberId() !== former.memberId());
    t.ok([...restarted.seen, ...stays.seen].every((members) => members.length <= 2), "the dead one was never counted beside its successor");
    await Promise.all([restarted.membership.leave(), stays.membership.leave()]);
  });
  suite("a member that was removed hears of it and joins again as another", async (t, { log, another, name }) => {
    const [topic, group] = [name("a"), name("group")];
    await log.createTopics([{ topic, partitions: 6 }]);
    const removed = await joinAs(log, "m1", { group, topic });
    await waitFor("all tasks", [removed, "0,1,2,3,4,5"]);
    const id = removed.memberId();
    const remover = await joinAs(await another(), "m2", { group, topic, formerMemberId: id });
    await untilSo("it hears of it", () => removed.lost.length > 0);
    await waitFor("both have half", [removed, "0,2,4"], [remover, "1,3,5"]);
    t.ok(removed.memberId() !== id);
    t.equal(removed.lost.length, 1, "once");
    t.equal(removed.overlaps() + remover.overlaps(), 0);
    await Promise.all([removed.membership.leave(), remover.membership.leave()]);
  });
}
