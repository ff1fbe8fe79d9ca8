import type { Plan } from "../../plan/index.ts";
import { sumCounters, TopologyError } from "../../model/index.ts";
import { armedFailpoints, type Sink } from "../../port/index.ts";
import type { StoreKey, WindowRange } from "../../task/store-query.ts";
import type { Instance } from "../instance.ts";
import { DeliveryLane } from "../lane.ts";
import type { ResolvedOptions } from "../options.ts";
import { StoreQueries, type StoreInfo, type StoreLocation } from "../queries.ts";
import type { StoreAccess } from "../store-view.ts";
import { shapeOf } from "../shape.ts";
import type { InstanceState, InstanceStatus } from "../status.ts";
import type { ThreadData } from "./entry.ts";
import type { PartStatus, ThreadPlace } from "./message.ts";
import type { ThreadOptions } from "./options.ts";
import { ThreadHandle } from "./thread-handle.ts";

/** The tasks of each thread: those of a part are spread as evenly as the parts' number allows. */
function placesOf(plan: Plan, partitionCounts: ReadonlyMap<string, number>, threads: number): ThreadPlace[][] {
  const all = plan.subTopologies.flatMap(({ name }) => {
    const partitionCount = partitionCounts.get(name) ?? 0;
    return Array.from({ length: partitionCount }, (_, partition): ThreadPlace => ({ part: name, partition, partitionCount }));
  });
  const places = Array.from({ length: Math.min(threads, all.length) }, (): ThreadPlace[] => []);
  for (const [index, place] of all.entries()) places[index % places.length]?.push(place);
  return places;
}

/**
 * An instance whose tasks run in threads. The log, the sinks with their lanes, status and queries are here; each thread owns the state of its tasks and commits it by itself, in the one order
 * of commits. What crosses between them is data: batches of the log's frames one way, sealed batches the other, acknowledgements back.
 */
export class ThreadedInstance implements Instance {
  readonly failed: Promise<TopologyError>;
  readonly #plan: Plan;
  readonly #options: ResolvedOptions;
  readonly #startedAt: number;
  readonly #lanes = new Map<string, DeliveryLane>();
  readonly #queries: StoreQueries;
  readonly #threads: readonly ThreadHandle[];
  #state: InstanceState = "starting";
  #failure: TopologyError | undefined;
  #resolveFailed: (error: TopologyError) => void = () => {};
  #stopped: Promise<void> | undefined;
  #unsubscribe: () => void = () => {};
  #waking = false;

  private constructor(plan: Plan, options: ResolvedOptions, threads: ThreadOptions, partitionCounts: ReadonlyMap<string, number>, sinks: ReadonlyMap<string, Sink>) {
    this.#plan = plan;
    this.#options = options;
    this.#startedAt = options.clock.now();
    this.failed = new Promise((resolve) => (this.#resolveFailed = resolve));
    const { clock, logger, log } = options;
    const onFailure = (error: TopologyError): void => this.#fail(error);
    for (const [name, sink] of sinks) {
      const target = name.slice(name.indexOf(":") + 1);
      this.#lanes.set(name, new DeliveryLane({ target, sink, clock, logger, onChange: () => {}, onFailure }));
    }
    this.#queries = new StoreQueries({ plan, partitionCounts, task: () => undefined, reads: (id) => this.#threads.find(({ taskIds }) => taskIds.has(id))?.reads(id), owner: () => undefined });
    const handlers = {
      log,
      logger,
      onFailure,
      onBatch: (entry: Parameters<DeliveryLane["push"]>[0], acknowledge: () => Promise<void>, uncertain: boolean) => this.#deliver(entry, acknowledge, uncertain),
    };
    this.#threads = placesOf(plan, partitionCounts, threads.count).map((places) => new ThreadHandle(this.#dataOf(threads, places), handlers));
  }

  #dataOf(threads: ThreadOptions, places: readonly ThreadPlace[]): Omit<ThreadData, "queries" | "answered"> {
    const { log, stateDir, commitIntervalMs, commitRecordsMax, cacheEntriesMax, outboxBatchesMax, outboxBytesMax, stateCacheBytes, stateWriteBufferBytes } = this.#options;
    const { name, version } = this.#plan.topology;
    return {
      module: String(threads.module),
      data: threads.data,
      topology: { name, version, shape: shapeOf(this.#plan) },
      places,
      logName: log.name,
      hasFrames: log.fetchFrames !== undefined,
      failpoints: armedFailpoints(),
      options: { stateDir, commitIntervalMs, commitRecordsMax, cacheEntriesMax, outboxBatchesMax, outboxBytesMax: Math.ceil(outboxBytesMax / threads.count), stateCacheBytes, stateWriteBufferBytes },
    };
  }

  /** Starts the threads and waits until all have opened their tasks. */
  static async open(plan: Plan, options: ResolvedOptions, threads: ThreadOptions, partitionCounts: ReadonlyMap<string, number>, sinks: ReadonlyMap<string, Sink>): Promise<ThreadedInstance> {
    const instance = new ThreadedInstance(plan, options, threads, partitionCounts, sinks);
    try {
      await Promise.all(instance.#threads.map((thread) => thread.compared()));
      await Promise.all(instance.#threads.map((thread) => thread.begin()));
      return instance;
    } catch (cause) {
      await instance.#close();
      throw cause;
    }
  }

  #deliver(entry: Parameters<DeliveryLane["push"]>[0], acknowledge: () => Promise<void>, uncertain: boolean): void {
    const name = `${entry.batch.connector}:${entry.batch.target}`;
    const lane = this.#lanes.get(name);
    if (lane !== undefined) return lane.push(entry, acknowledge, uncertain);
    this.#fail(new TopologyError("SINK_MISMATCH", `a thread has rows for ${name}, which no sink is opened for`, { place: name, cure: "this looks like a bug: please report it" }));
  }

  run(): void {
    if (this.#state !== "starting") return;
    this.#state = "running";
    this.#unsubscribe = this.#options.log.onAppend(() => this.#wake());
    for (const lane of this.#lanes.values()) lane.requestSettle();
    for (const thread of this.#threads) thread.run();
  }

  /** Once a turn is enough, however many appends there are in it. */
  #wake(): void {
    if (this.#waking) return;
    this.#waking = true;
    setImmediate(() => {
      this.#waking = false;
      for (const thread of this.#threads) thread.wake();
    });
  }

  async drain(): Promise<void> {
    const failed = await Promise.race([this.#drained(), this.failed]);
    if (failed !== undefined) throw failed;
  }

  async #drained(): Promise<void> {
    const { clock } = this.#options;
    for (;;) {
      const parts = await Promise.all(this.#threads.map((thread) => thread.drained()));
      while (this.#failure === undefined && !this.#isIdle()) await clock.sleep(5);
      // What one thread sealed may have become another's input meanwhile.
      if (this.#failure !== undefined || (await this.#isAtEnd(parts))) return;
    }
  }

  #isIdle(): boolean {
    return [...this.#lanes.values()].every((lane) => lane.isIdle);
  }

  async #isAtEnd(parts: readonly PartStatus[]): Promise<boolean> {
    for (const { inputs } of parts.flatMap(({ tasks }) => tasks)) {
      for (const { topic, partition, position } of inputs) if ((await this.#options.log.offsets(topic, partition)).end > position) return false;
    }
    return true;
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    if (this.#state !== "failed") this.#state = "stopping";
    const { clock, stopTimeoutMs, logger } = this.#options;
    await Promise.all(this.#threads.map((thread) => thread.finish()));
    const until = clock.now() + stopTimeoutMs;
    while (this.#failure === undefined && clock.now() < until && !this.#isIdle()) await clock.sleep(10);
    await Promise.all([...this.#lanes.values()].map((lane) => lane.stop()));
    const left = [...this.#lanes.values()].reduce((sum, lane) => sum + lane.batches, 0);
    if (left > 0) logger.warn({ batches: left }, "stopped with sealed batches in the outbox; they are delivered at the next start");
    await this.#close();
    if (this.#failure === undefined) this.#state = "stopped";
  }

  async #close(): Promise<void> {
    this.#unsubscribe();
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }

  #fail(error: TopologyError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#state = "failed";
    this.#options.logger.error({ code: error.code, place: error.place, error: error.message }, "the instance failed");
    this.#resolveFailed(error);
    for (const thread of this.#threads) void thread.finish();
  }

  stores(): readonly StoreInfo[] {
    return this.#queries.list();
  }

  locate(store: string, key: StoreKey): readonly StoreLocation[] {
    return this.#queries.locate(store, key).map((place) => ({ ...place, isLocal: this.#threads.some(({ taskIds }) => taskIds.has(place.task)) }));
  }

  query(store: string, key: StoreKey, range?: Partial<WindowRange>): readonly Readonly<Record<string, unknown>>[] {
    const places = this.#queries.locate(store, key).map(({ task }) => task);
    return this.#threads.flatMap((thread) => {
      const tasks = places.filter((task) => thread.taskIds.has(task));
      return tasks.length === 0 ? [] : thread.query({ store, key, range, tasks });
    });
  }

  get store(): StoreAccess {
    return this.#queries.store;
  }

  /** Threads tell how they stand four times a second, and whenever they have drained or stopped. */
  status(): InstanceStatus {
    const parts = this.#threads.map(({ status }) => status);
    const { name, version } = this.#plan.topology;
    const order = this.#plan.subTopologies.map((part) => part.name);
    const rank = (id: string): number => order.indexOf(id.slice(0, id.lastIndexOf("_"))) * 1e6 + Number(id.slice(id.lastIndexOf("_") + 1));
    return {
      state: this.#state,
      topology: name,
      version,
      startedAt: this.#startedAt,
      tasks: parts.flatMap(({ tasks }) => tasks).sort((a, b) => rank(a.id) - rank(b.id)),
      counters: { ...sumCounters(parts.map(({ counters: { commits: _, ...counters } }) => ({ ...counters, written: { ...counters.written }, deadLetters: { ...counters.deadLetters } }))), commits: parts.reduce((sum, { counters }) => sum + counters.commits, 0) },
      outbox: [...this.#lanes.values()].map((lane) => lane.status()),
      windowsOpen: parts.reduce((sum, { windowsOpen }) => sum + windowsOpen, 0),
      failure: this.#failure === undefined ? null : { code: this.#failure.code, message: this.#failure.message },
    };
  }
}
