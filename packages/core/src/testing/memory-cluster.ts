/**
 * A Kafka cluster in memory, shared by several clients: topics with control records and last stable offsets, transactional ids with epochs,
 * groups with generations and sessions. It loses requests and replies, ends sessions and kills clients where a test says so, and is the same for the same seed.
 */
import { TopologyError } from "../model/index.ts";
import type { LogRecord } from "../model/index.ts";
import { systemClock } from "../port/index.ts";
import type { ClusterLog, Clock } from "../port/index.ts";
import { ClusterGroups } from "./memory-cluster/groups.ts";
import { clusterClient } from "./memory-cluster/client.ts";
import { ClusterNetwork, seededRandom } from "./memory-cluster/network.ts";
import type { ClientLine, ClusterOperation, FaultMoment } from "./memory-cluster/network.ts";
import { ClusterTopics } from "./memory-cluster/topics.ts";
import { ClusterTransactions } from "./memory-cluster/transactions.ts";

/** Settings of {@link memoryCluster}. */
export interface MemoryClusterOptions {
  /** Sessions, transactions and waiting run by it; the machine's when absent. */
  readonly clock?: Clock;
  /** Decides in which order requests of several clients are served; 1 when absent. */
  readonly seed?: number;
  /** How long a call waits for something that does not come, before KAFKA_TIMEOUT; 30 s when absent. */
  readonly deadlineMs?: number;
}

/** What stands at an offset of a partition, for a test to look at. */
export type MemoryClusterEntry = { readonly offset: number; readonly kind: "record" | "commit" | "abort"; readonly state: "plain" | "open" | "committed" | "aborted"; readonly record: LogRecord | undefined };

/** A cluster of the model; see {@link memoryCluster}. */
export interface MemoryCluster {
  /** Another client: a process of its own. `clientId` begins the ids of its group members. */
  connect(options?: { readonly clientId?: string }): ClusterLog;
  /** The next such request is lost (`before`), or is done and its reply is lost (`after`): the call rejects with KAFKA_TIMEOUT. `skip` lets some pass first. */
  failNext(client: ClusterLog | "any", operation: ClusterOperation, moment: FaultMoment, skip?: number): void;
  /** How many faults of `failNext` did not strike yet. */
  faultsLeft(): number;
  clearFaults(): void;
  /** Ends the sessions of a client's group members; it hears of it with its next heartbeat only. Tells how many there were. */
  expire(client: ClusterLog): number;
  /** The client's process stands still, heartbeats too, until `resume`. */
  pause(client: ClusterLog): void;
  resume(client: ClusterLog): void;
  /** The client's process is dead: none of its calls settles from now on; what it had open stays open. */
  crash(client: ClusterLog): void;
  /** Aborts open transactions and fences their producers, as the coordinator does after the transaction timeout. Tells how many. */
  abortHanging(olderThanMs?: number): Promise<number>;
  /** Committed records of a topic as a reader may see them, partition by partition. */
  recordsOf(topic: string): readonly LogRecord[];
  /** Everything that stands in a partition. */
  entriesOf(topic: string, partition: number): readonly MemoryClusterEntry[];
  /** How a group stands, by its coordinator. */
  generationOf(group: string): number;
  /** Ends timers: no client works any more. */
  close(): void;
}

/**
 * Makes an empty {@link MemoryCluster}.
 *
 * @example
 * const cluster = memoryCluster({ seed: 7 });
 * const log = cluster.connect();
 * cluster.failNext(log, "end", "after"); // the commit happens, and its caller does not hear of it
 */
export function memoryCluster({ clock = systemClock, seed = 1, deadlineMs = 30_000 }: MemoryClusterOptions = {}): MemoryCluster {
  const network = new ClusterNetwork(seededRandom(seed), clock);
  const topics = new ClusterTopics();
  const groups = new ClusterGroups(() => clock.now());
  const listeners = new Map<() => void, ClientLine>();
  const lines = new Map<ClusterLog, ClientLine>();
  const onVisible = (): void => {
    for (const [listener, line] of listeners) if (!line.dead && line.paused === undefined) listener();
  };
  const transactions = new ClusterTransactions({ groups, now: () => clock.now(), travel: () => network.travel(), onVisible });
  const coordinator = watchSessions(groups, clock);
  let memberNumber = 0;

  const lineOf = (client: ClusterLog): ClientLine => {
    const line = lines.get(client);
    if (line === undefined) throw new TopologyError("CONFIG_INVALID", "the log is not a client of this cluster");
    return line;
  };
  const resume = (line: ClientLine): void => {
    const { paused } = line;
    line.paused = undefined;
    paused?.resolve();
  };

  return {
    connect({ clientId = `client-${lines.size + 1}` } = {}) {
      const line: ClientLine = { clientId, dead: false, paused: undefined };
      const nextNumber = (): number => ++memberNumber;
      const client = clusterClient({ line, network, topics, groups, transactions, listeners, clock, deadlineMs, nextNumber, onVisible, onGroupChange: coordinator.wake });
      lines.set(client, line);
      return client;
    },
    failNext: (client, operation, moment, skip = 0) => network.failNext(client === "any" ? client : lineOf(client), operation, moment, skip),
    faultsLeft: () => network.faultsLeft,
    clearFaults: () => network.clearFaults(),
    expire(client) {
      const { clientId } = lineOf(client);
      let count = 0;
      for (const group of groups.all()) count += group.remove((member) => member.clientId === clientId);
      coordinator.wake();
      return count;
    },
    pause(client) {
      lineOf(client).paused ??= Promise.withResolvers();
    },
    resume: (client) => resume(lineOf(client)),
    crash(client) {
      const line = lineOf(client);
      line.dead = true;
      resume(line);
    },
    abortHanging: (olderThanMs = 0) => transactions.abortBefore(clock.now() - olderThanMs + 1),
    recordsOf: (topic) => topics.get(topic).partitions.flatMap((partition) => partition.visible()),
    entriesOf(topic, partition) {
      const { start, entries } = topics.partition(topic, partition);
      return entries.map(({ record, owner }, index) => ({
        offset: start + index,
        kind: record !== undefined ? "record" : owner?.outcome === "committed" ? "commit" : "abort",
        state: owner === undefined ? "plain" : (owner.outcome ?? "open"),
        record,
      }));
    },
    generationOf: (group) => groups.find(group)?.generation ?? 0,
    close() {
      coordinator.close();
      for (const line of lines.values()) line.dead = true;
    },
  };
}

/** Looks at the groups' deadlines when they come; sleeps while no group has members. */
function watchSessions(groups: ClusterGroups, clock: Clock): { wake: () => void; close: () => void } {
  let sleeping: { readonly until: number; readonly end: AbortController } | undefined;
  let isClosed = false;
  const look = (): void => {
    if (isClosed) return;
    let next = Infinity;
    for (const group of groups.all()) next = Math.min(next, group.expire() ?? Infinity);
    if (sleeping !== undefined && sleeping.until <= next) return;
    sleeping?.end.abort("woken");
    sleeping = undefined;
    if (next === Infinity) return;
    const current = { until: next, end: new AbortController() };
    sleeping = current;
    void clock.sleep(Math.max(1, next - clock.now()), current.end.signal).then(() => {
      if (sleeping !== current) return;
      sleeping = undefined;
      look();
    });
  };
  return {
    wake: look,
    close() {
      isClosed = true;
      sleeping?.end.abort("woken");
    },
  };
}

