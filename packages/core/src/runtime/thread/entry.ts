/**
 * The program of a thread: opens the tasks that it was given and runs them as an instance does. Records come from the instance's log, sealed batches go to the instance's
 * lanes, both over the port; state and commits are the thread's own.
 */
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { invariant, TopologyError } from "../../model/index.ts";
import type { Plan } from "../../plan/index.ts";
import { armFailpoints, type Logger } from "../../port/index.ts";
import { isTopology } from "../../topology/index.ts";
import { planOf, resolveOptions } from "../instance.ts";
import { type OpenedState, openTask, type OpenedTask } from "../open-task.ts";
import type { InstanceOptions, ResolvedOptions } from "../options.ts";
import { StoreQueries } from "../queries.ts";
import { shapeOf } from "../shape.ts";
import { counterStatusOf, taskStatusOf } from "../status-of.ts";
import { OpenReads, type ReadPage } from "../task-reads.ts";
import { Worker } from "../worker.ts";
import { errorOf, errorParts, type LogCall, type PartStatus, type ThreadPlace, type ThreadQuery, type ThreadReport, type ThreadRequest, type ThreadRows } from "./message.ts";
import type { ThreadModule, ThreadTopology } from "./options.ts";
import { ThreadLane } from "./thread-lane.ts";
import { threadLog } from "./thread-log.ts";

const STATUS_INTERVAL_MS = 250;

/** What a thread is started with. */
export interface ThreadData {
  readonly module: string;
  readonly data: unknown;
  readonly topology: { readonly name: string; readonly version: number; readonly shape: string };
  readonly places: readonly ThreadPlace[];
  readonly logName: string;
  readonly hasFrames: boolean;
  readonly failpoints: string | undefined;
  readonly options: Omit<InstanceOptions, "log" | "connectors" | "logger" | "clock" | "disk" | "threads">;
  /** Queries come on a port of their own, and `answered` says that the rows are there. */
  readonly queries: MessagePort;
  readonly answered: Int32Array;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: TopologyError) => void;
}

class TaskThread {
  readonly #data: ThreadData;
  readonly #calls = new Map<number, Waiting>();
  readonly #acknowledging = new Set<Promise<void>>();
  readonly #lanes = new Map<string, ThreadLane>();
  readonly #states: OpenedState[] = [];
  readonly #tasks: OpenedTask[] = [];
  #plan: Plan | undefined;
  #options: ResolvedOptions | undefined;
  #worker: Worker | undefined;
  #queries: StoreQueries | undefined;
  readonly #reads = new OpenReads();
  #appended: () => void = () => {};
  #nextCall = 1;
  #timer: NodeJS.Timeout | undefined;

  constructor(data: ThreadData) {
    this.#data = data;
  }

  #report(report: ThreadReport): void {
    parentPort?.postMessage(report);
  }

  readonly #call = (call: LogCall, ...values: readonly unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const id = this.#nextCall++;
      this.#calls.set(id, { resolve, reject });
      this.#report({ kind: "call", id, call, values });
    });

  #logger(): Logger {
    const at = (level: "debug" | "info" | "warn" | "error") => (fields: object, message: string) => this.#report({ kind: "logged", level, fields: JSON.parse(JSON.stringify(fields)) as object, message });
    return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  }

  async open(): Promise<void> {
    const { topology, prepare } = await this.#load();
    const plan = planOf(topology);
    this.#compare(plan);
    const { log, appended } = threadLog(this.#data.logName, this.#data.hasFrames, this.#call);
    this.#appended = appended;
    const options = resolveOptions({ ...this.#data.options, log: (await prepare?.(log)) ?? log, connectors: [], logger: this.#logger() });
    for (const { part: name, partition, partitionCount } of this.#data.places) {
      const part = plan.subTopologies.find((other) => other.name === name);
      invariant(part !== undefined, "topologies of one shape have the same parts");
      this.#states.push(await openTask({ plan, part, partition, partitionCount }, options));
    }
    this.#plan = plan;
    this.#options = options;
    this.#report({ kind: "compared" });
  }

  /** All threads have compared their states with the topology. */
  async #begin(): Promise<void> {
    const [plan, options] = [this.#plan, this.#options];
    invariant(plan !== undefined && options !== undefined, "a thread begins after it has compared");
    for (const state of this.#states) this.#tasks.push(await state.begin());
    for (const { connector, target } of plan.sinks) {
      this.#lanes.set(`${connector}:${target}`, new ThreadLane((batch, entry, uncertain) => this.#report({ kind: "batch", batch, entry, uncertain })));
    }
    this.#worker = new Worker(this.#tasks, this.#lanes, options, { onFailure: (error) => this.#report({ kind: "failed", error: errorParts(error) }) });
    this.#answerQueries(plan);
    this.#report({ kind: "opened", status: this.#status() });
  }

  async #load(): Promise<ThreadTopology> {
    const { module, data } = this.#data;
    const exported = (await import(module)) as { readonly default?: ThreadModule; readonly threadTopology?: ThreadModule };
    const loaded = exported.default ?? exported.threadTopology;
    const given = typeof loaded === "function" ? await loaded(data) : loaded;
    if (given !== undefined && "topology" in given) return given;
    if (isTopology(given)) return { topology: given };
    throw new TopologyError("CONFIG_INVALID", "the module for threads has no topology as its default export", { place: module, cure: "write `export default defineTopology(...)`, or a function that gives it" });
  }

  #compare(plan: Plan): void {
    const { name, version, shape } = this.#data.topology;
    if (plan.topology.name === name && plan.topology.version === version && shapeOf(plan) === shape) return;
    throw new TopologyError("CONFIG_INVALID", `the module for threads gives another topology, ${plan.topology.name} version ${plan.topology.version}, than the instance was opened with`, {
      place: this.#data.module,
      cure: "give threads the module that the instance's own topology comes from",
    });
  }

  #status(): PartStatus {
    return { tasks: this.#tasks.map(taskStatusOf), counters: counterStatusOf(this.#tasks), windowsOpen: this.#tasks.reduce((sum, { task }) => sum + task.windowsOpen, 0) };
  }

  async take(request: ThreadRequest): Promise<void> {
    switch (request.kind) {
      case "begin":
        return this.#begin();
      case "run":
        return this.#run();
      case "wake":
        return this.#appended();
      case "drain":
        await this.#worker?.drained();
        return this.#report({ kind: "drained", id: request.id, status: this.#status() });
      case "read":
        return this.#answerRead(request.id, () => this.#reads.begin(request.id, this.#stores().read(request.task, request.request)));
      case "read-next":
        return this.#answerRead(request.id, () => this.#reads.next(request.id));
      case "read-end":
        return this.#reads.end(request.id);
      case "acknowledged":
        return this.#acknowledged(request.batch);
      case "answer":
        return this.#waiting(request.id)?.resolve(request.value);
      case "refusal":
        return this.#waiting(request.id)?.reject(errorOf(request.error));
      case "finish":
        await this.#worker?.stop();
        return this.#report({ kind: "finished", status: this.#status() });
      case "close":
        return this.close();
    }
  }

  async #answerRead(id: number, read: () => Promise<ReadPage>): Promise<void> {
    try {
      this.#report({ kind: "page", id, page: await read() });
    } catch (cause) {
      this.#report({ kind: "read-refused", id, error: errorParts(cause) });
    }
  }

  #stores(): StoreQueries {
    invariant(this.#queries !== undefined, "a thread is asked after it has opened");
    return this.#queries;
  }

  #waiting(id: number): Waiting | undefined {
    const waiting = this.#calls.get(id);
    this.#calls.delete(id);
    return waiting;
  }

  #run(): void {
    for (const opened of this.#tasks) {
      opened.task.enter("opening");
      opened.task.enter("running");
      this.#worker?.handOver(opened, opened.outbox, true);
    }
    this.#worker?.start();
    this.#timer = setInterval(() => this.#report({ kind: "status", status: this.#status() }), STATUS_INTERVAL_MS);
  }

  async #acknowledged(batch: number): Promise<void> {
    for (const lane of this.#lanes.values()) {
      const work = lane.acknowledged(batch);
      if (work === undefined) continue;
      this.#acknowledging.add(work);
      try {
        await work;
      } finally {
        this.#acknowledging.delete(work);
        this.#worker?.wake();
      }
      return;
    }
  }

  /** Closes the tasks' state, once what was acknowledged is written. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#worker?.stop();
    await Promise.allSettled(this.#acknowledging);
    await this.#reads.close();
    for (const { task } of this.#tasks) if (task.state === "running" || task.state === "failed") task.enter("closing");
    for (const { backend } of this.#states) await backend.close();
    for (const { task } of this.#tasks) if (task.state === "closing") task.enter("closed");
    this.#report({ kind: "closed", status: this.#status() });
    this.#data.queries.close();
    parentPort?.close();
  }

  fail(cause: unknown): void {
    this.#report({ kind: "failed", error: errorParts(cause) });
  }

  #answerQueries(plan: Plan): void {
    const { places, queries, answered } = this.#data;
    const partitionCounts = new Map(places.map(({ part, partitionCount }) => [part, partitionCount]));
    const stores = new StoreQueries({ plan, partitionCounts, task: (id) => this.#tasks.find(({ task }) => task.id === id), owner: () => undefined });
    this.#queries = stores;
    queries.on("message", ({ id, store, key, range, tasks }: ThreadQuery) => {
      let rows: ThreadRows;
      try {
        rows = { id, rows: stores.ask(store, key, range, tasks) };
      } catch (cause) {
        rows = { id, error: errorParts(cause) };
      }
      queries.postMessage(rows);
      Atomics.store(answered, 0, 1);
      Atomics.notify(answered, 0);
    });
  }
}

const data = workerData as ThreadData;
if (data.failpoints !== undefined) armFailpoints(data.failpoints);
const thread = new TaskThread(data);
parentPort?.on("message", (request: ThreadRequest) => void thread.take(request).catch((cause: unknown) => thread.fail(cause)));
await thread.open().catch((cause: unknown) => thread.fail(cause));
