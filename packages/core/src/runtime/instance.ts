import { join } from "node:path";
import { isLeft } from "fp-ts/lib/Either.js";
import { TopologyError } from "../model/index.ts";
import { partitionsWanted, type Plan, type SubTopology, validate } from "../plan/index.ts";
import { type ClusterLog, isClusterLog, silentLogger, type Sink, type SinkConnector, type SinkSpec, systemClock } from "../port/index.ts";
import { levelDisk } from "../state/state-disk.ts";
import type { Topology } from "../topology/index.ts";
import { agreedCount, checkAskedCount } from "./agreed-count.ts";
import { ClusterInstance } from "./cluster-instance.ts";
import { openTopics, refuseWithMembers, resetCluster } from "./cluster-topics.ts";
import { DeliveryLane } from "./lane.ts";
import { logSinks } from "./log-sinks.ts";
import { refuseOrphans } from "./orphan-state.ts";
import { type OpenedState, type OpenedTask, openTask } from "./open-task.ts";
import type { InstanceOptions, ResolvedOptions } from "./options.ts";
import { instanceStatusOf } from "./status-of.ts";
import type { InstanceState, InstanceStatus } from "./status.ts";
import { StoreQueries, type StoreInfo, type StoreLocation } from "./queries.ts";
import type { StoreAccess } from "./store-view.ts";
import type { StoreKey, WindowRange } from "../task/store-query.ts";
import { ThreadedInstance } from "./thread/threaded-instance.ts";
import { Worker } from "./worker.ts";

const MIB = 1_048_576;
/** Block caches of all stores together, and their write buffers, of which LevelDB may hold two. */
const STORES_CACHE_BYTES = 32 * MIB;
const STORES_WRITE_BYTES = 16 * MIB;
/** Decoded entries of a store, in all its tasks. */
const CACHE_ENTRIES = 200_000;

/** Fills in the defaults. */
export function resolveOptions(options: InstanceOptions): ResolvedOptions {
  return {
    logger: silentLogger,
    clock: systemClock,
    disk: levelDisk,
    partitions: 1,
    commitIntervalMs: 100,
    commitRecordsMax: 40_000,
    cacheEntriesMax: CACHE_ENTRIES,
    outboxBatchesMax: 64,
    outboxBytesMax: 64 * MIB,
    stopTimeoutMs: 10_000,
    stateCacheBytes: 8 * MIB,
    stateWriteBufferBytes: 8 * MIB,
    createTopics: false,
    standbyReplicas: 0,
    sessionTimeoutMs: 10_000,
    hangingTransactionMs: 60_000,
    changelogSweepBytesMin: 16 * MIB,
    stateCleanupDelayMs: 600_000,
    ...options,
  };
}

/** A checked plan, or PLAN_INVALID with all errors in its message. */
export function planOf(topology: Topology): Plan {
  const plan = validate(topology);
  if (!isLeft(plan)) return plan.right;
  const lines = plan.left.map((error) => `  ${error.step}: ${error.message} (${error.rule})\n    cure: ${error.cure}`);
  throw new TopologyError("PLAN_INVALID", `topology "${topology.name}" has ${plan.left.length === 1 ? "an error" : `${plan.left.length} errors`}:\n${lines.join("\n")}`);
}

/** A running topology. */
export interface Instance {
  /** Starts processing. */
  run(): void;
  /** Resolves when everything in the log is processed, committed, delivered and settled; rejects where the instance fails first. */
  drain(): Promise<void>;
  /** Finishes the commit, goes on delivering for a bounded time, closes the state. What is not delivered stays in the outbox. */
  stop(): Promise<void>;
  /** Resolves with the reason where the instance fails for good; never rejects. */
  readonly failed: Promise<TopologyError>;
  status(): InstanceStatus;
  /** The stores that can be asked. */
  stores(): readonly StoreInfo[];
  /** Which tasks hold a key of a store, and where they answer. Throws STORE_NOT_FOUND, USAGE. */
  locate(store: string, key: StoreKey): readonly StoreLocation[];
  /**
   * The committed rows of a key, as the step sends them on: one, or one a window or session (where no range is given the last 100 windows up to stream time, or the
   * sessions of 100 gaps). Throws STORE_NOT_FOUND, STORE_ELSEWHERE (with the owner's address), USAGE.
   *
   * @example instance.query("windows-1h", { device_id: "d1", metric: "temperature" }, { from: Date.now() - 86_400_000 });
   */
  query(store: string, key: StoreKey, range?: Partial<WindowRange>): readonly Readonly<Record<string, unknown>>[];
  /** Interactive queries by the records' keys, typed: see {@link StoreAccess}. */
  readonly store: StoreAccess;
}

async function partitionsOf(plan: Plan, part: SubTopology, parts: ReadonlyMap<string, number>, options: ResolvedOptions): Promise<number> {
  const known: (number | undefined)[] = [];
  for (const topic of part.topics) known.push(await options.log.partitionCount(topic));
  const existing = known.find((other) => other !== undefined);
  checkAskedCount(plan, part, existing);
  const wanted = partitionsWanted(plan, part, { existing, parts, otherwise: options.partitions });
  for (const [index, topic] of part.topics.entries()) if (known[index] === undefined) await options.log.ensureTopic(topic, { partitions: wanted });
  return agreedCount(part, known.map((found) => found ?? wanted));
}

function connectorFor(name: string, connectors: readonly SinkConnector[]): SinkConnector {
  const connector = connectors.find((other) => other.name === name);
  if (connector !== undefined) return connector;
  throw new TopologyError("CONFIG_INVALID", `the topology sinks into "${name}", but no such connector is given`, {
    place: name,
    cure: `pass one in connectors (there ${connectors.length === 1 ? "is" : "are"} ${connectors.map((other) => other.name).join(", ") || "none"})`,
  });
}

/** The log's topics as sinks. */
function ownTopics({ internalTopics }: Plan, { log, partitions }: ResolvedOptions): SinkConnector {
  return logSinks(log, partitions, new Set(internalTopics.map(({ topic }) => topic)));
}

/** Specs by connector, each with its connector. */
function byConnector(connectors: readonly SinkConnector[], given: readonly SinkSpec<never>[]): { connector: SinkConnector; specs: SinkSpec<never>[] }[] {
  const groups = new Map<string, SinkSpec<never>[]>();
  for (const spec of given) groups.set(spec.connector, [...(groups.get(spec.connector) ?? []), spec]);
  return [...groups].map(([name, specs]) => ({ connector: connectorFor(name, connectors), specs }));
}

function checkThreads({ threads, log, clock, disk }: ResolvedOptions): void {
  if (threads === undefined || threads.count === 1) return;
  const refuse = (message: string, cure: string): TopologyError => new TopologyError("CONFIG_INVALID", message, { place: "threads", cure });
  if (!Number.isSafeInteger(threads.count) || threads.count < 1) throw refuse(`${threads.count} is no number of threads`, "give a whole number from 1 on");
  if (isClusterLog(log)) throw refuse("threads are for the embedded log", "start more processes: the group gives each its share of the tasks");
  if (clock !== systemClock || disk !== levelDisk) throw refuse("threads have the machine's clock and disk", "leave clock and disk out, or run in one thread");
}

/** What all tasks' stores may take together is shared out among them, with a least for each; sizes that were given stand. */
function sharedMemory({ stateCacheBytes, stateWriteBufferBytes, cacheEntriesMax }: InstanceOptions, tasks: number): Pick<ResolvedOptions, "stateCacheBytes" | "stateWriteBufferBytes" | "cacheEntriesMax"> {
  const share = (all: number, least: number): number => Math.max(least, Math.floor(all / Math.max(tasks, 1)));
  return {
    stateCacheBytes: stateCacheBytes ?? share(STORES_CACHE_BYTES, 2 * MIB),
    stateWriteBufferBytes: stateWriteBufferBytes ?? share(STORES_WRITE_BYTES, 2 * MIB),
    cacheEntriesMax: cacheEntriesMax ?? share(CACHE_ENTRIES, 10_000),
  };
}

/** Opens sinks, by connector and target. */
async function openSinks({ topology }: Plan, { logger }: ResolvedOptions, connectors: readonly SinkConnector[], given: readonly SinkSpec<never>[]): Promise<Map<string, Sink>> {
  const sinks = new Map<string, Sink>();
  for (const { connector, specs } of byConnector(connectors, given)) {
    const opened = await connector.open({ topology: topology.name, version: topology.version, logger }, specs);
    specs.forEach((spec, index) => sinks.set(`${spec.connector}:${spec.target}`, opened[index] as Sink));
  }
  return sinks;
}

class RunningInstance implements Instance {
  readonly failed: Promise<TopologyError>;
  readonly #plan: Plan;
  readonly #options: ResolvedOptions;
  readonly #tasks: readonly OpenedTask[];
  readonly #lanes: ReadonlyMap<string, DeliveryLane>;
  readonly #worker: Worker;
  readonly #startedAt: number;
  readonly #queries: StoreQueries;
  #state: InstanceState = "starting";
  #failure: TopologyError | undefined;
  #resolveFailed: (error: TopologyError) => void = () => {};
  #stopped: Promise<void> | undefined;

  constructor(plan: Plan, options: ResolvedOptions, tasks: readonly OpenedTask[], sinks: ReadonlyMap<string, Sink>) {
    this.#plan = plan;
    this.#options = options;
    this.#tasks = tasks;
    this.#startedAt = options.clock.now();
    const partitionCounts = new Map(plan.subTopologies.map(({ name }) => [name, tasks.filter(({ task }) => task.id.slice(0, task.id.lastIndexOf("_")) === name).length]));
    this.#queries = new StoreQueries({ plan, partitionCounts, task: (id) => tasks.find(({ task }) => task.id === id), owner: () => undefined });
    this.failed = new Promise((resolve) => {
      this.#resolveFailed = resolve;
    });
    const { clock, logger } = options;
    const onFailure = (error: TopologyError) => this.#fail(error);
    const lanes = new Map<string, DeliveryLane>();
    for (const [name, sink] of sinks) {
      const target = name.slice(name.indexOf(":") + 1);
      lanes.set(name, new DeliveryLane({ target, sink, clock, logger, onChange: () => this.#worker.wake(), onFailure }));
    }
    this.#lanes = lanes;
    this.#worker = new Worker(tasks, lanes, options, { onFailure });
  }

  run(): void {
    if (this.#state !== "starting") return;
    for (const opened of this.#tasks) {
      opened.task.enter("opening");
      opened.task.enter("running");
      this.#worker.handOver(opened, opened.outbox, true);
    }
    for (const lane of this.#lanes.values()) lane.requestSettle();
    this.#state = "running";
    this.#worker.start();
  }

  async drain(): Promise<void> {
    const failed = await Promise.race([this.#worker.drained(), this.failed]);
    if (failed !== undefined) throw failed;
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    if (this.#state !== "failed") this.#state = "stopping";
    await this.#worker.stop();
    const { clock, stopTimeoutMs, logger } = this.#options;
    const until = clock.now() + stopTimeoutMs;
    while (this.#failure === undefined && clock.now() < until && ![...this.#lanes.values()].every((lane) => lane.isIdle)) await clock.sleep(10);
    await Promise.all([...this.#lanes.values()].map((lane) => lane.stop()));
    const left = [...this.#lanes.values()].reduce((sum, lane) => sum + lane.batches, 0);
    if (left > 0) logger.warn({ batches: left }, "stopped with sealed batches in the outbox; they are delivered at the next start");
    for (const { task, backend } of this.#tasks) {
      if (task.state === "running" || task.state === "failed") task.enter("closing");
      await backend.close();
      if (task.state === "closing") task.enter("closed");
    }
    if (this.#failure === undefined) this.#state = "stopped";
  }

  #fail(error: TopologyError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#state = "failed";
    this.#options.logger.error({ code: error.code, place: error.place, error: error.message }, "the instance failed");
    this.#resolveFailed(error);
    void this.#worker.stop();
  }

  stores(): readonly StoreInfo[] {
    return this.#queries.list();
  }
  locate(store: string, key: StoreKey): readonly StoreLocation[] {
    return this.#queries.locate(store, key);
  }
  query(store: string, key: StoreKey, range?: Partial<WindowRange>): readonly Readonly<Record<string, unknown>>[] {
    return this.#queries.ask(store, key, range);
  }
  get store(): StoreAccess {
    return this.#queries.store;
  }

  status(): InstanceStatus {
    return instanceStatusOf({ plan: this.#plan, state: this.#state, startedAt: this.#startedAt, tasks: this.#tasks, lanes: this.#lanes, failure: this.#failure });
  }
}

/**
 * Opens a topology: checks the plan, the topics and the sinks, opens each task's state where its last commit left it. Nothing runs before `run()`.
 *
 * Throws a TopologyError: PLAN_INVALID, CONFIG_INVALID, TOPIC_MISMATCH, FOLDER_IN_USE, STATE_CORRUPT, OFFSET_OUT_OF_RANGE, or what a connector says of its targets.
 *
 * @example
 * const instance = await openInstance(topology, { log, connectors: [clickhouseConnector({ url, database: "iot" })], stateDir: "data/state" });
 * instance.run();
 */
export async function openInstance(topology: Topology, given: InstanceOptions): Promise<Instance> {
  let options = resolveOptions(given);
  const plan = planOf(topology);
  checkThreads(options);
  if (isClusterLog(options.log)) return openClusterInstance(plan, options.log, options);
  const states: OpenedState[] = [];
  try {
    const partitionCounts = new Map<string, number>();
    for (const topic of new Set(plan.subTopologies.flatMap(({ globals }) => globals.map((global) => global.topic)))) {
      if ((await options.log.partitionCount(topic)) === undefined) await options.log.ensureTopic(topic, { partitions: options.partitions });
    }
    for (const part of plan.subTopologies) partitionCounts.set(part.name, await partitionsOf(plan, part, partitionCounts, options));
    await refuseOrphans(plan, partitionCounts, options);
    const sinks = await openSinks(plan, options, [...options.connectors, ownTopics(plan, options)], plan.sinks);
    options = { ...options, ...sharedMemory(given, [...partitionCounts.values()].reduce((sum, count) => sum + count, 0)) };
    if (options.threads !== undefined && options.threads.count > 1) return await ThreadedInstance.open(plan, options, options.threads, partitionCounts, sinks);
    for (const part of plan.subTopologies) {
      const partitionCount = partitionCounts.get(part.name) as number;
      for (let partition = 0; partition < partitionCount; partition++) states.push(await openTask({ plan, part, partition, partitionCount }, options));
    }
    const tasks: OpenedTask[] = [];
    for (const state of states) tasks.push(await state.begin());
    return new RunningInstance(plan, options, tasks, sinks);
  } catch (cause) {
    for (const { backend } of states) await backend.close();
    throw cause;
  }
}

/** The same on a cluster, where the group decides which tasks run here. */
async function openClusterInstance(plan: Plan, log: ClusterLog, options: ResolvedOptions): Promise<Instance> {
  const parts = await openTopics(plan, log, options);
  const sinks = await openSinks(plan, options, options.connectors, plan.sinks.filter(({ connector }) => connector !== "log"));
  return new ClusterInstance({ plan, options, parts, sinks });
}

/**
 * Forgets a topology: its state is deleted and what its connectors made is dropped. The log stays, so the next start processes it anew. On a cluster its
 * changelogs, its repartition topics and its group's offsets go too; that throws CONFIG_INVALID while the group has members.
 */
export async function resetTopology(topology: Topology, given: InstanceOptions): Promise<void> {
  const options = resolveOptions(given);
  const { log, logger } = options;
  const plan = planOf(topology);
  const isCluster = isClusterLog(log);
  if (isCluster) await refuseWithMembers(log, topology.name);
  const connectors = isCluster ? options.connectors : [...options.connectors, ownTopics(plan, options)];
  const specs = isCluster ? plan.sinks.filter(({ connector }) => connector !== "log") : plan.sinks;
  for (const group of byConnector(connectors, specs)) await group.connector.reset({ topology: topology.name, version: topology.version, logger }, group.specs);
  if (isCluster) await resetCluster(plan, log, options);
  // Last, so that a reset that was cut off is done again as a whole.
  if (options.stateDir !== null) await options.disk.remove(join(options.stateDir, topology.name));
}
