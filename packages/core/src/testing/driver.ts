import { ByteReader, type Header, invariant, makeCounters, readFrame, sumCounters, type TaskCounters } from "../model/index.ts";
import { AsyncCalls } from "../runtime/async-calls.ts";
import { planOf } from "../runtime/instance.ts";
import type { SubTopology } from "../plan/plan.ts";
import { type MemoryBackend, memoryBackend } from "../state/memory-backend.ts";
import { TaskInput } from "../task/input.ts";
import { listRun } from "../task/record-run.ts";
import { Task } from "../task/task.ts";
import { Committer } from "../commit/commit.ts";
import type { StoreDeclaration, Topology, TopologyNode } from "../topology/index.ts";
import { DriverClock, settleCalls } from "./driver-calls.ts";
import { type DriverOutput, observedPart } from "./driver-output.ts";
import { type DeclaredValue, type DriverStore, driverStore } from "./driver-store.ts";

/** A record to pipe in. Text and objects (as JSON) become bytes; the timestamp is the log's. */
export interface PipedRecord {
  readonly value: unknown;
  readonly key?: string | Buffer | null;
  /** Epoch milliseconds; 0 when absent. */
  readonly timestamp?: number;
  readonly headers?: readonly Header[];
}

/**
 * What may happen between two records, as data:
 *
 * - `commit`, `crash`: as {@link TestDriver}'s methods.
 * - `wall-clock`: time passes on the machine, as {@link TestDriver.advanceWallClock}.
 * - `sink-down`, `sink-up`: the target takes nothing for a while. What is committed meanwhile waits, over crashes too, and arrives once.
 */
export type DriverEvent =
  | { readonly event: "commit" }
  | { readonly event: "crash" }
  | { readonly event: "wall-clock"; readonly ms: number }
  | { readonly event: "sink-down" | "sink-up"; readonly target: string };

/** A record for a topic, or an event: one entry of a schedule. */
export type ScheduleEntry = (PipedRecord & { readonly topic: string }) | DriverEvent;

/**
 * Runs one topology over one partition in memory: no log, no files, no timers, nothing to wait for. What a repartition sends goes through before `pipe` returns.
 *
 * Outputs can be read at once. A crash takes back those that no commit has covered, as if they had never been.
 */
export interface TestDriver {
  /** Processes the records at once, one after another, in the order given; an event happens in its place. Throws what a step's `fail` policy throws. */
  pipe(topic: string, ...entries: readonly (PipedRecord | DriverEvent)[]): void;
  /** The same over several topics. */
  play(schedule: Iterable<ScheduleEntry>): void;
  /** Lets milliseconds pass on the machine's clock, which stands otherwise and begins at 0: punctuators that are due by it are called, once each. */
  advanceWallClock(ms: number): void;
  /**
   * Makes the calls of asynchronous steps, and resolves when all have a result that has left. Pauses before another attempt take no time: the machine's clock is moved
   * over them. A call that never ends is ended by its timeout: see `advanceWallClock`.
   */
  settle(): Promise<void>;
  /** What a target got since it was last read, oldest first; without a target what all got. */
  read(target?: string): readonly DriverOutput[];
  /** Commits: rows held back leave, stores are written. All is done when the call returns; the promise is there for those who await it. */
  commit(): Promise<void>;
  /** Forgets all memory since the last commit, as a crash would, and goes on from the stores. Pipe again what came after that commit. */
  crash(): void;
  /** All that a target got so far, read or not. */
  rows(target: string): readonly DriverOutput[];
  /** The values of {@link TestDriver.rows}. */
  values(target: string): readonly unknown[];
  /**
   * A store as the last commit left it: that of a step by the step's name, one of process steps by its own name or by its declaration, which gives the type of its values.
   * Throws STORE_NOT_FOUND, also for a custom store: only the store itself knows what it keeps.
   *
   * @example
   * const last = keyValueStore("last", { value: serde.float64() });  // declared by a step of the topology
   * driver.pipe("readings", { key: "a", value: 1.5 }, { event: "commit" });
   * t.equal(driver.store(last).get("a")?.value, 1.5);
   */
  store(name: string): DriverStore;
  store<N extends string, H>(declaration: StoreDeclaration<N, H>): DriverStore<DeclaredValue<H>>;
  counters(): Readonly<TaskCounters>;
}

function bytesOf(value: unknown): Buffer | null {
  if (value === null || value === undefined) return null;
  if (Buffer.isBuffer(value)) return value;
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value));
}

/** What sinks got, and what of it a crash would take back. */
class DriverOutputs {
  #kept: DriverOutput[] = [];
  #unread: DriverOutput[] = [];
  /** Since the last commit; those for a sink that is down have not arrived. */
  #uncommitted: { readonly output: DriverOutput; hasArrived: boolean }[] = [];
  /** Committed, for sinks that are down. */
  #held: DriverOutput[] = [];
  readonly #down = new Set<string>();

  add(output: DriverOutput): void {
    const hasArrived = !this.#down.has(output.target);
    this.#uncommitted.push({ output, hasArrived });
    if (hasArrived) this.#arrive(output);
  }
  #arrive(output: DriverOutput): void {
    this.#kept.push(output);
    this.#unread.push(output);
  }
  committed(): void {
    for (const { output, hasArrived } of this.#uncommitted) if (!hasArrived) this.#held.push(output);
    this.#uncommitted = [];
  }
  crashed(): void {
    const lost = new Set(this.#uncommitted.map(({ output }) => output));
    this.#kept = this.#kept.filter((output) => !lost.has(output));
    this.#unread = this.#unread.filter((output) => !lost.has(output));
    this.#uncommitted = [];
  }
  down(target: string): void {
    this.#down.add(target);
  }
  up(target: string): void {
    if (!this.#down.delete(target)) return;
    for (const output of this.#held) if (output.target === target) this.#arrive(output);
    this.#held = this.#held.filter((output) => output.target !== target);
    for (const sent of this.#uncommitted) {
      if (sent.hasArrived || sent.output.target !== target) continue;
      sent.hasArrived = true;
      this.#arrive(sent.output);
    }
  }
  read(target: string | undefined): DriverOutput[] {
    const found = target === undefined ? this.#unread : this.#unread.filter((output) => output.target === target);
    this.#unread = target === undefined ? [] : this.#unread.filter((output) => output.target !== target);
    return found;
  }
  rows(target: string): DriverOutput[] {
    return this.#kept.filter((output) => output.target === target);
  }
}

/** A record on its way into a task. */
interface PlacedRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly timestamp: number;
  readonly headers: readonly Header[];
}

/** A part of the topology with its one task. */
class DriverPart {
  readonly backend: MemoryBackend = memoryBackend();
  readonly ends: Map<string, number>;
  readonly nodes: readonly TopologyNode[];
  readonly #topology: Topology;
  readonly #part: SubTopology;
  readonly #clock: DriverClock;
  readonly #onChange: () => void;
  #calls: AsyncCalls | undefined;
  #task: Task | undefined;
  #committer: Committer | undefined;

  constructor(topology: Topology, part: SubTopology, clock: DriverClock, onChange: () => void) {
    this.#topology = topology;
    this.#part = part;
    this.#clock = clock;
    this.#onChange = onChange;
    this.nodes = part.nodes;
    this.ends = new Map([...part.topics, ...part.globals.map(({ topic }) => topic)].map((topic) => [topic, 0]));
    this.open();
  }

  get task(): Task {
    invariant(this.#task !== undefined, "a part is opened when it is made");
    return this.#task;
  }
  get calls(): AsyncCalls {
    invariant(this.#calls !== undefined, "a part is opened when it is made");
    return this.#calls;
  }
  get committer(): Committer {
    invariant(this.#committer !== undefined, "a part is opened when it is made");
    return this.#committer;
  }

  get streamTimes(): Readonly<Record<string, number>> {
    return this.committer.checkpoint.streamTimes;
  }

  /** Opens the task where the last commit left off. */
  open(): void {
    const last = this.#committer?.checkpoint ?? { format: 1 as const, commit: 0, offsets: {}, sequences: {}, streamTimes: {}, counters: makeCounters() };
    for (const topic of this.ends.keys()) this.ends.set(topic, last.offsets[`${topic}-0`] ?? 0);
    const inputs = [...this.ends].map(([topic, end]) => new TaskInput(topic, 0, end, end, !this.#part.topics.includes(topic)));
    const task = new Task({ id: `${this.#part.name}_0`, topology: this.#topology.name, partitionCount: 1, part: this.#part, inputs, backend: this.backend, cacheEntriesMax: 1_000, snapshot: last, wallClock: this.#clock.now(), takesAll: true });
    task.enter("opening");
    task.enter("running");
    this.#task = task;
    this.#calls?.stop();
    this.#calls = new AsyncCalls(task, this.#clock, this.#onChange);
    this.#committer = new Committer(this.backend, { topology: this.#topology.name, version: this.#topology.version, task: task.id }, last, []);
  }

  process(topic: string, record: PlacedRecord): void {
    const offset = this.ends.get(topic) ?? 0;
    this.ends.set(topic, offset + 1);
    this.task.inputs.find((input) => input.topic === topic)?.offer(listRun([{ ...record, topic, partition: 0, offset }]), offset + 1, offset + 1);
    this.task.process(1);
  }
}

/**
 * Drives a topology in a test.
 *
 * @example
 * const driver = testDriver(topology);
 * driver.pipe("readings", { value: { id: "a", value: 1 }, timestamp: 1_000 });
 * t.match(driver.read("clean"), [{ value: { id: "a", value: 1 }, timestamp: 1_000 }]);
 */
export function testDriver(topology: Topology): TestDriver {
  const plan = planOf(topology);
  const clock = new DriverClock();
  const outputs = new DriverOutputs();
  const frames: { readonly topic: string; readonly frame: Buffer }[] = [];
  const internalTopics = new Set(plan.internalTopics.map(({ topic }) => topic));
  const listener = { output: (output: DriverOutput) => outputs.add(output), internal: (topic: string, frame: Buffer) => void frames.push({ topic, frame }) };
  const parts = plan.subTopologies.map((part) => new DriverPart(topology, observedPart(part, internalTopics, listener), clock, () => clock.changed()));
  /** Those that read a topic: one, or of a global table's topic all that have the table. */
  const process = (topic: string, record: PlacedRecord): void => {
    const readers = parts.filter(({ ends }) => ends.has(topic));
    if (readers.length === 0) throw new RangeError(`the topology reads no topic "${topic}"`);
    for (const part of readers) part.process(topic, record);
  };
  /** Everything on its way between two parts goes through before the next input, as in Kafka Streams' driver. */
  const drain = (): void => {
    for (let next = frames.shift(); next !== undefined; next = frames.shift()) process(next.topic, readFrame(new ByteReader(next.frame)));
  };
  const commit = (): void => {
    for (const part of parts) {
      // A part that reads a repartition comes after those that write it, and they may send on what they held back.
      part.committer.commitAtOnce(part.task);
      drain();
    }
    outputs.committed();
  };
  const crash = (): void => {
    frames.length = 0;
    outputs.crashed();
    for (const part of parts) part.open();
  };
  const advanceWallClock = (ms: number): void => {
    clock.pass(ms);
    for (const part of parts) {
      part.task.punctuate(clock.now());
      drain();
    }
  };
  const happen = (event: DriverEvent): void => {
    if (event.event === "commit") commit();
    else if (event.event === "crash") crash();
    else if (event.event === "wall-clock") advanceWallClock(event.ms);
    else if (event.event === "sink-down") outputs.down(event.target);
    else outputs.up(event.target);
  };
  const pipeOne = (topic: string, { key = null, value, timestamp = 0, headers = [] }: PipedRecord): void => {
    process(topic, { key: bytesOf(key), value: bytesOf(value), timestamp, headers });
    drain();
  };
  return {
    pipe(topic, ...entries) {
      for (const entry of entries) {
        if ("event" in entry) happen(entry);
        else pipeOne(topic, entry);
      }
    },
    play(schedule) {
      for (const entry of schedule) {
        if ("event" in entry) happen(entry);
        else pipeOne(entry.topic, entry);
      }
    },
    advanceWallClock,
    settle: () => settleCalls(parts, clock, drain),
    read: (target) => outputs.read(target),
    commit() {
      commit();
      return Promise.resolve();
    },
    crash,
    rows: (target) => outputs.rows(target),
    values: (target) => outputs.rows(target).map(({ value }) => value),
    store: (wanted: string | StoreDeclaration) => driverStore(wanted, parts) as DriverStore<never>,
    counters: () => sumCounters(parts.map(({ task }) => task.counters)),
  };
}
