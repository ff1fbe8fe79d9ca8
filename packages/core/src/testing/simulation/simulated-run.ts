/** One schedule from its beginning to its end: processes that start, work, die and come back, records that arrive meanwhile, and what must hold when all is done. */
import { type LogRecord, type ProducerRecord, type TaskCounters, sumCounters, TopologyError } from "../../model/index.ts";
import { isRebuildable, type Plan } from "../../plan/index.ts";
import { type Logger, silentLogger, type SourceLog } from "../../port/index.ts";
import { type Instance, openInstance, planOf } from "../../runtime/instance.ts";
import type { Topology } from "../../topology/index.ts";
import { collect } from "../collect.ts";
import { checkCluster, STATE_DIR } from "./cluster-check.ts";
import { compareCounters, compareOutput, compareRows, type ExpectedOutcome } from "./expectation.ts";
import type { Schedule, ScheduleItem } from "./schedule.ts";
import { SimulatedDisk } from "./simulated-disk.ts";
import { SimulatedSinks } from "./simulated-sink.ts";
import type { ProcessLine, Timeline } from "./timeline.ts";
import { makeWorld, type World } from "./world.ts";

/** A record that a simulation feeds. Objects become JSON. */
export interface SimulatedRecord {
  readonly topic: string;
  readonly key: string | null;
  readonly value: unknown;
  /** The log's timestamp, in epoch milliseconds. */
  readonly timestamp: number;
  readonly partition?: number;
  /** True where it stands in its topic before the first process starts, as the rows of a global table may that every record is to find. */
  readonly standing?: boolean;
}

/** How many partitions the topics have that are read. */
export type TopicPartitions = number | Readonly<Record<string, number>>;

interface Machine {
  readonly name: string;
  readonly disk: SimulatedDisk;
  readonly hasDisk: boolean;
  process: SimulatedProcess | undefined;
  isReturning: boolean;
}

/** A process: its life ends with its line. */
export interface SimulatedProcess {
  readonly line: ProcessLine;
  readonly log: SourceLog;
  readonly machine: Machine;
  instance: Instance | undefined;
  isStopping: boolean;
}

/** How a schedule ended. */
export interface RunResult {
  /** What is wrong; none where all is right. */
  readonly problems: readonly string[];
  /** How often each fault struck. */
  readonly fired: Readonly<Record<string, number>>;
  readonly digest: number;
  readonly steps: number;
}

const RESTART_MS = 60;
const BEHIND_MS_MAX = 400;
const SETTLE_MS = 1_500;
const DRAIN_MS_MAX = 900_000;
const ROUNDS_MAX = 100;

/** The topology with its sinks collecting rows instead of bytes, so that rows can be compared whatever connector they go to. */
export function collecting(topology: Topology): Topology {
  const { encoder } = collect<never>("any");
  const nodes = topology.nodes.map((node) => (node.kind === "sink" && node.spec.connector !== "log" ? Object.freeze({ ...node, spec: Object.freeze({ ...node.spec, encoder }) }) : node));
  return Object.freeze({ ...topology, nodes: Object.freeze(nodes) });
}

function bytesOf(value: unknown): Buffer | string | null {
  if (value === null || value === undefined) return null;
  return Buffer.isBuffer(value) || typeof value === "string" ? value : JSON.stringify(value);
}

/** A record of a topic as models see it: its JSON, or its text. */
function topicRow({ value }: LogRecord): unknown {
  if (value === null) return null;
  const text = value.toString();
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

export class SimulatedRun {
  readonly #topology: Topology;
  readonly #plan: Plan;
  readonly #schedule: Schedule;
  readonly #standing: readonly SimulatedRecord[];
  readonly #records: readonly SimulatedRecord[];
  readonly #expected: ExpectedOutcome;
  readonly #partitions: TopicPartitions;
  readonly #timeline: Timeline;
  readonly #world: World;
  readonly #sinks: SimulatedSinks;
  readonly #logger: boolean;
  readonly #machines: Machine[] = [];
  readonly #problems: string[] = [];
  readonly #fired: Record<string, number> = {};
  readonly #excused = new Set<string>();
  #lives = 0;
  #fed = 0;

  constructor(topology: Topology, schedule: Schedule, given: { readonly records: readonly SimulatedRecord[]; readonly expected: ExpectedOutcome; readonly partitions: TopicPartitions; readonly timeline: Timeline; readonly isTraced: boolean }) {
    this.#topology = collecting(topology);
    this.#plan = planOf(this.#topology);
    this.#schedule = schedule;
    this.#standing = given.records.filter(({ standing }) => standing === true);
    this.#records = given.records.filter(({ standing }) => standing !== true);
    this.#expected = given.expected;
    this.#partitions = given.partitions;
    this.#timeline = given.timeline;
    this.#logger = given.isTraced;
    this.#world = makeWorld(schedule.mode, schedule, given.timeline);
    this.#sinks = new SimulatedSinks(given.timeline, schedule.settings);
  }

  /** Whether state of this topology that was damaged can be made again from the log. */
  static mayDamage(topology: Topology): boolean {
    return planOf(topology).subTopologies.every(isRebuildable);
  }

  async execute(): Promise<RunResult> {
    const own = new Set(this.#plan.internalTopics.map(({ topic }) => topic));
    const topics = new Set(this.#plan.subTopologies.flatMap((part) => [...part.topics, ...part.globals.map(({ topic }) => topic)]).filter((topic) => !own.has(topic)));
    try {
      await this.#timeline.run(async () => {
        for (const topic of topics) await this.#world.makeTopic(topic, typeof this.#partitions === "number" ? this.#partitions : (this.#partitions[topic] ?? 1));
        await this.#append(this.#standing);
        for (let count = this.#schedule.settings.processes; count > 0; count--) this.#start(this.#addMachine());
        for (const item of this.#schedule.items) {
          await this.#timeline.passed(item.steps, item.ms);
          if (item.kind !== "feed" && item.behind !== undefined) await this.#timeline.happened(item.behind, BEHIND_MS_MAX);
          await this.#act(item);
        }
        await this.#finish();
      });
    } catch (cause) {
      this.#problems.push(`the run ended early: ${cause instanceof Error ? cause.message : String(cause)}`);
    }
    this.#world.close();
    this.#problems.push(...this.#sinks.violations);
    if (this.#sinks.mishaps > 0) this.#fired["mishap"] = this.#sinks.mishaps;
    return { problems: this.#problems, fired: this.#fired, digest: this.#timeline.digest, steps: this.#timeline.steps };
  }

  #addMachine(): Machine {
    const number = this.#machines.length;
    const machine: Machine = { name: `m${number}`, disk: new SimulatedDisk(this.#timeline, this.#schedule.settings.diskMs), hasDisk: this.#schedule.settings.hasDisk[number] ?? true, process: undefined, isReturning: false };
    this.#machines.push(machine);
    return machine;
  }

  #start(machine: Machine): void {
    machine.isReturning = false;
    const line: ProcessLine = { name: `${machine.name}.${++this.#lives}`, isAlive: true, held: undefined };
    const log = this.#world.connect(line);
    const process: SimulatedProcess = { line, log, machine, instance: undefined, isStopping: false };
    machine.process = process;
    this.#timeline.note(`${line.name} starts`);
    const { commitRecordsMax, commitIntervalMs, cacheEntriesMax, outboxBatchesMax, standbyReplicas, changelogSweepBytesMin } = this.#schedule.settings;
    const names = new Set(this.#plan.sinks.map(({ connector }) => connector).filter((name) => name !== "log"));
    // On one machine a process begins only when the one before is dead; on a cluster one may wake up that was taken for dead.
    const owner = this.#schedule.mode === "local" ? machine.name : line.name;
    const opening = openInstance(this.#topology, {
      log, connectors: [...names].map((name) => this.#sinks.connector(name, line, owner)),
      stateDir: machine.hasDisk ? STATE_DIR : null, disk: machine.disk.of(line), clock: this.#timeline.clockOf(line), logger: this.#loggerOf(line),
      partitions: typeof this.#partitions === "number" ? this.#partitions : 1, createTopics: true, sessionTimeoutMs: 1_000, stopTimeoutMs: 2_000,
      commitRecordsMax, commitIntervalMs, cacheEntriesMax, outboxBatchesMax, standbyReplicas, changelogSweepBytesMin,
    });
    opening.then(
      (instance) => {
        process.instance = instance;
        void instance.failed.then((error) => this.#failed(process, error));
        instance.run();
      },
      (cause: unknown) => this.#failed(process, cause),
    );
  }

  #loggerOf(line: ProcessLine): Logger {
    if (!this.#logger) return silentLogger;
    const say = (level: string) => (fields: object, message: string) => this.#timeline.note(`${line.name} ${level}: ${message} ${JSON.stringify(fields, (_name, value: unknown) => (typeof value === "bigint" ? String(value) : value))}`);
    return { debug: say("debug"), info: say("info"), warn: say("warn"), error: say("error") };
  }

  /** An instance ended by itself: where a fault explains it, it is started again as a supervisor would. */
  #failed(process: SimulatedProcess, cause: unknown): void {
    if (!process.line.isAlive) return;
    const error = cause instanceof TopologyError ? cause : new TopologyError("TASK_FAILED", cause instanceof Error ? (cause.stack ?? cause.message) : String(cause));
    const isExcused = this.#excused.has(error.code) || (error.retriable && process.instance === undefined);
    this.#timeline.note(`${process.line.name} failed: ${error.code} ${error.message}`);
    // The first one says it: those that follow are of the same cause.
    if (!isExcused && this.#problems.length === 0) this.#problems.push(`an instance failed: ${error.code} ${error.message}${error.code === "TASK_FAILED" && error.cause instanceof Error ? `\n${error.cause.stack ?? ""}` : ""}`);
    this.#timeline.after(0, undefined, `${process.line.name} exits`, () => {
      if (!process.line.isAlive) return;
      this.#kill(process);
      this.#comeBack(process.machine, RESTART_MS);
    });
  }

  #kill({ line, machine }: SimulatedProcess): void {
    line.isAlive = false;
    line.held = undefined;
    this.#world.killed(line);
    machine.disk.killed(line);
    machine.process = undefined;
  }

  #comeBack(machine: Machine, ms: number): void {
    machine.isReturning = true;
    this.#timeline.after(ms, undefined, `${machine.name} comes back`, () => this.#start(machine));
  }

  get #running(): SimulatedProcess[] {
    return this.#machines.flatMap(({ process }) => process ?? []);
  }

  async #act(item: ScheduleItem): Promise<void> {
    if (item.kind === "feed") return this.#feed(item.count);
    const running = this.#running.filter(({ isStopping }) => !isStopping);
    const process = running[item.process % Math.max(1, running.length)];
    if (process === undefined || !this.#strike(item, process)) return;
    this.#timeline.note(`${item.kind} of ${process.line.name}`);
    const isWorking = this.#fed > 0;
    if (isWorking) this.#fired[item.kind] = (this.#fired[item.kind] ?? 0) + 1;
  }

  /** Makes a fault happen. False where there is nothing that it could strike. */
  #strike(item: ScheduleItem & { readonly process: number }, process: SimulatedProcess): boolean {
    const { line, machine } = process;
    switch (item.kind) {
      case "kill":
      case "power-cut":
        this.#kill(process);
        if (item.kind === "power-cut") machine.disk.cutPower();
        this.#comeBack(machine, item.awayMs);
        return true;
      case "stop":
        return this.#stop(process, item.awayMs);
      case "pause":
        this.#timeline.pause(line);
        this.#world.paused(line);
        this.#timeline.after(item.awayMs, undefined, `${line.name} goes on`, () => this.#resume(line));
        return true;
      case "disk-full":
        this.#excused.add("DISK_FULL");
        return machine.disk.fill() > 0;
      case "damage":
        this.#excused.add("STATE_CORRUPT");
        return machine.disk.damage();
      case "join":
        if (this.#machines.length >= 3) return false;
        this.#start(this.#addMachine());
        return true;
      default:
        return this.#world.strike(item, line);
    }
  }

  #resume(line: ProcessLine): void {
    if (!line.isAlive) return;
    this.#timeline.resume(line);
    this.#world.resumed(line);
  }

  #stop(process: SimulatedProcess, awayMs: number): boolean {
    const { instance, line, machine } = process;
    if (instance === undefined) return false;
    process.isStopping = true;
    void instance.stop().then(() => {
      this.#timeline.after(0, undefined, `${line.name} exits`, () => {
        if (!line.isAlive) return;
        this.#kill(process);
        this.#comeBack(machine, awayMs);
      });
    });
    return true;
  }

  async #feed(count: number): Promise<void> {
    const batch = this.#records.slice(this.#fed, this.#fed + count);
    this.#fed += batch.length;
    await this.#append(batch);
  }

  async #append(batch: readonly SimulatedRecord[]): Promise<void> {
    const byTopic = new Map<string, ProducerRecord[]>();
    for (const { topic, key, value, timestamp, partition } of batch) {
      const list = byTopic.get(topic) ?? [];
      list.push({ key, value: bytesOf(value), timestamp, ...(partition === undefined ? {} : { partition }) });
      byTopic.set(topic, list);
    }
    for (const [topic, records] of byTopic) await this.#world.append(topic, records);
  }

  /** No more faults: everything that was read must be committed and delivered in the end. */
  async #finish(): Promise<void> {
    await this.#feed(this.#records.length - this.#fed);
    this.#sinks.calm();
    this.#world.clearFaults();
    // Damage that nothing has read yet is found at the next start.
    for (const process of this.#running) {
      if (!process.machine.disk.isDamaged) continue;
      this.#kill(process);
      this.#comeBack(process.machine, RESTART_MS);
    }
    // A process that was taken for dead hears of it with a later heartbeat: until then it says that it has its former tasks.
    if (this.#world.observer !== undefined) await this.#timeline.wait(SETTLE_MS, undefined, "sessions settle");
    for (let round = 1; this.#problems.length === 0; round++) {
      if (round > ROUNDS_MAX) throw new Error("the instances fail again and again");
      for (const { line } of this.#running) this.#resume(line);
      while (this.#machines.some(({ isReturning, process }) => isReturning || process?.isStopping === true || (process !== undefined && process.instance === undefined))) await this.#timeline.wait(20, undefined, "waits for processes");
      const instances = this.#running.flatMap(({ instance }) => instance ?? []);
      const ending = await Promise.race([
        Promise.all(instances.map((instance) => instance.drain())).then(() => "drained", () => "failed"),
        this.#timeline.wait(DRAIN_MS_MAX, undefined, "patience ends").then(() => "late"),
      ]);
      if (ending === "drained" && (await this.#isShared())) return this.#check();
      if (ending === "late") throw new Error(`the log was not processed within ${DRAIN_MS_MAX / 60_000} minutes: ${JSON.stringify(instances.map((instance) => instance.status()))}`);
      await this.#timeline.wait(RESTART_MS, undefined, "waits for the others");
    }
  }

  /** Whether each task runs in one process: one that came back late may still be getting its share. */
  async #isShared(): Promise<boolean> {
    const { observer } = this.#world;
    if (observer === undefined) return true;
    let count = 0;
    for (const { topics } of this.#plan.subTopologies) count += (await observer.partitionCount(topics[0] ?? "")) ?? 0;
    const tasks = this.#running.flatMap(({ instance }) => instance?.status().tasks.map(({ id }) => id) ?? []);
    return tasks.length === count && new Set(tasks).size === count;
  }

  async #check(): Promise<void> {
    const processes = this.#running;
    const instances = processes.flatMap(({ instance }) => instance ?? []);
    const counters: TaskCounters = sumCounters(instances.map((instance) => instance.status().counters as unknown as TaskCounters));
    this.#checkStores(instances);
    this.#problems.push(...compareCounters(counters, this.#expected.counters ?? {}));
    const owners = processes.map(({ instance, machine }) => ({ tasks: instance?.status().tasks.map(({ id }) => id) ?? [], disk: machine.hasDisk ? machine.disk : undefined }));
    await Promise.all(instances.map((instance) => instance.stop()));
    this.#checkOutputs();
    if (this.#world.observer !== undefined) this.#problems.push(...(await checkCluster(this.#plan, this.#world.observer, owners, this.#timeline)));
  }

  #checkStores(instances: readonly Instance[]): void {
    for (const { store, key, range, rows } of this.#expected.stores ?? []) {
      const owner = instances.find((instance) => instance.locate(store, key).some(({ isLocal }) => isLocal));
      if (owner === undefined) this.#problems.push(`store ${store}: nobody answers for ${JSON.stringify(key)}`);
      else this.#problems.push(...compareRows(`store ${store} at ${JSON.stringify(key)}`, owner.query(store, key, range), rows));
    }
  }

  #checkOutputs(): void {
    const targets = new Set(this.#plan.sinks.filter(({ connector }) => connector !== "log").map(({ target }) => target));
    for (const [target, expectation] of Object.entries(this.#expected.outputs)) {
      const found = targets.has(target) ? this.#sinks.rowsOf(target).map(({ value }) => value) : this.#world.recordsOf(target).map(topicRow);
      this.#problems.push(...compareOutput(target, found, expectation));
    }
  }
}
