/** Topics, offsets and groups: what is asked for now and then, never in the path of records. */
import { TopologyError, topicPartitionName } from "@iot-topology/core";
import type { GroupDescription, GroupPosition, OpenTransaction, TopicCreation, TopicDescription, TopicPartition } from "@iot-topology/core";
import { type AttemptOptions, Deadline, pause, untilAnswered } from "./attempt.ts";
import { subscriptionUserData } from "./consumer-protocol.ts";
import { CODE, errorAction, errorName, refusal, topicNotFound } from "./error-code.ts";
import type { RequestOptions, Router } from "./request.ts";
import { WireError } from "./wire.ts";
import type { WirePartitionError } from "./wire.ts";

const GROUP_STATES: ReadonlySet<string> = new Set(["Empty", "Stable", "PreparingRebalance", "CompletingRebalance", "Dead"]);

export class Administration {
  readonly #router: Router;
  readonly #deadlineMs: number;
  readonly #timeoutMs: number;

  /** `timeoutMs`: how long a broker may take over a change. */
  constructor(router: Router, deadlineMs: number, timeoutMs: number) {
    this.#router = router;
    this.#deadlineMs = deadlineMs;
    this.#timeoutMs = timeoutMs;
  }

  #options(what: string, place: string): RequestOptions {
    return { what, place, deadline: new Deadline(this.#deadlineMs), purpose: "admin" };
  }

  /** The number of partitions, always asked for anew: what is remembered may be a minute old, and keys move at once where a topic gets more. */
  partitionCount(topic: string): Promise<number | undefined> {
    this.#router.cluster.forget(topic);
    return untilAnswered(this.#options("looking up a topic", topic), async () => ({ value: (await this.#router.cluster.layout(topic))?.leaders.length }));
  }

  async offsets(topic: string, partition: number): Promise<{ readonly start: number; readonly end: number }> {
    const [start, end] = await Promise.all([this.#offset(topic, partition, -2), this.#offset(topic, partition, -1)]);
    return { start, end: Math.max(start, end) };
  }

  async #offset(topic: string, partition: number, timestamp: number): Promise<number> {
    const options = this.#options("asking for an offset", topicPartitionName(topic, partition));
    const ask = this.#router.atLeader(topic, partition, options, (connection) => connection.listOffsets([{ topic, partition, timestamp }]), firstCode);
    const [answer] = await ask;
    check(options, answer?.errorCode ?? -1);
    return answer?.offset ?? -1;
  }

  async offsetForTime(topic: string, partition: number, timestamp: number): Promise<number> {
    const offset = await this.#offset(topic, partition, Math.max(0, timestamp));
    return offset >= 0 ? offset : this.#offset(topic, partition, -1);
  }

  /** Waits until every transaction is over that has written to the partition, and gives the end it had then. */
  async settledEnd(topic: string, partition: number): Promise<number> {
    const options = this.#options("waiting for transactions to end", topicPartitionName(topic, partition));
    let target: number | undefined;
    for (;;) {
      const { end: offset } = await this.offsets(topic, partition);
      const poll = { maxWaitMs: 0, minBytes: 0, maxBytes: 1, partitions: [{ topic, partition, offset, maxBytes: 1 }] };
      const answer = await this.#router.atLeader(topic, partition, options, (connection) => connection.fetch(poll), ({ errorCode, partitions }) => (errorCode !== 0 ? errorCode : firstCode(partitions)));
      check(options, firstCode(answer.partitions));
      const { highWatermark = 0, lastStableOffset = 0 } = answer.partitions[0] ?? {};
      target ??= highWatermark;
      if (lastStableOffset >= target) return target;
      if (options.deadline.isOver) throw new TopologyError("TRANSACTION_HANGING", "a transaction is open that holds readers back", { place: options.place, cure: "end the process that left it, or abort it with kafka-transactions", retriable: true });
      await pause(20);
    }
  }

  async describeTopic(topic: string): Promise<TopicDescription | undefined> {
    this.#router.cluster.forget(topic);
    const options = this.#options("describing a topic", topic);
    const layout = await untilAnswered(options, async () => ({ value: await this.#router.cluster.layout(topic) }));
    if (layout === undefined) return undefined;
    const [configs] = await untilAnswered(options, async () => this.#again(await (await this.#router.cluster.any()).describeTopicConfigs([topic])));
    if (configs?.errorCode === CODE.unknownTopicOrPartition) return undefined;
    check(options, configs?.errorCode ?? -1);
    return { topic, partitions: layout.leaders.length, replicationFactor: layout.replicationFactor, config: configs?.config ?? {} };
  }

  /** Creates what does not exist, and waits until it can be written to. */
  async createTopics(topics: readonly TopicCreation[]): Promise<void> {
    if (topics.length === 0) return;
    const place = topics.map(({ topic }) => topic).join(", ");
    const request = {
      topics: topics.map(({ topic, partitions, replicationFactor, config }) => ({ topic, partitions, replicationFactor: replicationFactor ?? -1, config: config ?? {} })),
      timeoutMs: this.#timeoutMs,
    };
    const options = this.#options("creating topics", place);
    const answers = await untilAnswered(options, async () => this.#again(await (await this.#router.cluster.controller()).createTopics(request)));
    for (const { topic, errorCode, message } of answers) {
      if (errorCode === 0 || errorCode === CODE.topicAlreadyExists) continue;
      throw refusal("creating a topic", errorCode, topic, message);
    }
    for (const { topic } of topics) await this.#untilLed(topic, options);
  }

  #untilLed(topic: string, options: AttemptOptions): Promise<void> {
    this.#router.cluster.forget(topic);
    return untilAnswered(options, async () => {
      const layout = await this.#router.cluster.layout(topic);
      return layout === undefined || layout.leaders.includes(-1) ? { again: `the topic ${topic} is not ready` } : { value: undefined };
    });
  }

  /** A topic that does not exist is no error. */
  async deleteTopics(topics: readonly string[]): Promise<void> {
    if (topics.length === 0) return;
    const options = this.#options("deleting topics", topics.join(", "));
    const answers = await untilAnswered(options, async () => this.#again(await (await this.#router.cluster.controller()).deleteTopics(topics, this.#timeoutMs)));
    for (const { topic, errorCode } of answers) {
      this.#router.cluster.forget(topic);
      if (errorCode !== 0 && errorCode !== CODE.unknownTopicOrPartition) throw refusal("deleting a topic", errorCode, topic);
    }
    for (const topic of topics) {
      await untilAnswered(options, async () => {
        this.#router.cluster.forget(topic);
        return (await this.#router.cluster.layout(topic)) === undefined ? { value: undefined } : { again: `the topic ${topic} is still there` };
      });
    }
  }

  /** An answer to a request about topics, unless one of its codes says to ask again. Where a topic does not exist, that is the answer. */
  #again<T extends { readonly errorCode: number }>(answers: readonly T[]): { readonly value: readonly T[] } | { readonly again: string } {
    const temporary = answers.find(({ errorCode }) => errorCode !== 0 && errorCode !== CODE.unknownTopicOrPartition && errorAction(errorCode) !== "refused");
    return temporary === undefined ? { value: answers } : { again: errorName(temporary.errorCode) };
  }

  async deleteRecordsBefore(topic: string, partition: number, offset: number): Promise<void> {
    const options = this.#options("deleting records", topicPartitionName(topic, partition));
    const answers = await this.#router.atLeader(topic, partition, options, (connection) => connection.deleteRecords([{ topic, partition, offset }], this.#timeoutMs), firstCode);
    const code = firstCode(answers);
    if (code === CODE.offsetOutOfRange) {
      throw new TopologyError("OFFSET_OUT_OF_RANGE", `records before ${offset} cannot be deleted: the partition does not reach that far`, { place: options.place, cure: "name an offset up to the partition's end" });
    }
    check(options, code);
  }

  async committedOffsets(group: string, partitions: readonly TopicPartition[]): Promise<ReadonlyMap<string, number>> {
    if (partitions.length === 0) return new Map();
    const options = this.#options("reading a group's offsets", group);
    const answer = await this.#router.atCoordinator("group", group, options, (connection) => connection.offsetFetch({ group, partitions }), ({ errorCode, positions }) => (errorCode !== 0 ? errorCode : temporaryCode(positions)));
    check(options, answer.errorCode);
    const found = new Map<string, number>();
    for (const { topic, partition, offset, errorCode } of answer.positions) {
      if (errorCode !== CODE.unknownTopicOrPartition) check(options, errorCode);
      if (errorCode === 0 && offset >= 0) found.set(topicPartitionName(topic, partition), offset);
    }
    return found;
  }

  async setCommittedOffsets(group: string, positions: readonly GroupPosition[]): Promise<void> {
    if (positions.length === 0) return;
    const options = this.#options("setting a group's offsets", group);
    const wanted = positions.map(({ topic, partition, offset, metadata }) => ({ topic, partition, offset, metadata: metadata ?? "" }));
    const answers = await this.#router.atCoordinator("group", group, options, (connection) => connection.offsetCommit({ group, positions: wanted }), worstCode);
    const code = worstCode(answers);
    if (code === CODE.unknownMemberId || code === CODE.illegalGeneration || code === CODE.rebalanceInProgress) throw hasMembers(group, "its offsets cannot be set");
    check(options, code);
  }

  async describeGroup(group: string): Promise<GroupDescription> {
    const options = this.#options("describing a group", group);
    const answer = await this.#router.atCoordinator("group", group, options, (connection) => connection.describeGroup(group), ({ errorCode }) => errorCode);
    if (answer.errorCode === CODE.groupIdNotFound) return { state: "Dead", members: [] };
    check(options, answer.errorCode);
    return {
      state: GROUP_STATES.has(answer.state) ? (answer.state as GroupDescription["state"]) : "Unknown",
      members: answer.members.map(({ memberId, clientId, host, metadata }) => ({ memberId, clientId, host, userData: userDataOf(metadata) })),
    };
  }

  async deleteGroup(group: string): Promise<void> {
    const options = this.#options("deleting a group", group);
    const { errorCode } = await this.#router.atCoordinator("group", group, options, (connection) => connection.deleteGroup(group), ({ errorCode: code }) => code);
    if (errorCode === CODE.groupIdNotFound) return;
    if (errorCode === CODE.nonEmptyGroup) throw hasMembers(group, "it cannot be deleted");
    check(options, errorCode);
  }

  /** Asks every broker; brokers and libraries that cannot tell say nothing. */
  async openTransactions(startedBefore: number): Promise<readonly OpenTransaction[]> {
    const { cluster } = this.#router;
    await untilAnswered(this.#options("listing transactions", "cluster"), async () => ({ value: await cluster.metadata([]) }));
    const listed = await Promise.all(
      cluster.brokerIds.map(async (broker) => {
        try {
          return (await (await cluster.connection(broker, "admin")).listOpenTransactions()) ?? [];
        } catch (error) {
          // A broker that is away coordinates nothing at the moment: another has taken its transactions over, or will name them later.
          if (error instanceof WireError && !error.isFatal) return [];
          throw error;
        }
      }),
    );
    const found: OpenTransaction[] = [];
    for (const { transactionalId } of listed.flat()) {
      const options = this.#options("describing a transaction", transactionalId);
      const answer = await this.#router.atCoordinator("transaction", transactionalId, options, (connection) => connection.describeTransaction(transactionalId), (described) => described?.errorCode ?? 0);
      if (answer === undefined || answer.errorCode === CODE.transactionalIdNotFound) continue;
      check(options, answer.errorCode);
      const { producerId, startedAt, partitions } = answer;
      if (answer.state === "Ongoing" && startedAt < startedBefore) found.push({ transactionalId, producerId, startedAt, partitions });
    }
    return found;
  }
}

const firstCode = (answers: readonly WirePartitionError[]): number => answers[0]?.errorCode ?? -1;
const worstCode = (answers: readonly WirePartitionError[]): number => answers.find(({ errorCode }) => errorCode !== 0)?.errorCode ?? 0;
const temporaryCode = (answers: readonly WirePartitionError[]): number => answers.find(({ errorCode }) => errorAction(errorCode) === "again")?.errorCode ?? 0;

function check({ what, place }: AttemptOptions, code: number): void {
  if (code === 0) return;
  throw code === CODE.unknownTopicOrPartition ? topicNotFound(place) : refusal(what, code, place);
}

function hasMembers(group: string, what: string): TopologyError {
  return new TopologyError("CONFIG_INVALID", `the group ${group} has members, so that ${what}`, { place: group, cure: "stop every instance of it first" });
}

/** Members of other protocols say other things. */
function userDataOf(metadata: Buffer): Buffer | undefined {
  if (metadata.length === 0) return undefined;
  try {
    return subscriptionUserData(metadata);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
