import { ByteWriter, invariant, type LogRecord, makeCounters, type TaskCounters } from "../model/index.ts";
import type { SubTopology } from "../plan/plan.ts";
import type { UnsealedBatch } from "../port/index.ts";
import type { StateBackend, StateBatch } from "../state/backend.ts";
import { compilePart, type CompiledPart } from "./compile.ts";
import { enter, type TaskContext } from "./context.ts";
import type { TaskInput } from "./input.ts";
import type { Link } from "./link.ts";
import type { AsyncStep, Outcome, PendingCall } from "./operators/map-async.ts";
import { TASK_TRANSITIONS, type TaskState } from "./state.ts";
import { type InjectedOrigin, Timers } from "./timers.ts";
import { UndoLog } from "./undo-log.ts";

/** What a task continues from. */
export interface TaskSnapshot {
  readonly counters: TaskCounters;
  readonly streamTimes: Readonly<Record<string, number>>;
}

/** What a task needs to be made. */
export interface TaskOptions {
  readonly id: string;
  /** The name of the topology. */
  readonly topology: string;
  readonly partitionCount: number;
  readonly part: SubTopology;
  /** Those of the part's own topics before those of global tables. */
  readonly inputs: readonly TaskInput[];
  readonly backend: StateBackend;
  /** Decoded entries kept in memory a store. */
  readonly cacheEntriesMax: number;
  readonly snapshot?: TaskSnapshot;
  /** The machine's time in epoch milliseconds; 0 when absent. */
  readonly wallClock?: number;
  /** Set where records are taken on however many calls of asynchronous steps are pending. */
  readonly takesAll?: boolean;
}

const NO_RECORD: LogRecord = Object.freeze({ topic: "", partition: -1, offset: -1, timestamp: 0, key: null, value: null, headers: [] });

/** The input whose head has the lowest timestamp; undefined where an input may still have an earlier one to fetch. */
function earliest(inputs: readonly TaskInput[]): TaskInput | undefined {
  let best: TaskInput | undefined;
  let bestTime = Number.POSITIVE_INFINITY;
  for (const input of inputs) {
    const head = input.head;
    if (head === undefined) {
      if (input.fetchOffset < input.endOffset) return undefined;
      continue;
    }
    if (best === undefined || head.timestamp < bestTime) {
      best = input;
      bestTime = head.timestamp;
    }
  }
  return best;
}

/** The steps of one sub-topology over one partition. Synchronous: records go in, rows and state changes wait for the commit. */
export class Task {
  readonly id: string;
  readonly inputs: readonly TaskInput[];
  readonly #globals: readonly TaskInput[];
  readonly #streams: readonly TaskInput[];
  readonly #isAlone: boolean;
  readonly #context: TaskContext;
  readonly #links: CompiledPart;
  readonly #takesAll: boolean;
  #lastTopic: string | undefined;
  #lastLink: Link | undefined;
  #state: TaskState = "created";
  #uncommitted = 0;
  #expireTo: readonly number[] = [];

  constructor(options: TaskOptions) {
    const { id, backend, snapshot } = options;
    this.id = id;
    const scratch = new ByteWriter(1 << 16);
    const timers = new Timers(backend, scratch, options.wallClock ?? 0);
    this.inputs = options.inputs;
    this.#globals = options.inputs.filter(({ isGlobal }) => isGlobal);
    this.#streams = options.inputs.filter(({ isGlobal }) => !isGlobal);
    this.#isAlone = options.inputs.length === 1;
    const { links, context } = compilePart(options.part, (deadLetterLink) => ({
      taskId: id,
      topology: options.topology,
      origin: NO_RECORD,
      flushing: false,
      counters: makeCounters(snapshot?.counters),
      backend,
      scratch,
      cacheEntriesMax: options.cacheEntriesMax,
      partitionCount: options.partitionCount,
      tables: [timers.table],
      windows: [],
      sinks: [],
      streamTimes: { ...snapshot?.streamTimes },
      flushes: [],
      calls: [],
      stores: new Map(),
      timers,
      undo: new UndoLog(),
      getters: new Map(),
      timeFollowers: new Map(),
      globalChanges: new Map(),
      injected: (timestamp) => this.#injectedOrigin(timestamp),
      deadLetterLink,
    }));
    this.#links = links;
    this.#takesAll = options.takesAll === true;
    this.#context = context;
  }

  get state(): TaskState {
    return this.#state;
  }
  /** Records processed since the last flush. */
  get uncommitted(): number {
    return this.#uncommitted;
  }
  /** Bytes of encoded rows that wait for the next commit. */
  get rowBytes(): number {
    let bytes = 0;
    for (const sink of this.#context.sinks) bytes += sink.bytes;
    return bytes;
  }
  get counters(): Readonly<TaskCounters> {
    return this.#context.counters;
  }
  get streamTimes(): Readonly<Record<string, number>> {
    return this.#context.streamTimes;
  }
  get windowsOpen(): number {
    return this.#context.windows.reduce((sum, { table }) => sum + table.bucketCount, 0);
  }

  /** Moves to another state; a move that the table does not know is a bug. */
  enter(state: TaskState): void {
    invariant(TASK_TRANSITIONS[this.#state].includes(state), `task ${this.id} cannot go from ${this.#state} to ${state}`);
    this.#state = state;
  }

  /** Whether global tables are read to the ends that were last seen: before that, nothing that may ask them goes on. */
  get isReady(): boolean {
    return this.#globals.length === 0 || this.#globals.every(({ head, fetchOffset, endOffset }) => head === undefined && fetchOffset >= endOffset);
  }

  /** Inputs of global tables first, up to the ends that were last seen. */
  #choose(): TaskInput | undefined {
    if (this.#isAlone) return this.inputs[0];
    if (this.#globals.length === 0) return earliest(this.#streams);
    if (!this.isReady) return earliest(this.#globals);
    return earliest(this.#streams);
  }

  /** Processes up to `recordsMax` fetched records, lowest timestamp first, and tells how many it did. Throws what a `fail` policy throws. */
  process(recordsMax: number): number {
    invariant(this.#state === "running", `task ${this.id} processes only while running, not ${this.#state}`);
    const context = this.#context;
    let done = 0;
    while (done < recordsMax && !this.#isFull()) {
      const input = this.#choose();
      const record = input?.head;
      if (input === undefined || record === undefined) break;
      enter(context, record);
      context.counters.read++;
      this.#linkOf(record.topic)(record);
      input.advance();
      done++;
    }
    this.#uncommitted += done;
    return done;
  }

  #linkOf(topic: string): Link {
    if (topic === this.#lastTopic) return this.#lastLink as Link;
    const link = this.#links.get(topic) as Link;
    this.#lastTopic = topic;
    this.#lastLink = link;
    return link;
  }

  #isFull(): boolean {
    const { calls } = this.#context;
    return calls.length > 0 && !this.#takesAll && calls.some(({ isFull }) => isFull);
  }

  /** The asynchronous steps, whose calls somebody has to make: see `AsyncStep.take`. */
  get asyncSteps(): readonly AsyncStep[] {
    return this.#context.calls;
  }
  /** Records of asynchronous steps whose result has not left yet. */
  get pendingCalls(): number {
    return this.#context.calls.reduce((sum, { pending }) => sum + pending, 0);
  }

  /** Takes what came of a call, between records, and tells how many results left with it. Throws what a `fail` policy throws. */
  settle(call: PendingCall, outcome: Outcome): number {
    invariant(this.#state === "running", `task ${this.id} takes results only while running, not ${this.#state}`);
    const count = call.step.settle(call, outcome);
    this.#uncommitted += count;
    return count;
  }

  /** When a punctuator is due by the wall clock; infinite where none waits for it. */
  get punctuationDue(): number {
    return this.isReady ? this.#context.timers.due : Number.POSITIVE_INFINITY;
  }

  /**
   * Looks at the wall clock, in epoch milliseconds: makes the calls of punctuators that are due and tells how many those were. To be called between records, also
   * where none come. What they do is committed like what records do. Throws what a `fail` policy throws.
   */
  punctuate(nowMs: number): number {
    invariant(this.#state === "running", `task ${this.id} looks at the clock only while running, not ${this.#state}`);
    const { timers } = this.#context;
    const isSetBack = nowMs < timers.wallClock;
    timers.wallClock = nowMs;
    if (timers.isIdle || !this.isReady || (timers.due > nowMs && !isSetBack)) return 0;
    enter(this.#context, this.#injectedOrigin(nowMs));
    const count = timers.look(nowMs);
    this.#uncommitted += count;
    return count;
  }

  /** What comes of no record stands at the place of the last record of the first stream. */
  #injectedOrigin(timestamp: number): InjectedOrigin {
    const { topic, partition, position } = (this.#streams[0] ?? this.inputs[0]) as TaskInput;
    return { topic, partition, offset: Math.max(0, position - 1), timestamp, key: null, value: null, headers: [], injected: true, path: undefined };
  }

  /** Makes held-back rows leave, and takes all rows since the last call: the first step of a commit. */
  takeRows(): UnsealedBatch[] {
    const context = this.#context;
    context.flushing = true;
    for (const { flush } of context.flushes) flush();
    context.flushing = false;
    this.#uncommitted = 0;
    const batches = context.sinks.flatMap((sink) => sink.take());
    const { written } = context.counters;
    for (const { spec, rowCount } of batches) written[spec.target] = (written[spec.target] ?? 0) + rowCount;
    return batches;
  }

  /** Writes the stores' changes into the batch. */
  flushState(batch: StateBatch): void {
    for (const table of this.#context.tables) table.flush(batch);
    for (const { table } of this.#context.windows) table.flush(batch);
    // The bounds of this commit's stream time: by the time it is durable the task has gone on, and a crash must not find windows gone that the
    // committed stream time still holds open.
    this.#expireTo = this.#context.windows.map(({ startBound }) => startBound());
  }

  /** The batch of the last `flushState` is durable. Forgets windows that are closed by the stream time that was committed with it. */
  async committed(): Promise<void> {
    const { tables, windows } = this.#context;
    const walks = tables.map((table) => table.committed());
    for (const { table } of windows) table.committed();
    await Promise.all([...walks, ...windows.map(({ table }, index) => table.expire(this.#expireTo[index] ?? Number.NEGATIVE_INFINITY))]);
  }
}
