/**
 * Real brokers for tests: `const kafka = await kafkaBrokers(t)`. Without options it is one broker that all test files share, so topics and groups need
 * names of their own (`kafka.name("orders")`) and nobody may end it. With options it is a cluster of the test's own. `KAFKA_BROKERS=host:port,...` takes
 * another cluster's place for the shared one. Without Java or Maven the answer is undefined, and the test is counted as skipped.
 */
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type ApacheTools, apacheTools } from "./apache.ts";
import { type Cluster, type ClusterOptions, startCluster } from "./cluster.ts";
import type { CuttingProxy } from "./cutting-proxy.ts";
import { type KafkaDistribution, kafkaDistribution } from "./distribution.ts";
import type { Greeting } from "./keeper.ts";

const SHARED_DEADLINE_MS = 150_000;

/** What of tap's test this needs. */
export interface TestHandle {
  readonly pass: (name: string, extra: { skip: string }) => unknown;
  readonly teardown: (handler: () => unknown) => unknown;
}

export interface KafkaOptions extends ClusterOptions {
  /** A cluster of the test's own, even without another option that asks for one. */
  readonly own?: boolean;
}

export interface KafkaBrokers {
  readonly brokers: readonly string[];
  /** Apache's tools; undefined only with KAFKA_BROKERS and no Java. */
  readonly apache: ApacheTools | undefined;
  /** One a broker, where `proxied` was asked for. */
  readonly proxies: readonly CuttingProxy[];
  readonly distribution: KafkaDistribution | undefined;
  /** A name that no other test has, for a topic, a group or a transactional id. */
  name(what: string): string;
  /** SIGKILL. Brokers are told by their node id, from 1, which is also their place in `brokers`. Own clusters only, as the next three. */
  kill(nodeId?: number): Promise<void>;
  /** A clean shutdown. */
  stop(nodeId?: number): Promise<void>;
  /** Starts a broker again on its data and its port. */
  start(nodeId?: number): Promise<void>;
  /** Kills or stops a broker and starts it again. */
  bounce(nodeId?: number, how?: "kill" | "stop"): Promise<void>;
  /** Stops or continues a broker's process, as when its machine hangs. */
  signal(signal: "SIGSTOP" | "SIGCONT", nodeId?: number): void;
}

/** Brokers for a test, or undefined after the test has been skipped with a line on stderr. */
export async function kafkaBrokers(t: TestHandle, options: KafkaOptions = {}): Promise<KafkaBrokers | undefined> {
  const isOwn = options.own === true || options.count === 3 || options.extra !== undefined || options.proxied === true;
  const elsewhere = process.env["KAFKA_BROKERS"] || undefined;
  const distribution = await kafkaDistribution();
  if (elsewhere !== undefined && !isOwn) return handle(elsewhere.split(","), "missing" in distribution ? undefined : distribution, undefined);
  if ("missing" in distribution) {
    process.stderr.write(`SKIPPED: this test needs a Kafka broker, which needs ${distribution.missing}, or KAFKA_BROKERS=host:port\n`);
    t.pass("a test with Kafka", { skip: `needs ${distribution.missing}` });
    return undefined;
  }
  if (isOwn) {
    const cluster = await startCluster(distribution, options);
    t.teardown(() => cluster.close());
    return handle(cluster.brokers, distribution, cluster);
  }
  const { socket, brokers } = await joinShared(distribution);
  t.teardown(() => socket.destroy());
  return handle(brokers, distribution, undefined);
}

function handle(brokers: readonly string[], distribution: KafkaDistribution | undefined, cluster: Cluster | undefined): KafkaBrokers {
  const node = (nodeId: number) => {
    const found = cluster?.nodes[nodeId - 1];
    if (found === undefined) throw new Error(cluster === undefined ? "this broker is shared: ask for one of your own ({ own: true })" : `there is no broker ${nodeId}`);
    return found;
  };
  return {
    brokers,
    distribution,
    apache: distribution === undefined ? undefined : apacheTools(distribution, brokers),
    proxies: cluster?.proxies ?? [],
    name: (what) => `${what}-${randomBytes(5).toString("hex")}`,
    kill: async (nodeId = 1) => node(nodeId).kill(),
    stop: async (nodeId = 1) => node(nodeId).stop(),
    start: async (nodeId = 1) => node(nodeId).start(),
    async bounce(nodeId = 1, how = "kill") {
      await node(nodeId)[how]();
      await node(nodeId).start();
    },
    signal(signal, nodeId = 1) {
      const { pid } = node(nodeId);
      if (pid !== undefined) process.kill(pid, signal);
    },
  };
}

/** Where the keeper listens: one place a user and version of this folder's setup. */
function keeperSocket({ libs }: KafkaDistribution): string {
  const { uid, username } = userInfo();
  const dir = join(tmpdir(), `iot-topology-kafka-${uid < 0 ? username : uid}`);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  return join(dir, `${createHash("sha256").update(`${libs}\n${fileURLToPath(import.meta.url)}`).digest("hex").slice(0, 12)}.sock`);
}

/** Connects to the keeper, starting one if there is none, and stays connected: that is what keeps the broker running. */
async function joinShared(distribution: KafkaDistribution): Promise<{ readonly socket: Socket; readonly brokers: readonly string[] }> {
  const path = keeperSocket(distribution);
  const deadline = Date.now() + SHARED_DEADLINE_MS;
  let isSpawned = false;
  while (Date.now() < deadline) {
    const joined = await greet(path, deadline);
    if (joined !== undefined) return joined;
    if (!isSpawned) {
      const keeper = spawn(process.execPath, [fileURLToPath(new URL("./keeper.ts", import.meta.url)), path, distribution.java, distribution.libs], { detached: true, stdio: "ignore" });
      keeper.unref();
      isSpawned = true;
    }
    await sleep(100);
  }
  throw new Error(`the shared broker did not start within ${SHARED_DEADLINE_MS / 1_000} s`);
}

/** Undefined where nobody listens, or where the keeper was just leaving. */
async function greet(path: string, deadline: number): Promise<{ readonly socket: Socket; readonly brokers: readonly string[] } | undefined> {
  const socket = connect(path);
  const line = await new Promise<string | undefined>((resolve) => {
    const late = setTimeout(() => resolve(undefined), deadline - Date.now());
    const end = (text: string | undefined): void => {
      clearTimeout(late);
      resolve(text);
    };
    socket.once("error", () => end(undefined)).once("close", () => end(undefined));
    createInterface({ input: socket }).once("line", end).on("error", () => end(undefined)); // an interface passes on its input's error
  });
  if (line === undefined) {
    socket.destroy();
    return undefined;
  }
  const greeting = JSON.parse(line) as Greeting;
  if ("error" in greeting) throw new Error(greeting.error);
  socket.on("error", () => {}).unref();
  return { socket, brokers: greeting.brokers };
}
