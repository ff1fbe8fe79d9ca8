// Trap: a client that remembers which brokers have answered, and not which partitions, loses records of committed transactions when a leader moves.
import t from "tap";
import { topicPartitionName } from "@iot-topology/core";
import type { ClusterLog, GroupMembership } from "@iot-topology/core";
import { openKafkaLog } from "@iot-topology/connectors/kafka";
import { kafkaBrokers } from "../../../../test/kafka/kafka-brokers.ts";
import { clients, copyNumbers, readAll, textOf } from "./fixture.ts";

t.setTimeout(300_000);
const PARTITIONS = 6;
const COUNT = 1_500;
/** Each broker is killed once or twice in all. */
const KILLED = { kafkajs: [1, 2], platformatic: [3, 1] } as const;

interface Member {
  readonly membership: GroupMembership;
  readonly last: () => { readonly generation: number; readonly mine: string };
  readonly failures: string[];
}

/** A member that shares four numbers with the others. */
async function join(log: ClusterLog, group: string, topic: string): Promise<Member> {
  let last = { generation: -1, mine: "" };
  const failures: string[] = [];
  const membership = await log.joinGroup({
    group, topics: [topic], sessionTimeoutMs: 8_000, rebalanceTimeoutMs: 8_000, heartbeatIntervalMs: 200,
    userData: () => Buffer.alloc(0),
    assign: async (members) => new Map(members.map(({ memberId }, index) => [memberId, { partitions: {}, userData: Buffer.from([0, 1, 2, 3].filter((task) => task % members.length === index).join()) }])),
    onAssigned: async ({ userData }, generation) => void (last = { generation, mine: userData.toString() }),
    onLost: async () => void (last = { generation: -1, mine: "" }),
    onFailure: (error) => void failures.push(error.message),
  });
  return { membership, last: () => last, failures };
}

t.test("no committed record is lost or doubled while brokers are killed and leaders move", async (t) => {
  const kafka = await kafkaBrokers(t, { count: 3 });
  if (kafka === undefined) return;
  for (const client of clients) {
    const [topic, group, id] = [kafka.name("t"), kafka.name("g"), kafka.name("id")];
    const log = await openKafkaLog({ brokers: kafka.brokers, client, deadlineMs: 20_000 });
    await log.createTopics([{ topic, partitions: PARTITIONS, replicationFactor: 3 }]);
    const members = await Promise.all([0, 1].map(() => join(log, `${group}-members`, topic)));
    let bounced = 0;
    let last = 0;
    let faults: Promise<void> | undefined;
    const bounce = async (): Promise<void> => {
      for (const node of KILLED[client]) {
        await kafka.kill(node);
        await new Promise((resolve) => setTimeout(resolve, 3_000));
        await kafka.start(node);
        bounced++;
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      }
    };
    // The reader runs beside it, as another process would.
    const reader = await openKafkaLog({ brokers: kafka.brokers, client, deadlineMs: 60_000 });
    const failures = await copyNumbers(log, {
      id, group, topic, partitions: PARTITIONS, count: COUNT, step: 5,
      onCommit: async (next) => {
        last = next;
        faults ??= bounce();
        // Work is left until all faults have struck.
        if (bounced < KILLED[client].length && next > COUNT - 100) await faults;
        else await new Promise((resolve) => setTimeout(resolve, 5));
      },
    });
    await faults;
    t.equal(bounced, KILLED[client].length, "the brokers were killed");
    t.equal(last, COUNT);
    await log.openProducer(id);
    const expected = Array.from({ length: COUNT }, (_, index) => String(index));
    for (let partition = 0; partition < PARTITIONS; partition++) t.same((await readAll(reader, topic, partition)).map(textOf), expected, `${client}: partition ${partition}, over ${failures} failures`);
    t.equal((await log.committedOffsets(group, [{ topic, partition: 0 }])).get(topicPartitionName(topic, 0)), COUNT);
    const shares = (): string => members.map((member) => member.last().mine).sort().join(" | ");
    for (let turn = 0; turn < 3_000 && (shares() !== "0,2 | 1,3" || members[0]?.last().generation !== members[1]?.last().generation); turn++) await new Promise((resolve) => setTimeout(resolve, 10));
    t.equal(shares(), "0,2 | 1,3", `${client}: members share in one generation over moved coordinators`);
    const askedAt = Date.now();
    for (let turn = 0; turn < 1_000 && members.some(({ membership }) => membership.acknowledgedAt < askedAt); turn++) await new Promise((resolve) => setTimeout(resolve, 10));
    t.ok(members.every(({ membership }) => membership.acknowledgedAt >= askedAt), "and are acknowledged");
    t.same(members.flatMap(({ failures: own }) => own), []);
    await Promise.all(members.map(({ membership }) => membership.leave()));
    await reader.close();
    await log.close();
  }
});
