/** One or three brokers on free ports of loopback, in a folder of their own. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Broker, broker, freePort } from "./broker.ts";
import { type CuttingProxy, startCuttingProxy } from "./cutting-proxy.ts";
import type { KafkaDistribution } from "./distribution.ts";

/** How a cluster is set up. */
export interface ClusterOptions {
  readonly count?: 1 | 3;
  /** Kafka's properties beside ours, or instead of them. */
  readonly extra?: Readonly<Record<string, string>>;
  /** Puts a proxy in front of each broker, which is what the broker advertises. */
  readonly proxied?: boolean;
  readonly heapMb?: number;
  /** `quick` starts soonest, `full` compiles what is hot: for benchmarks. `quick` when absent. */
  readonly jit?: "quick" | "full";
}

export interface Cluster {
  readonly brokers: readonly string[];
  readonly nodes: readonly Broker[];
  readonly proxies: readonly CuttingProxy[];
  readonly dir: string;
  /** Ends all brokers at once and removes the folder. */
  close(): Promise<void>;
}

interface Ports {
  readonly client: number;
  readonly controller: number;
  readonly internal: number;
}

/** Quick elections, quick groups, small heaps; the internal topics small too. With three brokers everything is on all three and two must have it. */
function properties(nodeId: number, ports: readonly Ports[], advertised: number): Record<string, string> {
  const { client, controller, internal } = ports[nodeId - 1] as Ports;
  const replicas = String(ports.length);
  const insync = ports.length === 3 ? "2" : "1";
  return {
    "process.roles": "broker,controller",
    "node.id": String(nodeId),
    "controller.quorum.voters": ports.map((each, index) => `${index + 1}@127.0.0.1:${each.controller}`).join(","),
    "listeners": `PLAINTEXT://127.0.0.1:${client},INTERNAL://127.0.0.1:${internal},CONTROLLER://127.0.0.1:${controller}`,
    "advertised.listeners": `PLAINTEXT://127.0.0.1:${advertised},INTERNAL://127.0.0.1:${internal}`,
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "INTERNAL",
    "auto.create.topics.enable": "false",
    "default.replication.factor": replicas,
    "min.insync.replicas": insync,
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": replicas,
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": replicas,
    "transaction.state.log.min.isr": insync,
    "share.coordinator.state.topic.replication.factor": replicas,
    "share.coordinator.state.topic.min.isr": insync,
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1000",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "num.recovery.threads.per.data.dir": "1",
    "log.cleaner.dedupe.buffer.size": String(16 << 20),
    "log.retention.ms": "-1",
  };
}

/** Starts a cluster; all brokers at once. */
export async function startCluster(distribution: KafkaDistribution, options: ClusterOptions = {}): Promise<Cluster> {
  const { count = 1, extra = {}, proxied = false, heapMb = count === 1 ? 512 : 256, jit = "quick" } = options;
  const dir = await mkdtemp(join(tmpdir(), "iot-topology-kafka-"));
  const ports: Ports[] = [];
  for (let index = 0; index < count; index++) ports.push({ client: await freePort(), controller: await freePort(), internal: await freePort() });
  const proxies = proxied ? await Promise.all(ports.map(({ client }) => startCuttingProxy(client))) : [];
  const advertised = ports.map(({ client }, index) => proxies[index]?.port ?? client);
  const nodes = ports.map(({ client }, index) => {
    const advertisedPort = advertised[index] ?? client;
    return broker(distribution, { nodeId: index + 1, dir: join(dir, String(index + 1)), port: client, advertisedPort, heapMb, jit, properties: { ...properties(index + 1, ports, advertisedPort), ...extra } });
  });
  const close = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.kill()));
    await Promise.all(proxies.map((proxy) => proxy.close()));
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await Promise.all(nodes.map((node) => node.start()));
  } catch (error) {
    await close();
    throw error;
  }
  return { brokers: advertised.map((port) => `127.0.0.1:${port}`), nodes, proxies, dir, close };
}
