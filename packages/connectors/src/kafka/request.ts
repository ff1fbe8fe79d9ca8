/** Requests that have to reach a particular broker: a partition's leader, or the coordinator of a group or a transactional id. Both move. */
import { type AttemptOptions, type Deadline, answerLost, untilAnswered } from "./attempt.ts";
import { noPartition } from "./batch-encoder.ts";
import type { Cluster, Purpose, TopicLayout } from "./cluster.ts";
import { errorAction, errorName, refusal, topicNotFound } from "./error-code.ts";
import { WireError } from "./wire.ts";
import type { WireConnection } from "./wire.ts";

/** What a request says of its answers. */
export interface RequestOptions extends AttemptOptions {
  readonly purpose?: Purpose;
  readonly requestTimeoutMs?: number;
  /** Where the same request must not be made twice: a lost answer rejects. A broker that could not be reached was not asked, so another attempt is made. */
  readonly isOnce?: boolean;
}

/** Knows where coordinators are. */
export class Router {
  readonly cluster: Cluster;
  readonly #coordinators = new Map<string, number>();

  constructor(cluster: Cluster) {
    this.cluster = cluster;
  }

  /** Asks the coordinator until the answer's code is none that says to ask again. */
  atCoordinator<T>(type: "group" | "transaction", key: string, options: RequestOptions, request: (connection: WireConnection) => Promise<T>, codeOf: (answer: T) => number): Promise<T> {
    const name = `${type}/${key}`;
    return untilAnswered(options, async () => {
      const connection = await this.#coordinator(type, key, options);
      if (connection === undefined) return { again: "no coordinator is available" };
      let answer: T;
      try {
        answer = await request(connection);
      } catch (error) {
        this.#coordinators.delete(name);
        if (options.isOnce === true && error instanceof WireError && !error.isFatal) throw answerLost(options.what, options.place, error);
        throw error;
      }
      const code = codeOf(answer);
      const action = errorAction(code);
      if (code === 0 || (action !== "again" && action !== "coordinator" && action !== "leader")) return { value: answer };
      if (action === "coordinator") this.#coordinators.delete(name);
      return { again: errorName(code) };
    });
  }

  async #coordinator(type: "group" | "transaction", key: string, options: RequestOptions): Promise<WireConnection | undefined> {
    const name = `${type}/${key}`;
    const { cluster } = this;
    let nodeId = this.#coordinators.get(name);
    if (nodeId === undefined) {
      const connection = await cluster.any();
      const found = await connection.findCoordinator({ key, type });
      if (found.errorCode !== 0) {
        if (errorAction(found.errorCode) === "refused") throw refusal(options.what, found.errorCode, options.place);
        return undefined;
      }
      nodeId = found.nodeId;
      cluster.learn(nodeId, { host: found.host, port: found.port });
      this.#coordinators.set(name, nodeId);
    }
    try {
      return await cluster.connection(nodeId, options.purpose ?? "control", options.requestTimeoutMs);
    } catch (error) {
      this.#coordinators.delete(name);
      throw error;
    }
  }

  /** Asks the partition's leader until the answer's code is none that says to ask again. Throws TOPIC_NOT_FOUND and TOPIC_MISMATCH. */
  atLeader<T>(topic: string, partition: number, options: RequestOptions, request: (connection: WireConnection) => Promise<T>, codeOf: (answer: T) => number): Promise<T> {
    let isKnown = false;
    return untilAnswered(options, async () => {
      const leader = await this.leader(topic, partition, isKnown);
      isKnown = true;
      if (leader < 0) return { again: "the partition has no leader" };
      let answer: T;
      try {
        const connection = await this.cluster.connection(leader, options.purpose ?? "control", options.requestTimeoutMs);
        answer = await request(connection);
      } catch (error) {
        this.cluster.forget(topic);
        throw error;
      }
      const code = codeOf(answer);
      const action = errorAction(code);
      if (code === 0 || (action !== "again" && action !== "leader" && action !== "coordinator")) return { value: answer };
      if (action !== "again") this.cluster.forget(topic);
      return { again: errorName(code) };
    });
  }

  /** Asks any broker until the answer's code is none that says to ask again. */
  anywhere<T>(options: AttemptOptions, request: (connection: WireConnection) => Promise<T>, codeOf: (answer: T) => number): Promise<T> {
    return untilAnswered(options, async () => {
      const answer = await request(await this.cluster.any());
      const code = codeOf(answer);
      const action = errorAction(code);
      return code !== 0 && (action === "again" || action === "coordinator") ? { again: errorName(code) } : { value: answer };
    });
  }

  /** The broker that leads a partition, or -1. A topic that is `known` to exist and is not in the answer is on its way: brokers learn of it one after the other. */
  async leader(topic: string, partition: number, isKnown = false): Promise<number> {
    const layout = await this.#layoutWith(topic, partition);
    if (layout === undefined) {
      if (isKnown) throw new WireError(`the topic ${topic} is not known to the broker`);
      throw topicNotFound(topic);
    }
    if (partition < 0 || partition >= layout.leaders.length) throw noPartition(topic, partition, layout.leaders.length);
    return layout.leaders[partition] as number;
  }

  /** The number of a topic's partitions; waits while the brokers are away. Throws TOPIC_NOT_FOUND. */
  async partitions(topic: string, deadline: Deadline, wanted = 0): Promise<number> {
    const layout = await untilAnswered({ what: "looking up a topic", place: topic, deadline }, async () => ({ value: await this.#layoutWith(topic, wanted) }));
    if (layout === undefined) throw topicNotFound(topic);
    return layout.leaders.length;
  }

  /** Partitions may have been added since a topic was looked up. */
  async #layoutWith(topic: string, partition: number): Promise<TopicLayout | undefined> {
    const layout = await this.cluster.layout(topic);
    if (layout === undefined || partition < layout.leaders.length) return layout;
    this.cluster.forget(topic);
    return this.cluster.layout(topic);
  }
}
