// Traps of Kafka's protocol and of its JavaScript clients, each with what keeps us out of it. Records of aborted transactions, keys of four zero bytes, offsets after a takeover and
// zombies stand in the contract of clustered logs (cluster-log.test.ts); damaged and exploding batches in record-batch.test.ts.
import t from "tap";
import { topicPartitionName } from "@iot-topology/core";
import { openKafkaLog } from "@iot-topology/connectors/kafka";
import { apiKeys } from "../../../../test/kafka/cutting-proxy.ts";
import { kafkaBrokers } from "../../../../test/kafka/kafka-brokers.ts";
import { clients, copyNumbers, failureOf, readAll, textOf, valuesFor } from "./fixture.ts";

t.setTimeout(180_000);
const upTo = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index));

t.test("a request of a transaction that is lost, or its reply, leaves all of it or nothing, and a new producer gets on", async (t) => {
  const kafka = await kafkaBrokers(t, { proxied: true });
  const [proxy] = kafka?.proxies ?? [];
  if (kafka === undefined || proxy === undefined) return;
  for (const client of clients) {
    const log = await openKafkaLog({ brokers: kafka.brokers, client, deadlineMs: 20_000 });
    for (const [name, apiKey] of Object.entries({ addPartitionsToTxn: 24, addOffsetsToTxn: 25, txnOffsetCommit: 28, produce: 0, endTxn: 26 })) {
      for (const at of ["request", "reply"] as const) {
        const [topic, group, id] = [kafka.name("t"), kafka.name("g"), kafka.name("id")];
        await log.createTopics([{ topic, partitions: 2 }]);
        const place = [{ topic, partition: 0 }];
        const transaction = (offset: number) => ({ batches: [valuesFor(topic, 0, [String(offset)]), valuesFor(topic, 1, [String(offset)])], group, positions: [{ topic, partition: 0, offset }] });
        const producer = await log.openProducer(id);
        await producer.commit(transaction(1));
        const before = proxy.fired;
        proxy.arm({ apiKey, at });
        const outcome = await producer.commit(transaction(2)).then(() => "committed" as const, (error: unknown) => error);
        t.equal(proxy.fired, before + 1, "the fault struck");
        const label = `${client}: ${name}, ${at} lost`;
        if (name === "produce") t.equal(outcome, "committed", `${label}: sent again under its sequence`);
        else t.match(outcome, { code: "KAFKA_UNREACHABLE", retriable: true }, label);
        if (outcome !== "committed") t.match(await failureOf(producer.commit(transaction(3))), { retriable: true }, "the producer is finished");
        await log.openProducer(id);
        const offset = (await log.committedOffsets(group, place)).get(topicPartitionName(topic, 0));
        const isCommitted = outcome === "committed" || (name === "endTxn" && at === "reply");
        t.equal(offset, isCommitted ? 2 : 1, label);
        await (await log.openProducer(id)).commit(transaction(4));
        await log.openProducer(id);
        for (const partition of [0, 1]) t.same((await readAll(log, topic, partition)).map(textOf), isCommitted ? ["1", "2", "4"] : ["1", "4"], label);
      }
    }
    await log.close();
  }
});

t.test("a transaction that is made again after a failure has its offsets again", async (t) => {
  const kafka = await kafkaBrokers(t, { proxied: true });
  const [proxy] = kafka?.proxies ?? [];
  if (kafka === undefined || proxy === undefined) return;
  for (const client of clients) {
    const log = await openKafkaLog({ brokers: kafka.brokers, client, deadlineMs: 20_000 });
    const [topic, group, id] = [kafka.name("t"), kafka.name("g"), kafka.name("id")];
    await log.createTopics([{ topic, partitions: 2 }]);
    const kinds = [apiKeys.endTxn, apiKeys.addOffsetsToTxn, apiKeys.txnOffsetCommit, apiKeys.produce, apiKeys.addPartitionsToTxn, apiKeys.initProducerId];
    let turn = 0;
    const failures = await copyNumbers(log, {
      id, group, topic, partitions: 2, count: 200, step: 10,
      onCommit: () => proxy.arm({ apiKey: kinds[turn % kinds.length] as number, at: turn++ % 2 === 0 ? "reply" : "request" }),
    });
    t.ok(failures >= 8, `${client}: ${failures} failures`);
    await log.openProducer(id);
    for (const partition of [0, 1]) t.same((await readAll(log, topic, partition)).map(textOf), upTo(200), client);
    t.equal((await log.committedOffsets(group, [{ topic, partition: 0 }])).get(topicPartitionName(topic, 0)), 200);
    await log.close();
  }
});

t.test("transactions one behind the other wait for the coordinator in small steps", async (t) => {
  const kafka = await kafkaBrokers(t, { proxied: true });
  const [proxy] = kafka?.proxies ?? [];
  if (kafka === undefined || proxy === undefined) return;
  for (const client of clients) {
    const log = await openKafkaLog({ brokers: kafka.brokers, client });
    const [topic, group, id] = [kafka.name("t"), kafka.name("g"), kafka.name("id")];
    await log.createTopics([{ topic, partitions: 4 }]);
    const count = (): number[] => [apiKeys.addPartitionsToTxn, apiKeys.addOffsetsToTxn, apiKeys.txnOffsetCommit, apiKeys.produce, apiKeys.endTxn, apiKeys.initProducerId].map((key) => proxy.requests(key));
    const before = count();
    const failures = await copyNumbers(log, { id, group, topic, partitions: 4, count: 100, step: 1 });
    t.equal(failures, 0);
    const [addPartitions = 0, addOffsets = 0, offsetCommits = 0, produces = 0, ends = 0, inits = 0] = count().map((after, index) => after - (before[index] ?? 0));
    t.ok(addPartitions >= 100 && addPartitions < 700, `${client}: ${addPartitions} requests to add partitions: the first of a transaction waits for the end of the one before`);
    t.same([addOffsets, offsetCommits, ends], [100, 100, 100], `${client}: one request each`);
    t.ok(produces >= 100 && produces < 105, `${client}: ${produces} with records for four partitions: none is refused for another's sake`);
    t.ok(inits < 30, `${client}: ${inits} to open the producer`);
    await log.close();
  }
});

t.test("a commit ends at its deadline where the broker hangs, and a new producer settles it", async (t) => {
  const kafka = await kafkaBrokers(t, { own: true });
  if (kafka === undefined) return;
  for (const client of clients) {
    const log = await openKafkaLog({ brokers: kafka.brokers, client, deadlineMs: 1_500, requestTimeoutMs: 1_000 });
    const [topic, group, id] = [kafka.name("t"), kafka.name("g"), kafka.name("id")];
    await log.createTopics([{ topic, partitions: 1 }]);
    const producer = await log.openProducer(id);
    await producer.commit({ batches: [valuesFor(topic, 0, ["0"])], group, positions: [{ topic, partition: 0, offset: 1 }] });
    kafka.signal("SIGSTOP");
    const failure = await failureOf(producer.commit({ batches: [valuesFor(topic, 0, ["1"])], group, positions: [{ topic, partition: 0, offset: 2 }] }));
    kafka.signal("SIGCONT");
    t.ok(failure.retriable, `${client}: ${failure.code}`);
    await copyNumbers(log, { id, group, topic, partitions: 1, count: 5, step: 1 });
    t.same((await readAll(log, topic)).map(textOf), upTo(5), client);
    await log.close();
  }
});

t.test("readers, writers and members go on over a broker that is killed and comes back", async (t) => {
  const kafka = await kafkaBrokers(t, { own: true });
  if (kafka === undefined) return;
  for (const client of clients) {
    const log = await openKafkaLog({ brokers: kafka.brokers, client });
    const [topic, group] = [kafka.name("t"), kafka.name("g")];
    await log.createTopics([{ topic, partitions: 1 }]);
    await log.append(topic, [{ key: null, value: "0", timestamp: 1 }]);
    t.same((await readAll(log, topic)).map(textOf), ["0"]);
    const generations: number[] = [];
    const member = await log.joinGroup({
      group, topics: [topic], sessionTimeoutMs: 6_000, heartbeatIntervalMs: 100,
      userData: () => Buffer.alloc(0),
      assign: async (members) => new Map(members.map(({ memberId }) => [memberId, { partitions: {}, userData: Buffer.alloc(0) }])),
      onAssigned: async (_, generation) => void generations.push(generation),
      onLost: async () => undefined,
      onFailure: (error) => t.fail(error.message),
    });
    const acknowledged = member.acknowledgedAt;
    let told = 0;
    const stop = log.onAppend(() => told++);
    await kafka.bounce();
    await log.append(topic, [{ key: null, value: "1", timestamp: 1 }]);
    t.same((await readAll(log, topic, 0, 2)).map(textOf), ["0", "1"], client);
    t.ok(told > 0, "the listener was told without asking again");
    stop();
    for (let turn = 0; member.acknowledgedAt <= acknowledged + 1_000 && turn < 2_000; turn++) await new Promise((resolve) => setTimeout(resolve, 10));
    t.ok(member.acknowledgedAt > acknowledged + 1_000, `${client}: the member is acknowledged again`);
    t.ok(generations.length >= 1);
    await member.leave();
    await log.close();
  }
});

t.test("PLAIN is not spoken to another machine without TLS, and no message holds the secret", async (t) => {
  const sasl = { mechanism: "plain", username: "ada", password: "hush-hush" } as const;
  const failure = await failureOf(openKafkaLog({ brokers: ["192.0.2.1:9092"], sasl, deadlineMs: 1_000 }));
  t.equal(failure.code, "CONFIG_INVALID");
  t.notMatch(`${failure.message}${failure.stack}`, /hush/);
  const unreachable = await failureOf(openKafkaLog({ brokers: ["127.0.0.1:1"], sasl, deadlineMs: 300 }));
  t.match(unreachable, { code: "KAFKA_UNREACHABLE", retriable: true });
  t.notMatch(`${unreachable.message}${unreachable.stack}${String(unreachable.cause)}`, /hush/);
  t.equal((await failureOf(openKafkaLog({ brokers: ["nonsense"] }))).code, "CONFIG_INVALID");
  t.equal((await failureOf(openKafkaLog({ brokers: [] }))).code, "CONFIG_INVALID");
});
