import { TopologyError, topicPartitionName } from "../../model/index.ts";
import type { ProducerRecord } from "../../model/index.ts";
import type { AppendResult, ClusterLog, Clock, GroupOptions, ProducerSequence, Transaction, TransactionResult, TransactionalProducer } from "../../port/index.ts";
import { isRepeat } from "../memory-log.ts";
import type { ClusterGroup, ClusterGroups } from "./groups.ts";
import { ClusterMembership } from "./member.ts";
import type { ClientLine, ClusterNetwork, ClusterOperation } from "./network.ts";
import { recordsOfFrames } from "./topics.ts";
import type { ClusterTopics, RoutedRecord } from "./topics.ts";
import type { ClusterTransactions } from "./transactions.ts";

/** What a client is connected to. */
export interface ClientEnvironment {
  readonly line: ClientLine;
  readonly network: ClusterNetwork;
  readonly topics: ClusterTopics;
  readonly groups: ClusterGroups;
  readonly transactions: ClusterTransactions;
  readonly listeners: Map<() => void, ClientLine>;
  readonly clock: Clock;
  readonly deadlineMs: number;
  readonly nextNumber: () => number;
  readonly onVisible: () => void;
  readonly onGroupChange: () => void;
}

const UNSTABLE_RETRY_MS = 5;

/** Makes one client of the cluster. */
export function clusterClient(environment: ClientEnvironment): ClusterLog {
  const { line, network, topics, transactions, listeners, clock, nextNumber, onGroupChange } = environment;
  const memberships = new Set<ClusterMembership>();
  const request = <T>(operation: ClusterOperation, apply: () => T | Promise<T>): Promise<T> => network.request(line, operation, apply);

  return {
    ...groupOperations(environment, request),
    name: "memory-cluster",
    isCluster: true,
    partitionCount: (topic) => request("metadata", () => topics.find(topic)?.partitions.length),
    ensureTopic: (topic, { partitions }) =>
      request("admin", () => {
        const found = topics.create({ topic, partitions }).partitions.length;
        if (found === partitions) return;
        throw new TopologyError("TOPIC_MISMATCH", `the topic ${topic} has ${found} partitions, not ${partitions}`, { place: topic, cure: `ask for ${found} partitions` });
      }),
    offsets: (topic, partition) =>
      request("metadata", () => {
        const { start, stableEnd } = topics.partition(topic, partition);
        return { start, end: stableEnd };
      }),
    async settledEnd(topic, partition) {
      let target: number | undefined;
      for (const until = clock.now() + environment.deadlineMs; ; await clock.sleep(UNSTABLE_RETRY_MS)) {
        const { next, stableEnd } = await request("metadata", () => topics.partition(topic, partition));
        target ??= next;
        if (stableEnd >= target) return target;
        if (clock.now() >= until) throw new TopologyError("TRANSACTION_HANGING", "a transaction is open that holds readers back", { place: `${topic}-${partition}`, retriable: true });
      }
    },
    fetch: (topic, partition, fromOffset, limits) => request("fetch", () => topics.partition(topic, partition).fetch(fromOffset, limits)),
    onAppend(listener) {
      listeners.set(listener, line);
      return () => listeners.delete(listener);
    },
    append: (topic, records, producer) => request("append", () => append(environment, topic, records, producer)),
    appendFrames: async (topic, frames, recordCount, producer) => {
      const records = recordsOfFrames(Buffer.from(frames), recordCount);
      return request("append", () => append(environment, topic, records, producer));
    },
    forgetProducers: (idPrefix) =>
      request("admin", () => {
        let count = 0;
        for (const { producers } of topics.all()) for (const id of producers.keys()) if (id.startsWith(idPrefix) && producers.delete(id)) count++;
        return count;
      }),
    async openProducer(transactionalId) {
      const identity = await request("openProducer", () => transactions.open(transactionalId));
      return transactionalProducer(environment, identity);
    },
    joinGroup(options: GroupOptions) {
      const group = (): ClusterGroup => environment.groups.get(options.group);
      const membership = new ClusterMembership(options, { line, network, clock, group, nextNumber, onChange: onGroupChange });
      memberships.add(membership);
      return membership.start();
    },
    describeTopic: (topic) =>
      request("metadata", () => {
        const found = topics.find(topic);
        return found === undefined ? undefined : { topic, partitions: found.partitions.length, replicationFactor: found.replicationFactor, config: found.config };
      }),
    createTopics: (made) => request("admin", () => made.forEach((topic) => topics.create(topic))),
    deleteTopics: (names) => request("admin", () => names.forEach((topic) => topics.remove(topic))),
    deleteRecordsBefore: (topic, partition, offset) => request("deleteRecords", () => topics.partition(topic, partition).deleteBefore(offset)),
    openTransactions: (startedBefore) => request("metadata", () => transactions.openBefore(startedBefore)),
    close() {
      for (const membership of memberships) membership.stop();
      for (const [listener, owner] of listeners) if (owner === line) listeners.delete(listener);
      return Promise.resolve();
    },
  };
}

type Request = <T>(operation: ClusterOperation, apply: () => T | Promise<T>) => Promise<T>;
type GroupOperations = Pick<ClusterLog, "committedOffsets" | "setCommittedOffsets" | "describeGroup" | "deleteGroup">;

function groupOperations({ groups, clock, deadlineMs }: ClientEnvironment, request: Request): GroupOperations {
  const emptyGroup = (name: string, what: string): ClusterGroup | undefined => {
    const group = groups.find(name);
    if (group === undefined || group.memberIds.length === 0) return group;
    throw new TopologyError("CONFIG_INVALID", `the group ${name} has ${group.memberIds.length} members: ${what}`, { place: name, cure: "stop its members first" });
  };
  return {
    async committedOffsets(name, partitions) {
      const names = new Set(partitions.map(({ topic, partition }) => topicPartitionName(topic, partition)));
      for (const until = clock.now() + deadlineMs; ; await clock.sleep(UNSTABLE_RETRY_MS)) {
        const found = await request("committedOffsets", () => {
          const group = groups.find(name);
          if (group?.isUnstable(names) === true) return undefined;
          return new Map([...names].flatMap((at) => (group?.offset(at) === undefined ? [] : [[at, group.offset(at) as number]])));
        });
        if (found !== undefined) return found;
        if (clock.now() < until) continue;
        throw new TopologyError("KAFKA_TIMEOUT", `offsets of the group ${name} are held by a transaction that does not end`, { place: name, retriable: true });
      }
    },
    setCommittedOffsets: (name, positions) =>
      request("setCommittedOffsets", () => {
        emptyGroup(name, "its offsets are theirs to set");
        groups.get(name).setOffsets(positions);
      }),
    describeGroup: (name) => request("metadata", () => groups.find(name)?.describe() ?? { state: "Dead", members: [] }),
    deleteGroup: (name) =>
      request("admin", () => {
        if (emptyGroup(name, "it cannot be deleted") !== undefined) groups.remove(name);
      }),
  };
}

function append({ topics, onVisible }: ClientEnvironment, topic: string, records: readonly ProducerRecord[], producer: ProducerSequence | undefined): AppendResult {
  const routed = topics.route(topic, records);
  if (producer !== undefined && isRepeat(topic, topics.get(topic), producer)) return { repeated: true, recordCount: records.length };
  for (const { target, record } of routed) target.append(record, undefined);
  onVisible();
  return { repeated: false, recordCount: records.length };
}

function transactionalProducer(environment: ClientEnvironment, identity: { readonly transactionalId: string; readonly epoch: number }): TransactionalProducer {
  const { line, network, transactions } = environment;
  let ended: unknown;
  const run = async ({ batches, group, positions }: Transaction): Promise<TransactionResult> => {
    const nextOffsets = new Map<string, number>();
    for (const [partition, records] of routedBatches(environment, batches)) {
      nextOffsets.set(partition.name, await network.request(line, "produce", () => transactions.produce(identity, partition, records)));
    }
    if (positions.length > 0) await network.request(line, "offsets", () => transactions.addOffsets(identity, group, positions));
    await network.request(line, "end", () => transactions.commit(identity));
    return { nextOffsets };
  };
  return {
    transactionalId: identity.transactionalId,
    async commit(transaction) {
      if (ended !== undefined) {
        throw new TopologyError("KAFKA_REFUSED", "this producer is finished: its last transaction was not acknowledged", { place: identity.transactionalId, cure: "open a new one", cause: ended });
      }
      try {
        return await run(transaction);
      } catch (error) {
        ended = error;
        throw error;
      }
    },
    close() {
      ended ??= new Error("closed");
      return Promise.resolve();
    },
  };
}

/** Records by the partition they go to, each in the order given. */
function routedBatches({ topics }: ClientEnvironment, batches: Transaction["batches"]): Map<RoutedRecord["target"], RoutedRecord[]> {
  const byPartition = new Map<RoutedRecord["target"], RoutedRecord[]>();
  for (const { topic, frames, recordCount, partition } of batches) {
    for (const routed of topics.route(topic, recordsOfFrames(Buffer.from(frames), recordCount), partition)) {
      const list = byPartition.get(routed.target);
      if (list === undefined) byPartition.set(routed.target, [routed]);
      else list.push(routed);
    }
  }
  return byPartition;
}
