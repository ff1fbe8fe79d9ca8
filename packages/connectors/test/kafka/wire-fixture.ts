/** What the tests of the wires share: both wires, connections to the right broker, record batches made by a foreign encoder, a broker that falls silent. */
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createRecordsBatch } from "@platformatic/kafka";
import type { Wire, WireAddress, WireConnection, WireOptions } from "../../src/kafka/wire.ts";
import { kafkajsWire } from "../../src/kafka/wire-kafkajs/index.ts";
import { platformaticWire } from "../../src/kafka/wire-platformatic/index.ts";

export const wires: readonly Wire[] = [kafkajsWire(), platformaticWire()];
export const wireOptions: WireOptions = { clientId: "wire-test", connectTimeoutMs: 10_000, requestTimeoutMs: 20_000 };

/** Metadata that lags behind (3, 5, 6), COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, CONCURRENT_TRANSACTIONS: all pass by themselves. */
const PASSING = new Set([3, 5, 6, 14, 15, 16, 51]);
const ATTEMPTS_MAX = 200;

/** Asks again until none of the answer's codes is one that passes by itself. */
export async function settled<Answer>(ask: () => Promise<Answer>, codes: (answer: Answer) => readonly number[]): Promise<Answer> {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await ask();
    if (attempt >= ATTEMPTS_MAX || !codes(answer).some((code) => PASSING.has(code))) return answer;
    await sleep(25);
  }
}

export const codeOf = (answer: { readonly errorCode: number }): readonly number[] => [answer.errorCode];
export const codesOf = (answers: readonly { readonly errorCode: number }[]): readonly number[] => answers.map(({ errorCode }) => errorCode);

/** One batch for one partition. */
export async function produceOne(connection: WireConnection, request: { readonly transactionalId: string | null; readonly topic: string; readonly partition: number; readonly batch: Uint8Array; readonly timeoutMs: number }): Promise<{ readonly errorCode: number; readonly baseOffset: number }> {
  const { transactionalId, timeoutMs, ...batch } = request;
  const [answer, ...more] = await connection.produce({ transactionalId, timeoutMs, batches: [batch] });
  if (answer === undefined || more.length > 0 || answer.topic !== batch.topic || answer.partition !== batch.partition) throw new Error(`answers of ${more.length + 1} partitions, and one was due`);
  return { errorCode: answer.errorCode, baseOffset: answer.baseOffset };
}

export function addressOf(broker: string): WireAddress {
  const colon = broker.lastIndexOf(":");
  return { host: broker.slice(0, colon), port: Number(broker.slice(colon + 1)) };
}

/** A cluster as one wire sees it: a connection a broker, kept until the test ends. */
export interface WireCluster {
  readonly any: WireConnection;
  readonly leaderOf: (topic: string, partition?: number) => Promise<WireConnection>;
  readonly coordinatorOf: (type: "group" | "transaction", key: string) => Promise<WireConnection>;
  /** A connection of its own to the coordinator: a member's join waits for the others' joins. */
  readonly connectTo: (address: WireAddress) => Promise<WireConnection>;
  /** Done when each partition's leader says that it leads. */
  readonly createTopic: (topic: string, partitions?: number, config?: Readonly<Record<string, string>>) => Promise<void>;
}

export async function wireCluster(t: { teardown(handler: () => unknown): unknown }, wire: Wire, brokers: readonly string[]): Promise<WireCluster> {
  const open = new Map<string, Promise<WireConnection>>();
  const connectTo = async (address: WireAddress): Promise<WireConnection> => {
    const connection = await wire.connect(address, wireOptions);
    t.teardown(() => connection.close());
    return connection;
  };
  const shared = ({ host, port }: WireAddress): Promise<WireConnection> => {
    const connecting = open.get(`${host}:${port}`) ?? connectTo({ host, port });
    open.set(`${host}:${port}`, connecting);
    return connecting;
  };
  const any = await shared(addressOf(brokers[0] ?? ""));
  const leaderOf = async (topic: string, partition = 0): Promise<WireConnection> => {
    const metadata = await settled(() => any.metadata([topic]), ({ topics }) => topics.flatMap(({ errorCode, partitions }) => [errorCode, ...codesOf(partitions)]));
    const leader = metadata.topics[0]?.partitions.find((each) => each.partition === partition)?.leader;
    const broker = metadata.brokers.find(({ nodeId }) => nodeId === leader);
    if (broker === undefined) throw new Error(`${topic}-${partition} has no leader`);
    return await shared(broker);
  };
  return {
    any,
    connectTo,
    leaderOf,
    coordinatorOf: async (type, key) => await shared(await settled(() => any.findCoordinator({ type, key }), codeOf)),
    createTopic: async (topic, partitions = 1, config = {}) => {
      const [created] = await any.createTopics({ topics: [{ topic, partitions, replicationFactor: -1, config }], timeoutMs: 10_000 });
      if (created?.errorCode !== 0) throw new Error(`creating ${topic}: ${created?.errorCode}`);
      for (let partition = 0; partition < partitions; partition += 1) await settled(async () => await (await leaderOf(topic, partition)).listOffsets([{ topic, partition, timestamp: -1 }]), codesOf);
    },
  };
}

export interface BatchProducer {
  readonly transactionalId: string;
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly firstSequence: number;
}

/** One record batch, by the encoder of @platformatic/kafka, so that it owes nothing to ours. */
export function recordBatch(values: readonly Buffer[], producer?: BatchProducer): Buffer {
  const messages = values.map((value) => ({ topic: "", value, timestamp: 1_700_000_000_000n }));
  if (producer === undefined) return createRecordsBatch(messages).buffer;
  const { firstSequence, ...identity } = producer;
  const sequences = { getWithDefault: () => firstSequence };
  return createRecordsBatch(messages, { ...identity, sequences } as unknown as Parameters<typeof createRecordsBatch>[1]).buffer;
}

const LEADER_EPOCH_END = 16;

/** A batch without what the broker writes into it: the base offset and the leader's epoch. */
export function unstamped(batch: Buffer): Buffer {
  return batch.subarray(LEADER_EPOCH_END);
}

/** A way to a broker that can fall silent: it takes what is said and answers nothing more. */
export interface SilentProxy {
  readonly address: WireAddress;
  fallSilent(): void;
  close(): Promise<void>;
}

export async function silentProxy(upstream: WireAddress | undefined): Promise<SilentProxy> {
  let isSilent = upstream === undefined;
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on("error", () => undefined);
  };
  const server = createServer((client) => {
    keep(client);
    client.on("data", () => undefined);
    if (upstream === undefined) return;
    const broker = connect({ ...upstream });
    keep(broker);
    client.on("data", (bytes) => broker.write(bytes));
    broker.on("data", (bytes) => {
      if (!isSilent) client.write(bytes);
    });
    client.on("close", () => broker.destroy());
    broker.on("close", () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: { host: "127.0.0.1", port: (server.address() as AddressInfo).port },
    fallSilent: () => {
      isSilent = true;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
