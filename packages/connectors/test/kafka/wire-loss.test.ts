/** What a wire says when no answer comes: connections cut in mid-request, brokers that fall silent, brokers that are not there, brokers that are not in charge. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import t from "tap";
import { apiKeys, startCuttingProxy } from "../../../../test/kafka/cutting-proxy.ts";
import { kafkaBrokers } from "../../../../test/kafka/kafka-brokers.ts";
import type { KafkaBrokers } from "../../../../test/kafka/kafka-brokers.ts";
import { WireError } from "../../src/kafka/wire.ts";
import type { WireConnection } from "../../src/kafka/wire.ts";
import { addressOf, codeOf, codesOf, produceOne, recordBatch, settled, silentProxy, wireCluster, wireOptions, wires } from "./wire-fixture.ts";

t.setTimeout(180_000);

const TIMEOUT_MS = 10_000;
const HOST = "127.0.0.1";

type Test = typeof t;

function each(title: string, run: (t: Test, wire: (typeof wires)[number], kafka: KafkaBrokers) => Promise<void>): void {
  for (const wire of wires) {
    void t.test(`${wire.name}: ${title}`, async (t) => {
      const kafka = await kafkaBrokers(t);
      if (kafka !== undefined) await run(t as Test, wire, kafka);
    });
  }
}

/** The error that a request without an answer ends with. */
async function failureOf(request: Promise<unknown>): Promise<WireError> {
  const failure = await request.then(() => undefined, (error: unknown) => error);
  if (failure instanceof WireError) return failure;
  throw new Error("a request without an answer did not end with a WireError", { cause: failure });
}

function produceTo(connection: WireConnection, topic: string): ReturnType<typeof produceOne> {
  return produceOne(connection, { transactionalId: null, topic, partition: 0, batch: recordBatch([Buffer.from("x")]), timeoutMs: TIMEOUT_MS });
}

for (const at of ["reply", "request"] as const) {
  each(`a connection cut at the ${at} leaves nobody waiting`, async (t, wire, kafka) => {
    const { leaderOf, any, createTopic } = await wireCluster(t, wire, kafka.brokers);
    const topic = kafka.name(`wire-cut-${at}`);
    await createTopic(topic);
    const leader = await leaderOf(topic);
    const { brokers } = await any.metadata([]);
    const proxy = await startCuttingProxy(brokers[0]?.port ?? 0);
    t.teardown(() => proxy.close());
    const connection = await wire.connect({ host: HOST, port: proxy.port }, wireOptions);
    let closed = 0;
    connection.onClose(() => (closed += 1));
    t.ok(connection.isOpen);
    proxy.arm({ apiKey: apiKeys.produce, at });
    const behind: Promise<unknown>[] = [];
    const lost = await failureOf(Promise.all([produceTo(connection, topic), ...Array.from({ length: 3 }, () => {
      const request = connection.metadata(null);
      behind.push(failureOf(request));
      return request;
    })]));
    t.equal(proxy.fired, 1, "the cut was made");
    t.equal(lost.isFatal, false, "it may go well the next time");
    t.match(lost.message, new RegExp(`127.0.0.1:${proxy.port}: `), "with the broker's address");
    t.equal(connection.isOpen, false, "and the connection is known to be gone");
    t.equal(closed, 1, "which is told once");
    t.equal((await Promise.all(behind)).length, 3, "those behind it end too");
    t.match(await failureOf(connection.heartbeat({ group: "g", generation: 1, memberId: "m" })), { isFatal: false }, "nothing is sent any more");
    const late = new Promise<void>((resolve) => connection.onClose(resolve));
    await late;
    await connection.close();
    t.equal(closed, 1);
    t.same(await leader.listOffsets([{ topic, partition: 0, timestamp: -1 }]), [{ topic, partition: 0, errorCode: 0, offset: at === "reply" ? 1 : 0 }], "whether the broker did it cannot be told from here");
  });
}

each("a broker that falls silent is given up after the time for a request, and not before a long wait that was asked for", async (t, wire, kafka) => {
  const { any, createTopic } = await wireCluster(t, wire, kafka.brokers);
  const topic = kafka.name("wire-silent");
  await createTopic(topic);
  const { brokers } = await any.metadata([]);
  const proxy = await silentProxy({ host: HOST, port: brokers[0]?.port ?? 0 });
  t.teardown(() => proxy.close());
  const requestTimeoutMs = 400;
  const connection = await wire.connect(proxy.address, { ...wireOptions, requestTimeoutMs });
  const waited = await connection.fetch({ maxWaitMs: 3 * requestTimeoutMs, minBytes: 1, maxBytes: 1_000, partitions: [{ topic, partition: 0, offset: 0, maxBytes: 1_000 }] });
  t.match(waited, { errorCode: 0, partitions: [{ errorCode: 0 }] }, "a fetch may wait longer than other requests");
  proxy.fallSilent();
  const [first, second] = [failureOf(connection.metadata([])), failureOf(connection.metadata(null))];
  t.match((await first).message, /Metadata: no answer within 400 ms/);
  t.match(await second, { isFatal: false });
  t.equal(connection.isOpen, false, "what might still come on it would answer somebody who has given up");
});

each("closing ends what is in flight, at once", async (t, wire, kafka) => {
  const { any, createTopic } = await wireCluster(t, wire, kafka.brokers);
  const topic = kafka.name("wire-closed");
  await createTopic(topic);
  const connection = await wire.connect(addressOf(kafka.brokers[0] ?? ""), wireOptions);
  let closed = 0;
  connection.onClose(() => (closed += 1));
  const polling = failureOf(connection.fetch({ maxWaitMs: 60_000, minBytes: 1, maxBytes: 1_000, partitions: [{ topic, partition: 0, offset: 0, maxBytes: 1_000 }] }));
  await any.metadata([]);
  await connection.close();
  t.match((await polling).message, /closed/);
  t.equal(connection.isOpen, false);
  await connection.close();
  t.equal(closed, 1);
});

for (const wire of wires) {
  void t.test(`${wire.name}: a broker that is not there, or says nothing, cannot be connected to`, async (t) => {
    const proxy = await silentProxy(undefined);
    const silent = await failureOf(wire.connect(proxy.address, { ...wireOptions, connectTimeoutMs: 300 }));
    t.match(silent.message, /connect: no answer within 300 ms/);
    t.equal(silent.isFatal, false);
    await proxy.close();
    const refused = await failureOf(wire.connect(proxy.address, wireOptions));
    t.match(refused.message, /ECONNREFUSED/);
    t.equal(refused.isFatal, false);
    const inTheClear = await failureOf(wire.connect({ host: "192.0.2.1", port: 9092 }, { ...wireOptions, sasl: { mechanism: "plain", username: "u", password: "p4ss" } }));
    t.match(inTheClear, { isFatal: true, message: /in the clear/ });
    t.notMatch(inTheClear.message, /p4ss/);
  });
}

void t.test("lost connections leave no timer behind, and no warning", async (t) => {
  const kafka = await kafkaBrokers(t);
  if (kafka === undefined) return;
  const fixture = new URL("./wire-fixture.ts", import.meta.url).href;
  const script = `
    import { wires, wireOptions, silentProxy, addressOf } from ${JSON.stringify(fixture)};
    for (const wire of wires) {
      const proxy = await silentProxy(undefined);
      await wire.connect(proxy.address, { ...wireOptions, connectTimeoutMs: 100 }).catch(() => {});
      const open = await silentProxy(addressOf(${JSON.stringify(kafka.brokers[0])}));
      const cut = await wire.connect(open.address, wireOptions);
      await cut.metadata([]);
      await new Promise((resolve) => setTimeout(resolve, 50));
      open.fallSilent();
      const waiting = cut.metadata([]).catch((error) => console.log(wire.name, error.name));
      await Promise.all([proxy.close(), open.close(), waiting]);
      const closed = await wire.connect(addressOf(${JSON.stringify(kafka.brokers[0])}), wireOptions);
      await closed.close();
    }`;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ["--conditions=@iot-topology/source", "--input-type=module", "-e", script], { timeout: 60_000 });
  t.equal(stdout, "kafkajs WireError\nplatformatic WireError\n", "the process has ended by itself");
  t.notMatch(stderr, /Warning/);
});

void t.test("a broker that is not in charge says so", async (t) => {
  const kafka = await kafkaBrokers(t, { count: 3, heapMb: 192 });
  if (kafka === undefined) return;
  for (const wire of wires) {
    const { any, leaderOf, connectTo } = await wireCluster(t, wire, kafka.brokers);
    const [topic, group, transactionalId] = [kafka.name("wire-led"), kafka.name("wire-group"), kafka.name("wire-producer")];
    t.same(codesOf(await any.createTopics({ topics: [{ topic, partitions: 1, replicationFactor: 1, config: {} }], timeoutMs: TIMEOUT_MS })), [0]);
    const leader = await leaderOf(topic);
    await settled(() => leader.listOffsets([{ topic, partition: 0, timestamp: -1 }]), codesOf);
    t.same(await produceTo(leader, topic), { errorCode: 0, baseOffset: 0 }, wire.name);
    const metadata = await settled(() => any.metadata([topic]), ({ topics }) => codesOf(topics));
    const follower = metadata.brokers.find(({ nodeId }) => nodeId !== metadata.topics[0]?.partitions[0]?.leader);
    const elsewhere = await connectTo(follower ?? addressOf(""));
    t.equal((await settled(async () => await produceTo(elsewhere, topic), ({ errorCode }) => errorCode === 3 ? [3] : [])).errorCode, 6, "NOT_LEADER_OR_FOLLOWER");
    t.same(codesOf(await elsewhere.listOffsets([{ topic, partition: 0, timestamp: -1 }])), [6]);
    const fetched = await elsewhere.fetch({ maxWaitMs: 10, minBytes: 1, maxBytes: 1_000, partitions: [{ topic, partition: 0, offset: 0, maxBytes: 1_000 }] });
    t.same(codesOf(fetched.partitions), [6]);

    const notCoordinator = async (type: "group" | "transaction", key: string): Promise<WireConnection> => {
      const { nodeId } = await settled(() => any.findCoordinator({ type, key }), codeOf);
      return await connectTo(metadata.brokers.find((broker) => broker.nodeId !== nodeId) ?? addressOf(""));
    };
    const aside = await notCoordinator("group", group);
    t.equal((await aside.offsetFetch({ group, partitions: [{ topic, partition: 0 }] })).errorCode, 16, "NOT_COORDINATOR");
    t.equal((await aside.leaveGroup({ group, memberId: "m" })).errorCode, 16);
    t.equal((await (await notCoordinator("transaction", transactionalId)).initProducerId({ transactionalId, transactionTimeoutMs: 60_000 })).errorCode, 16);
  }
});
