/** The contract of a wire, against a real broker, for each library: what the broker answers comes as it is, error codes included. */
import t from "tap";
import { kafkaBrokers } from "../../../../test/kafka/kafka-brokers.ts";
import type { KafkaBrokers } from "../../../../test/kafka/kafka-brokers.ts";
import type { WireMember } from "../../src/kafka/wire.ts";
import { codeOf, codesOf, produceOne, recordBatch, settled, unstamped, wireCluster, wires } from "./wire-fixture.ts";

t.setTimeout(180_000);

const TIMEOUT_MS = 10_000;
const PRODUCER_FENCED = [47, 90]; // INVALID_PRODUCER_EPOCH says so too in older versions of the requests
const text = (...values: string[]): Buffer => recordBatch(values.map((value) => Buffer.from(value)));
const byPartition = <Item extends { readonly topic: string; readonly partition: number }>(items: readonly Item[]): Item[] => [...items].sort((a, b) => a.topic.localeCompare(b.topic) || a.partition - b.partition);

type Test = typeof t;

/** One test a wire. */
function each(title: string, run: (t: Test, wire: (typeof wires)[number], kafka: KafkaBrokers) => Promise<void>): void {
  for (const wire of wires) {
    void t.test(`${wire.name}: ${title}`, async (t) => {
      const kafka = await kafkaBrokers(t);
      if (kafka !== undefined) await run(t as Test, wire, kafka);
    });
  }
}

each("topics are created, described, widened and deleted", async (t, wire, kafka) => {
  const { any } = await wireCluster(t, wire, kafka.brokers);
  const topic = kafka.name("wire-topic");
  const creation = { topics: [{ topic, partitions: 2, replicationFactor: 1, config: { "retention.ms": "12345", "cleanup.policy": "delete" } }], timeoutMs: TIMEOUT_MS };
  t.same(await any.createTopics(creation), [{ topic, errorCode: 0, message: null }]);
  t.same((await any.createTopics(creation)).map(({ errorCode }) => errorCode), [36], "TOPIC_ALREADY_EXISTS");
  const [refused] = await any.createTopics({ topics: [{ topic: `${topic}-x`, partitions: 1, replicationFactor: 1, config: { "retention.ms": "soon" } }], timeoutMs: TIMEOUT_MS });
  t.equal(refused?.errorCode, 40, "INVALID_CONFIG");
  t.match(refused?.message, /retention\.ms/, "with the broker's words");

  t.same(await any.createPartitions({ topic, total: 3, timeoutMs: TIMEOUT_MS }), { errorCode: 0, message: null });
  const narrower = await any.createPartitions({ topic, total: 3, timeoutMs: TIMEOUT_MS });
  t.equal(narrower.errorCode, 37, "INVALID_PARTITIONS");
  t.type(narrower.message, "string");

  const metadata = await settled(() => any.metadata([topic]), ({ topics: [each] }) => each?.partitions.length === 3 ? codesOf(each.partitions) : [3]);
  t.same(metadata.topics[0]?.partitions.map(({ partition }) => partition).sort(), [0, 1, 2]);
  for (const partition of metadata.topics[0]?.partitions ?? []) t.ok(partition.errorCode === 0 && partition.leader >= 0 && partition.isr.includes(partition.leader) && partition.replicas.length === 1);
  t.ok(metadata.brokers.some(({ host, port, nodeId }) => host !== "" && port > 0 && nodeId === metadata.topics[0]?.partitions[0]?.leader));
  t.ok(metadata.clusterId !== null && metadata.controllerId >= 0);

  const configs = await any.describeTopicConfigs([topic, `${topic}-none`]);
  const known = configs.find((each) => each.topic === topic);
  t.match(known?.config, { "retention.ms": "12345", "cleanup.policy": "delete" });
  t.ok("max.message.bytes" in (known?.config ?? {}), "defaults too");
  t.equal(configs.find((each) => each.topic === `${topic}-none`)?.errorCode, 3, "UNKNOWN_TOPIC_OR_PARTITION");

  const deleted = await any.deleteTopics([topic, `${topic}-none`], TIMEOUT_MS);
  t.same(new Map(deleted.map((each) => [each.topic, each.errorCode])), new Map([[topic, 0], [`${topic}-none`, 3]]));
});

each("metadata is asked for some topics, for none and for all, and creates none", async (t, wire, kafka) => {
  const { any, createTopic } = await wireCluster(t, wire, kafka.brokers);
  const [topic, missing] = [kafka.name("wire-known"), kafka.name("wire-missing")];
  await createTopic(topic);
  const some = await any.metadata([topic, missing]);
  t.same(new Map(some.topics.map((each) => [each.topic, each.errorCode])), new Map([[topic, 0], [missing, 3]]), "one unknown topic does not hide the other");
  const none = await any.metadata([]);
  t.same(none.topics, []);
  t.ok(none.brokers.length > 0);
  const all = await any.metadata(null);
  t.ok(all.topics.some((each) => each.topic === topic));
  t.notOk(all.topics.some((each) => each.topic === missing), "asking for a topic does not create it");
});

each("ready-made batches go in and come out as they are", async (t, wire, kafka) => {
  const { leaderOf, createTopic } = await wireCluster(t, wire, kafka.brokers);
  const topic = kafka.name("wire-raw");
  await createTopic(topic, 2);
  const leader = await leaderOf(topic);
  const batches = [text("one", "two"), text("three"), text("")];
  const offsets: number[] = [];
  for (const batch of batches) {
    const produced = await produceOne(leader, { transactionalId: null, topic, partition: 0, batch, timeoutMs: TIMEOUT_MS });
    t.equal(produced.errorCode, 0);
    offsets.push(produced.baseOffset);
  }
  t.same(offsets, [0, 2, 3]);

  const fetch = (offset: number) => leader.fetch({ maxWaitMs: 100, minBytes: 1, maxBytes: 1 << 20, partitions: [{ topic, partition: 0, offset, maxBytes: 1 << 20 }] });
  const whole = (await fetch(0)).partitions[0];
  t.match(whole, { topic, partition: 0, errorCode: 0, highWatermark: 4, lastStableOffset: 4, logStartOffset: 0, abortedTransactions: [], preferredReplica: -1 });
  let at = 0;
  for (const [index, batch] of batches.entries()) {
    const read = whole?.records.subarray(at, at + batch.length) ?? Buffer.alloc(0);
    t.equal(Number(read.readBigInt64BE(0)), offsets[index]);
    t.ok(unstamped(read).equals(unstamped(batch)), "the batch's own bytes");
    at += batch.length;
  }
  t.equal(at, whole?.records.length);
  t.equal((await fetch(4)).partitions[0]?.records.length, 0, "nothing at the end, after the wait");
  t.equal((await fetch(99)).partitions[0]?.errorCode, 1, "OFFSET_OUT_OF_RANGE");

  const list = (timestamp: number) => leader.listOffsets([{ topic, partition: 0, timestamp }]);
  t.same(await list(-1), [{ topic, partition: 0, errorCode: 0, offset: 4 }]);
  t.same(await list(-2), [{ topic, partition: 0, errorCode: 0, offset: 0 }]);
  t.same(await list(1_700_000_000_000), [{ topic, partition: 0, errorCode: 0, offset: 0 }], "the first record at the timestamp");
  t.same(await list(1_700_000_000_001), [{ topic, partition: 0, errorCode: 0, offset: -1 }], "none behind it");

  const deleted = await leader.deleteRecords([{ topic, partition: 0, offset: 2 }, { topic, partition: 1, offset: 7 }], TIMEOUT_MS);
  t.same(byPartition(deleted), [{ topic, partition: 0, errorCode: 0 }, { topic, partition: 1, errorCode: 1 }], "each partition has its own code");
  t.equal((await list(-2))[0]?.offset, 2);
  t.match((await fetch(2)).partitions[0], { errorCode: 0, logStartOffset: 2 });
});

each("what is unknown, damaged or too large is answered with its code", async (t, wire, kafka) => {
  const { leaderOf, createTopic } = await wireCluster(t, wire, kafka.brokers);
  const [topic, missing] = [kafka.name("wire-refused"), kafka.name("wire-missing")];
  await createTopic(topic, 1, { "max.message.bytes": "2000" });
  const leader = await leaderOf(topic);
  const produce = (to: string, batch: Buffer, partition = 0) => produceOne(leader, { transactionalId: null, topic: to, partition, batch, timeoutMs: TIMEOUT_MS });
  t.same(await produce(missing, text("x")), { errorCode: 3, baseOffset: -1 }, "UNKNOWN_TOPIC_OR_PARTITION");
  t.equal((await produce(topic, text("x"), 5)).errorCode, 3);
  const damaged = text("damaged");
  damaged[damaged.length - 3] = (damaged[damaged.length - 3] ?? 0) ^ 1;
  t.equal((await produce(topic, damaged)).errorCode, 2, "CORRUPT_MESSAGE");
  t.equal((await produce(topic, recordBatch([Buffer.alloc(3_000)]))).errorCode, 10, "MESSAGE_TOO_LARGE");
  const fetched = await leader.fetch({
    maxWaitMs: 50, minBytes: 1, maxBytes: 1 << 20,
    partitions: [topic, missing].map((each) => ({ topic: each, partition: 0, offset: 0, maxBytes: 1 << 20 })),
  });
  t.equal(fetched.errorCode, 0);
  t.same(new Map(fetched.partitions.map((each) => [each.topic, each.errorCode])), new Map([[topic, 0], [missing, 3]]));
  const listed = await leader.listOffsets([{ topic, partition: 0, timestamp: -1 }, { topic: missing, partition: 0, timestamp: -1 }]);
  t.same(new Map(listed.map((each) => [each.topic, each.errorCode])), new Map([[topic, 0], [missing, 3]]));
  t.ok(leader.isOpen, "a refusal does not end the connection");
});

each("a batch of 900 KB goes in and comes out", async (t, wire, kafka) => {
  const { leaderOf, createTopic } = await wireCluster(t, wire, kafka.brokers);
  const topic = kafka.name("wire-large");
  await createTopic(topic);
  const leader = await leaderOf(topic);
  const batch = recordBatch(Array.from({ length: 900 }, (_, index) => Buffer.alloc(1_000, index % 251)));
  t.ok(batch.length > 900_000);
  t.same(await produceOne(leader, { transactionalId: null, topic, partition: 0, batch, timeoutMs: TIMEOUT_MS }), { errorCode: 0, baseOffset: 0 });
  const bytes = new Uint8Array(batch.length + 20).fill(7);
  bytes.set(batch, 20);
  t.same(await produceOne(leader, { transactionalId: null, topic, partition: 0, batch: bytes.subarray(20), timeoutMs: TIMEOUT_MS }), { errorCode: 0, baseOffset: 900 }, "a view into a larger array too");
  const fetched = await leader.fetch({ maxWaitMs: 5_000, minBytes: 1, maxBytes: 4 << 20, partitions: [{ topic, partition: 0, offset: 0, maxBytes: 4 << 20 }] });
  const { records } = fetched.partitions[0] ?? { records: Buffer.alloc(0) };
  t.equal(records.length, 2 * batch.length);
  t.ok(unstamped(records.subarray(0, batch.length)).equals(unstamped(batch)));
  t.ok(unstamped(records.subarray(batch.length)).equals(unstamped(batch)));
});

each("a transaction is seen while it is open, and its end decides", async (t, wire, kafka) => {
  const { leaderOf, coordinatorOf, createTopic } = await wireCluster(t, wire, kafka.brokers);
  const [topic, group, transactionalId] = [kafka.name("wire-txn"), kafka.name("wire-group"), kafka.name("wire-producer")];
  await createTopic(topic);
  const coordinator = await coordinatorOf("transaction", transactionalId);
  const groupCoordinator = await coordinatorOf("group", group);
  const leader = await leaderOf(topic);
  const opened = await settled(() => coordinator.initProducerId({ transactionalId, transactionTimeoutMs: 60_000 }), codeOf);
  t.match(opened, { errorCode: 0, producerEpoch: 0 });
  const producer = { transactionalId, producerId: opened.producerId, producerEpoch: opened.producerEpoch };
  const positions = [{ topic, partition: 0, offset: Number.MAX_SAFE_INTEGER - 1, metadata: "späte Stelle" }];
  let firstSequence = 0;
  const write = async (value: string) => {
    t.same(await settled(() => coordinator.addPartitionsToTxn({ ...producer, partitions: [{ topic, partition: 0 }] }), codesOf), [{ topic, partition: 0, errorCode: 0 }]);
    const batch = recordBatch([Buffer.from(value)], { ...producer, firstSequence });
    firstSequence += 1;
    return await produceOne(leader, { transactionalId, topic, partition: 0, batch, timeoutMs: TIMEOUT_MS });
  };
  const read = async (offset: number) => (await leader.fetch({ maxWaitMs: 100, minBytes: 1, maxBytes: 1 << 20, partitions: [{ topic, partition: 0, offset, maxBytes: 1 << 20 }] })).partitions[0];

  t.same(await write("kept"), { errorCode: 0, baseOffset: 0 });
  t.same(await settled(() => coordinator.addOffsetsToTxn({ ...producer, group }), codeOf), { errorCode: 0 });
  t.same(await settled(() => groupCoordinator.txnOffsetCommit({ ...producer, group, positions }), codesOf), [{ topic, partition: 0, errorCode: 0 }]);
  t.match(await read(0), { highWatermark: 1, lastStableOffset: 0 }, "what is open is behind the last stable offset");
  const started = await coordinator.describeTransaction(transactionalId);
  t.match(started, { errorCode: 0, state: "Ongoing", producerId: opened.producerId });
  t.ok(started?.partitions.some((each) => each.topic === topic && each.partition === 0));
  t.ok(Math.abs((started?.startedAt ?? 0) - Date.now()) < 600_000, "a time in milliseconds");
  t.ok((await coordinator.listOpenTransactions())?.some((each) => each.transactionalId === transactionalId && each.producerId === opened.producerId));
  const pending = await groupCoordinator.offsetFetch({ group, partitions: [{ topic, partition: 0 }] });
  t.same(pending.positions.map(({ errorCode }) => errorCode), [88], "UNSTABLE_OFFSET_COMMIT: what is about to change is not handed out");

  t.same(await settled(() => coordinator.endTxn({ ...producer, commit: true }), codeOf), { errorCode: 0 });
  t.same(await settled(() => groupCoordinator.offsetFetch({ group, partitions: [{ topic, partition: 0 }] }), ({ positions: [each] }) => each?.errorCode === 88 ? [14] : []), {
    errorCode: 0, positions: [{ topic, partition: 0, offset: Number.MAX_SAFE_INTEGER - 1, metadata: "späte Stelle", errorCode: 0 }],
  });
  t.equal((await write("dropped")).errorCode, 0);
  t.same(await settled(() => coordinator.endTxn({ ...producer, commit: false }), codeOf), { errorCode: 0 });
  t.same(await settled(() => leader.listOffsets([{ topic, partition: 0, timestamp: -1 }]), ([each]) => each?.offset === 4 ? [] : [14]), [{ topic, partition: 0, errorCode: 0, offset: 4 }]);
  t.match(await read(2), { abortedTransactions: [{ producerId: opened.producerId, firstOffset: 2 }] });
  t.notOk((await coordinator.listOpenTransactions())?.some((each) => each.transactionalId === transactionalId), "no longer open");
  t.equal((await coordinator.describeTransaction(`${transactionalId}-none`))?.errorCode, 105, "TRANSACTIONAL_ID_NOT_FOUND");
});

each("a newer producer with the same id fences the older in every request", async (t, wire, kafka) => {
  const { leaderOf, coordinatorOf, createTopic } = await wireCluster(t, wire, kafka.brokers);
  const [topic, group, transactionalId] = [kafka.name("wire-fence"), kafka.name("wire-group"), kafka.name("wire-producer")];
  await createTopic(topic);
  const [coordinator, groupCoordinator, leader] = [await coordinatorOf("transaction", transactionalId), await coordinatorOf("group", group), await leaderOf(topic)];
  const init = () => settled(() => coordinator.initProducerId({ transactionalId, transactionTimeoutMs: 60_000 }), codeOf);
  const old = { transactionalId, ...(await init()) };
  const partitions = [{ topic, partition: 0 }];
  t.same(codesOf(await settled(() => coordinator.addPartitionsToTxn({ ...old, partitions }), codesOf)), [0]);
  t.equal((await produceOne(leader, { transactionalId, topic, partition: 0, batch: recordBatch([Buffer.from("a")], { ...old, firstSequence: 0 }), timeoutMs: TIMEOUT_MS })).errorCode, 0);
  t.match(await init(), { errorCode: 0, producerId: old.producerId }, "which ends what was open");
  const codes = [
    ...codesOf(await coordinator.addPartitionsToTxn({ ...old, partitions })),
    (await coordinator.addOffsetsToTxn({ ...old, group })).errorCode,
    ...codesOf(await groupCoordinator.txnOffsetCommit({ ...old, group, positions: [{ topic, partition: 0, offset: 1, metadata: null }] })),
    (await coordinator.endTxn({ ...old, commit: true })).errorCode,
    (await produceOne(leader, { transactionalId, topic, partition: 0, batch: recordBatch([Buffer.from("b")], { ...old, firstSequence: 1 }), timeoutMs: TIMEOUT_MS })).errorCode,
  ];
  t.equal(codes.length, 5);
  t.ok(codes.every((code) => PRODUCER_FENCED.includes(code) || code === 0 || code === 48), codes.join(" "));
  for (const at of [0, 1, 3, 4]) t.ok(PRODUCER_FENCED.includes(codes[at] ?? 0), `request ${at} is fenced: ${codes[at]}`);
});

each("a group of two members forms, is described, and is left", async (t, wire, kafka) => {
  const { coordinatorOf, any, connectTo, createTopic } = await wireCluster(t, wire, kafka.brokers);
  const [topic, group] = [kafka.name("wire-input"), kafka.name("wire-group")];
  await createTopic(topic);
  const coordinator = await coordinatorOf("group", group);
  const address = await settled(() => any.findCoordinator({ type: "group", key: group }), codeOf);
  const connections = [await connectTo(address), await connectTo(address)];
  const join = (index: number, memberId: string) => (connections[index] ?? coordinator).joinGroup({
    group, memberId, sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 10_000, protocolType: "consumer", protocols: [{ name: "sticky", metadata: Buffer.from([index, 255]) }],
  });
  const named = await join(0, "");
  t.equal(named.errorCode, 79, "MEMBER_ID_REQUIRED");
  t.ok(named.memberId.startsWith("wire-test"), "an answer with a code still carries its values");
  const alone = await join(0, named.memberId);
  t.match(alone, { errorCode: 0, leaderId: named.memberId });
  t.same(await coordinator.syncGroup({ group, generation: alone.generation, memberId: named.memberId, assignments: [{ memberId: named.memberId, assignment: Buffer.from([1]) }] }), { errorCode: 0, assignment: Buffer.from([1]) });
  const memberIds = [named.memberId, (await join(1, "")).memberId];
  const joining = join(1, memberIds[1] ?? "");
  const heard = await settled(() => coordinator.heartbeat({ group, generation: alone.generation, memberId: named.memberId }), ({ errorCode }) => errorCode === 0 ? [14] : []);
  t.equal(heard.errorCode, 27, "REBALANCE_IN_PROGRESS: the member hears of the other one");
  const [again, second] = await Promise.all([join(0, memberIds[0] ?? ""), joining]);
  const leader = [again, second].find((each) => each.leaderId === each.memberId);
  t.same(leader?.members.map(({ memberId }) => memberId).sort(), [...memberIds].sort());
  t.same(leader?.members.find(({ memberId }) => memberId === memberIds[1])?.metadata, Buffer.from([1, 255]));
  t.match([again, second], [{ errorCode: 0, protocol: "sticky" }, { errorCode: 0, protocol: "sticky" }]);
  t.equal(again.generation, second.generation);

  const member = (index: number): WireMember => ({ group, generation: again.generation, memberId: memberIds[index] ?? "" });
  const assignments = memberIds.map((memberId, index) => ({ memberId, assignment: Buffer.from([9, index]) }));
  const synced = await Promise.all([0, 1].map((index) => (connections[index] ?? coordinator).syncGroup({ ...member(index), assignments: leader?.memberId === memberIds[index] ? assignments : [] })));
  t.same(synced, [{ errorCode: 0, assignment: Buffer.from([9, 0]) }, { errorCode: 0, assignment: Buffer.from([9, 1]) }]);
  t.same(await coordinator.heartbeat(member(0)), { errorCode: 0 });
  t.same(await coordinator.heartbeat({ ...member(0), generation: again.generation + 5 }), { errorCode: 22 }, "ILLEGAL_GENERATION");
  t.same(await coordinator.heartbeat({ ...member(0), memberId: "nobody" }), { errorCode: 25 }, "UNKNOWN_MEMBER_ID");

  const described = await coordinator.describeGroup(group);
  t.match(described, { errorCode: 0, state: "Stable", protocolType: "consumer" });
  const first = described.members.find(({ memberId }) => memberId === memberIds[0]);
  t.match(first, { clientId: "wire-test", metadata: Buffer.from([0, 255]), assignment: Buffer.from([9, 0]) });
  t.equal((await coordinator.deleteGroup(group)).errorCode, 68, "NON_EMPTY_GROUP");

  t.same(await coordinator.leaveGroup({ group, memberId: memberIds[0] ?? "" }), { errorCode: 0 });
  t.same(await coordinator.leaveGroup({ group, memberId: memberIds[0] ?? "" }), { errorCode: 25 });
  t.same(await coordinator.leaveGroup({ group, memberId: memberIds[1] ?? "" }), { errorCode: 0 });
});

each("offsets of a group without members are set, read and removed with it", async (t, wire, kafka) => {
  const { coordinatorOf, createTopic } = await wireCluster(t, wire, kafka.brokers);
  const [topic, group] = [kafka.name("wire-input"), kafka.name("wire-group")];
  await createTopic(topic, 3);
  const coordinator = await coordinatorOf("group", group);
  const positions = [{ topic, partition: 0, offset: 2 ** 40 + 1, metadata: null }, { topic, partition: 2, offset: 0, metadata: "x".repeat(300) }];
  t.same(byPartition(await settled(() => coordinator.offsetCommit({ group, positions }), codesOf)), [{ topic, partition: 0, errorCode: 0 }, { topic, partition: 2, errorCode: 0 }]);
  const fetched = await coordinator.offsetFetch({ group, partitions: [0, 1, 2].map((partition) => ({ topic, partition })) });
  t.equal(fetched.errorCode, 0);
  t.same(byPartition(fetched.positions).map(({ partition, offset, errorCode }) => [partition, offset, errorCode]), [[0, 2 ** 40 + 1, 0], [1, -1, 0], [2, 0, 0]]);
  t.equal(byPartition(fetched.positions)[2]?.metadata, "x".repeat(300));
  t.same(await coordinator.deleteGroup(group), { errorCode: 0 });
  t.same(await coordinator.deleteGroup(group), { errorCode: 69 }, "GROUP_ID_NOT_FOUND");
});

each("requests overlap, and each gets its own answer", async (t, wire, kafka) => {
  const { leaderOf, createTopic } = await wireCluster(t, wire, kafka.brokers);
  const topic = kafka.name("wire-overlap");
  await createTopic(topic, 1);
  const leader = await leaderOf(topic);
  const produced = Array.from({ length: 100 }, (_, index) => produceOne(leader, { transactionalId: null, topic, partition: 0, batch: text(`record ${index}`), timeoutMs: TIMEOUT_MS }));
  const asked = Array.from({ length: 100 }, (_, index) => leader.metadata([`${topic}-${index}`]));
  t.same((await Promise.all(produced)).map(({ baseOffset }) => baseOffset), Array.from({ length: 100 }, (_, index) => index), "in the order of sending");
  t.same((await Promise.all(asked)).map(({ topics }) => topics[0]?.topic), Array.from({ length: 100 }, (_, index) => `${topic}-${index}`));
});
