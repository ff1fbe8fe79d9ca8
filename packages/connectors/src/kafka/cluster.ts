/** The brokers: where they are, one connection a broker and purpose, and who leads which partition. Everything else asks through here. */
import { TopologyError, silentLogger } from "@iot-topology/core";
import type { Logger } from "@iot-topology/core";
import { errorAction, errorName, refusal } from "./error-code.ts";
import { WireError } from "./wire.ts";
import type { Wire, WireAddress, WireConnection, WireMetadata, WireOptions } from "./wire.ts";

/** How a cluster is reached. */
export interface ClusterOptions {
  readonly bootstrap: readonly WireAddress[];
  readonly wire: Omit<WireOptions, "requestTimeoutMs">;
  readonly requestTimeoutMs: number;
  readonly logger?: Logger | undefined;
}

/** A topic's partitions; `leaders[partition]` is a broker's id, or -1 while there is none. */
export interface TopicLayout {
  readonly leaders: readonly number[];
  readonly replicationFactor: number;
}

/** What a connection is for: a long request would hold back all behind it, so that each kind has its own. */
export type Purpose = "control" | "admin" | `produce-${number}` | `fetch-${string}` | `group-${string}`;

const METADATA_AGE_MS_MAX = 60_000;

interface KnownTopic {
  readonly layout: TopicLayout;
  readonly askedAt: number;
}

export class Cluster {
  readonly logger: Logger;
  readonly #wire: Wire;
  readonly #options: ClusterOptions;
  readonly #brokers = new Map<number, WireAddress>();
  readonly #topics = new Map<string, KnownTopic>();
  readonly #asking = new Map<string, Promise<TopicLayout | undefined>>();
  readonly #connections = new Map<string, Promise<WireConnection>>();
  #controllerId = -1;
  #rotation = 0;
  #isClosed = false;

  constructor(wire: Wire, options: ClusterOptions) {
    this.#wire = wire;
    this.#options = options;
    this.logger = options.logger ?? silentLogger;
    const { sasl, tls } = options.wire;
    for (const { host } of options.bootstrap) refuseOpenSecret(host, sasl?.mechanism, tls !== undefined);
  }

  get brokerIds(): readonly number[] {
    return [...this.#brokers.keys()];
  }

  /** A connection to a broker. Rejects with a {@link WireError} where there is none to be had. */
  async connection(nodeId: number, purpose: Purpose, requestTimeoutMs: number = this.#options.requestTimeoutMs): Promise<WireConnection> {
    if (!this.#brokers.has(nodeId)) await this.metadata([]);
    const address = this.#brokers.get(nodeId);
    if (address === undefined) throw new WireError(`the cluster does not name a broker ${nodeId}`);
    return this.#connect(`${nodeId}/${purpose}`, address, requestTimeoutMs);
  }

  /** Closes the connections of a purpose, as when what they were for is over. */
  async release(purpose: Purpose): Promise<void> {
    const suffix = `/${purpose}`;
    const own = [...this.#connections].filter(([name]) => name.endsWith(suffix));
    await Promise.all(own.map(async ([name, opening]) => {
      this.#connections.delete(name);
      await closeQuietly(opening);
    }));
  }

  #connect(name: string, address: WireAddress, requestTimeoutMs: number): Promise<WireConnection> {
    if (this.#isClosed) return Promise.reject(new TopologyError("NOT_RUNNING", "the log is closed"));
    const found = this.#connections.get(name);
    if (found !== undefined) return found;
    const opening = this.#open(address, requestTimeoutMs);
    const forget = (): void => {
      if (this.#connections.get(name) === opening) this.#connections.delete(name);
    };
    this.#connections.set(name, opening);
    opening.then((connection) => {
      connection.onClose(forget);
      if (!connection.isOpen) forget();
    }, forget);
    return opening;
  }

  async #open(address: WireAddress, requestTimeoutMs: number): Promise<WireConnection> {
    const { wire } = this.#options;
    refuseOpenSecret(address.host, wire.sasl?.mechanism, wire.tls !== undefined);
    return this.#wire.connect(address, { ...wire, requestTimeoutMs });
  }

  /** A connection to whichever broker answers, those known first. */
  async any(): Promise<WireConnection> {
    const known = [...this.#brokers].map(([nodeId, address]) => [`${nodeId}/control`, address] as const);
    const first = this.#rotation++;
    const candidates = [
      ...known.map((_, index) => known[(first + index) % known.length] as (typeof known)[number]),
      ...this.#options.bootstrap.map((address) => [`${address.host}:${address.port}/control`, address] as const),
    ];
    let failure: unknown;
    for (const [name, address] of candidates) {
      try {
        return await this.#connect(name, address, this.#options.requestTimeoutMs);
      } catch (error) {
        if (!(error instanceof WireError) || error.isFatal) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  /** Asks any broker, and takes note of the brokers. */
  async metadata(topics: readonly string[] | null): Promise<WireMetadata> {
    const connection = await this.any();
    const answer = await connection.metadata(topics);
    if (answer.brokers.length > 0) {
      const named = new Set(answer.brokers.map(({ nodeId }) => nodeId));
      for (const nodeId of this.#brokers.keys()) if (!named.has(nodeId)) this.#brokers.delete(nodeId);
      for (const { nodeId, host, port } of answer.brokers) this.#brokers.set(nodeId, { host, port });
    }
    this.#controllerId = answer.controllerId;
    return answer;
  }

  /** Takes note of a broker that an answer named. */
  learn(nodeId: number, address: WireAddress): void {
    if (!this.#brokers.has(nodeId)) this.#brokers.set(nodeId, address);
  }

  /** The broker to ask for changes of topics. */
  async controller(): Promise<WireConnection> {
    await this.metadata([]);
    return this.#brokers.has(this.#controllerId) ? this.connection(this.#controllerId, "admin") : this.any();
  }

  /** A topic's partitions, or undefined where the topic does not exist. Asked for again when older than a minute, or {@link forget | forgotten}. */
  layout(topic: string): Promise<TopicLayout | undefined> {
    const known = this.#topics.get(topic);
    if (known !== undefined && performance.now() - known.askedAt < METADATA_AGE_MS_MAX) return Promise.resolve(known.layout);
    let asking = this.#asking.get(topic);
    if (asking === undefined) {
      asking = this.#askLayout(topic).finally(() => this.#asking.delete(topic));
      this.#asking.set(topic, asking);
    }
    return asking;
  }

  async #askLayout(topic: string): Promise<TopicLayout | undefined> {
    const { topics } = await this.metadata([topic]);
    const answer = topics.find((candidate) => candidate.topic === topic);
    if (answer === undefined || answer.errorCode === 3) {
      this.#topics.delete(topic);
      return undefined;
    }
    if (answer.errorCode !== 0) {
      if (errorAction(answer.errorCode) === "refused") throw refusal(`the topic ${topic} cannot be used`, answer.errorCode, topic);
      throw new WireError(`the topic ${topic} is not ready: ${errorName(answer.errorCode)}`);
    }
    const leaders = new Array<number>(answer.partitions.length).fill(-1);
    for (const { partition, leader } of answer.partitions) leaders[partition] = leader;
    const layout: TopicLayout = { leaders, replicationFactor: answer.partitions[0]?.replicas.length ?? 0 };
    // Without a leader it is no answer to be kept.
    if (leaders.includes(-1)) this.#topics.delete(topic);
    else this.#topics.set(topic, { layout, askedAt: performance.now() });
    return layout;
  }

  /** What was known of a topic is wrong. */
  forget(topic: string): void {
    this.#topics.delete(topic);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const open = [...this.#connections.values()];
    this.#connections.clear();
    await Promise.all(open.map(closeQuietly));
  }
}

/** A connection that never opened is closed. */
async function closeQuietly(opening: Promise<WireConnection>): Promise<void> {
  const connection = await opening.catch(() => undefined);
  await connection?.close().catch(() => undefined);
}

function refuseOpenSecret(host: string, mechanism: string | undefined, isEncrypted: boolean): void {
  if (isEncrypted || (mechanism !== "plain" && mechanism !== "oauthbearer") || isLoopback(host)) return;
  throw new TopologyError("CONFIG_INVALID", `SASL ${mechanism} would send its secret to ${host} unencrypted`, { place: host, cure: "turn TLS on, or use scram-sha-512" });
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
}
