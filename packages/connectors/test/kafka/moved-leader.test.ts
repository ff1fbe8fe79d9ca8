// Trap: a client that remembers which brokers have answered, and not which partitions, loses records of committed transactions when a leader moves.
import t from "tap";
import { topicPartitionName } from "@iot-topology/core";
import { openKafkaLog } from "@iot-topology/connectors/kafka";
import { kafkaBrokers } from "../../../../test/kafka/kafka-brokers.ts";
import { clients, copyNumbers, readAll, textOf } from "./fixture.ts";

t.setTimeout(300_000);
const PARTITIONS = 6;
const COUNT = 1_500;
/** Each broker is killed once or twice in all. */
const KILLED = { kafkajs: [1, 2], platformatic: [3, 1] } as const;

t.test("no committed record is lost or doubled while brokers are killed and leaders move", async (t) => {
  const kafka = await kafkaBrokers(t, { count: 3 });
  if (kafka === undefined) return;
  for (const client of clients) {
    const [topic, group, id] = [kafka.name("t"), kafka.name("g"), kafka.name("id")];
    const log = await openKafkaLog({ brokers: kafka.brokers, client, deadlineMs: 20_000 });
    await log.createTopics([{ topic, partitions: PARTITIONS, replicationFactor: 3 }]);
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
    await reader.close();
    await log.close();
  }
});
