/**
 * The loop that moves records: fetch, process, commit, hand over. All awaits of the engine are here and in the lanes.
 *
 * A commit's write goes on while the task processes the next records (facts: 24 % of a plain loop was waiting for it); the next commit waits for it.
 */
import type { OutboxEntry } from "../commit/outbox.ts";
import { TopologyError, topicPartitionName } from "../model/index.ts";
import { isClusterLog, turnOf, type SourceLog } from "../port/index.ts";
import type { TaskInput } from "../task/input.ts";
import { FrameRun, listRun, type RecordRun } from "../task/record-run.ts";
import { AsyncCalls } from "./async-calls.ts";
import type { Lane } from "./lane.ts";
import type { OpenedTask } from "./open-task.ts";
import type { ResolvedOptions } from "./options.ts";
import { taskError } from "./task-error.ts";

const SLICE_RECORDS = 2_000;
const FETCH_RECORDS_MAX = 5_000;
const FETCH_BYTES_MAX = 4 * 1_048_576;
/** Rows of a task that are committed without waiting for more: what a commit holds in memory several times over. */
const COMMIT_ROW_BYTES = 8 * 1_048_576;
const FETCH_RETRIES_MAX = 10;
const IDLE_WAIT_MS = 1_000;
const IDLE_COMMIT_MS = 500;

async function fetchRun(log: SourceLog, { topic, partition, fetchOffset }: TaskInput, limits: { readonly recordsMax: number; readonly bytesMax: number }): Promise<{ run: RecordRun; nextOffset: number; endOffset: number }> {
  if (log.fetchFrames === undefined) {
    const { records, nextOffset, endOffset } = await log.fetch(topic, partition, fetchOffset, limits);
    return { run: listRun(records), nextOffset, endOffset };
  }
  const { batches, nextOffset, endOffset } = await log.fetchFrames(topic, partition, fetchOffset, limits);
  return { run: new FrameRun(topic, partition, batches, fetchOffset), nextOffset, endOffset };
}

interface WorkerTask {
  readonly opened: OpenedTask;
  readonly fetches: Map<TaskInput, Promise<void>>;
  /** The calls of its asynchronous steps. */
  readonly calls: AsyncCalls;
  commit: Promise<void> | undefined;
  /** When the first uncommitted record was processed. */
  dirtySince: number | undefined;
  /** When it last processed or committed something. */
  movedAt: number;
  /** Asked to go: with a last commit, or as it stands. */
  leaving: { readonly commit: boolean; readonly done: () => void } | undefined;
  /** Its last commit failed: nothing of its memory may be used any more. */
  failed: boolean;
  /** What it seals from now on stays in its outbox, for whoever has the task next. */
  retired: boolean;
}

/** What becomes of failures. */
export interface WorkerHandlers {
  /** The instance cannot go on. */
  readonly onFailure: (error: TopologyError) => void;
  /** A task's commit or store failed: true where that task alone is opened again. */
  readonly onTaskFailure?: (opened: OpenedTask, error: TopologyError) => boolean;
}

export class Worker {
  readonly #tasks: WorkerTask[];
  readonly #lanes: ReadonlyMap<string, Lane>;
  readonly #options: ResolvedOptions;
  readonly #handlers: WorkerHandlers;
  readonly #isRemote: boolean;
  #stopping = false;
  #ended = false;
  #loop: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  #woken = false;
  readonly #drains: (() => void)[] = [];

  constructor(opened: readonly OpenedTask[], lanes: ReadonlyMap<string, Lane>, options: ResolvedOptions, handlers: WorkerHandlers) {
    this.#lanes = lanes;
    this.#options = options;
    this.#handlers = handlers;
    this.#isRemote = isClusterLog(options.log);
    this.#tasks = opened.map((task) => this.#take(task));
  }

  #take(opened: OpenedTask): WorkerTask {
    return { opened, fetches: new Map(), calls: new AsyncCalls(opened.task, this.#options.clock, () => this.wake()), commit: undefined, dirtySince: undefined, movedAt: this.#options.clock.now(), leaving: undefined, failed: false, retired: false };
  }

  /** Takes a running task on. */
  add(opened: OpenedTask): void {
    this.#tasks.push(this.#take(opened));
    this.wake();
  }

  /**
   * Hands over nothing of a task any more, though it may commit once more. Comes before its waiting batches are dropped: a later batch must not overtake those,
   * which its next owner will send.
   */
  retire(opened: OpenedTask): void {
    for (const task of this.#tasks) if (task.opened === opened) task.retired = true;
  }

  /** Lets go of a task, between two of its records; with `commit`, what it has processed is committed first. A task that is not here is no error. */
  remove(opened: OpenedTask, options: { readonly commit: boolean }): Promise<void> {
    const task = this.#tasks.find((other) => other.opened === opened);
    if (task === undefined) return Promise.resolve();
    return new Promise((done) => {
      task.leaving = { commit: options.commit, done };
      this.wake();
      if (this.#loop === undefined || this.#ended) void this.#letGo(task);
    });
  }

  async #letGo(task: WorkerTask): Promise<void> {
    const { leaving } = task;
    task.calls.stop();
    await task.commit;
    if (leaving?.commit === true) await this.#finish(task);
    const index = this.#tasks.indexOf(task);
    if (index >= 0) this.#tasks.splice(index, 1);
    leaving?.done();
  }

  /** A last commit of what a task has processed and acknowledged. */
  async #finish(task: WorkerTask): Promise<void> {
    task.calls.stop();
    await task.commit;
    const { task: running, committer } = task.opened;
    if (task.failed || running.state !== "running") return;
    if (running.uncommitted > 0 || committer.wantsIdleCommit(running)) await this.#commit(task);
    await task.commit;
  }

  start(): void {
    const unsubscribe = this.#options.log.onAppend(() => this.wake());
    this.#loop = this.#run()
      .catch((cause: unknown) => this.#fail(cause))
      .finally(() => {
        this.#ended = true;
        unsubscribe();
      });
  }

  /** Ends a pause: something was appended, delivered or asked for. */
  wake(): void {
    this.#woken = true;
    this.#wake?.();
  }

  /** Resolves once everything in the log is processed, committed and delivered. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#drains.push(resolve);
      this.wake();
    });
  }

  /** Finishes what was processed with a commit and ends the loop. After a failure nothing more is committed. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.wake();
    await this.#loop;
    await Promise.all(this.#tasks.flatMap((task) => [...task.fetches.values(), task.commit ?? Promise.resolve()]).map((work) => work.catch(() => {})));
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      this.#woken = false;
      let progressed = false;
      for (const task of [...this.#tasks]) {
        if (this.#stopping) break;
        if (task.leaving !== undefined) {
          await this.#letGo(task);
          progressed = true;
        } else if (!task.failed && (await this.#guarded(task))) progressed = true;
      }
      // Timers, sockets and the status server get their turn.
      await turnOf(this.#options.clock);
      if (progressed || this.#stopping) continue;
      if (this.#drains.length > 0 && (await this.#isDrained())) {
        for (const resolve of this.#drains.splice(0)) resolve();
      }
      await this.#pause();
    }
    for (const task of [...this.#tasks]) {
      if (task.leaving !== undefined) await this.#letGo(task);
      else await this.#finish(task);
    }
  }

  /** A turn whose failure may be the task's own. */
  async #guarded(task: WorkerTask): Promise<boolean> {
    try {
      return await this.#step(task);
    } catch (cause) {
      if (cause instanceof TopologyError && cause.code === "STATE_CORRUPT" && this.#isOwnFailure(task, cause)) return true;
      throw cause;
    }
  }

  #isOwnFailure(task: WorkerTask, error: TopologyError): boolean {
    if (task.failed) return true;
    if (this.#handlers.onTaskFailure?.(task.opened, error) !== true) return false;
    task.failed = true;
    task.calls.stop();
    return true;
  }

  /** One turn of a task: true where it moved. */
  async #step(task: WorkerTask): Promise<boolean> {
    const { clock, commitIntervalMs, commitRecordsMax } = this.#options;
    let processed = 0;
    if (!this.#isOutboxFull()) {
      await this.#fill(task);
      processed = task.opened.task.punctuate(clock.now()) + task.calls.step() + task.opened.task.process(Math.min(SLICE_RECORDS, commitRecordsMax));
      if (processed > 0) task.dirtySince ??= clock.now();
    }
    const { uncommitted } = task.opened.task;
    if (processed > 0) task.movedAt = clock.now();
    if (uncommitted === 0 || task.dirtySince === undefined) {
      if (processed > 0 || task.commit !== undefined) return processed > 0;
      const isDue = this.#drains.length > 0 || clock.now() - task.movedAt >= IDLE_COMMIT_MS;
      if (isDue && task.opened.committer.wantsIdleCommit(task.opened.task)) await this.#commit(task);
      return false;
    }
    const isIdle = processed === 0 && this.#drains.length > 0;
    if (uncommitted >= commitRecordsMax || task.opened.task.rowBytes >= COMMIT_ROW_BYTES || isIdle || clock.now() - task.dirtySince >= commitIntervalMs) {
      await this.#commit(task);
      return true;
    }
    return processed > 0;
  }

  #isOutboxFull(): boolean {
    let bytes = 0;
    for (const lane of this.#lanes.values()) {
      if (lane.batches >= this.#options.outboxBatchesMax) return true;
      bytes += lane.bytes;
    }
    return bytes >= this.#options.outboxBytesMax;
  }

  /** Waits for records only where an input has none; otherwise the next fetch runs beside the processing. */
  async #fill(task: WorkerTask): Promise<void> {
    for (const input of task.opened.task.inputs) {
      if (input.head !== undefined && !input.wantsFetch) continue;
      if (input.head !== undefined && input.fetchOffset >= input.endOffset) continue;
      let fetch = task.fetches.get(input);
      if (fetch === undefined) {
        fetch = this.#fetch(input).finally(() => task.fetches.delete(input));
        task.fetches.set(input, fetch);
        // Whoever awaits it sees the error; until then it must not count as unhandled.
        fetch.catch((cause: unknown) => {
          if (!this.#isRemote || task.failed || task.leaving !== undefined || this.#stopping) return;
          const error = taskError(cause);
          if (!this.#isOwnFailure(task, error)) this.#fail(error);
        });
      }
      // Another machine's log may take its time: other tasks go on, and the records wake the loop.
      if (input.head === undefined && !this.#isRemote) await fetch;
    }
  }

  async #fetch(input: TaskInput): Promise<void> {
    const { log, clock, logger } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        const limits = { recordsMax: FETCH_RECORDS_MAX, bytesMax: FETCH_BYTES_MAX };
        const from = input.fetchOffset;
        const { run, nextOffset, endOffset } = await fetchRun(log, input, limits);
        const hadMore = nextOffset > from;
        input.offer(run, nextOffset, endOffset);
        if (this.#isRemote && hadMore) this.wake();
        return;
      } catch (cause) {
        if (!(cause instanceof TopologyError) || !cause.retriable || attempt >= FETCH_RETRIES_MAX) throw cause;
        logger.warn({ input: topicPartitionName(input.topic, input.partition), code: cause.code, error: cause.message }, "fetch failed, will be tried again");
        await clock.sleep(Math.min(100 * 2 ** attempt, 5_000));
      }
    }
  }

  async #commit(task: WorkerTask): Promise<void> {
    await task.commit;
    // Where the one before has failed, the task's memory is ahead of its store.
    if (task.failed || task.opened.task.state !== "running") return;
    task.dirtySince = undefined;
    task.movedAt = this.#options.clock.now();
    const { task: running, committer } = task.opened;
    const work = committer.commit(running).then((entries) => {
      if (!task.retired) this.handOver(task.opened, entries, false);
      task.movedAt = this.#options.clock.now();
    });
    const failed = (cause: unknown): void => {
      const error = taskError(cause);
      if (!this.#isOwnFailure(task, error)) this.#fail(error);
    };
    task.commit = work.catch(failed).finally(() => {
      task.commit = undefined;
      this.wake();
    });
  }

  /** Gives a task's sealed batches to the lanes of their sinks; `uncertain` where they may have been sent in a former life. Throws SINK_MISMATCH. */
  handOver({ committer }: OpenedTask, entries: readonly OutboxEntry[], uncertain: boolean): void {
    for (const entry of entries) this.#lane(entry.batch.connector, entry.batch.target).push(entry, (done) => committer.acknowledge(done), uncertain);
  }

  #lane(connector: string, target: string): Lane {
    const lane = this.#lanes.get(`${connector}:${target}`);
    if (lane !== undefined) return lane;
    throw new TopologyError("SINK_MISMATCH", `the outbox holds rows for ${connector} ${target}, which the topology no longer names`, {
      place: `${connector}:${target}`,
      cure: "run the former version until its outbox is empty, or reset the topology",
    });
  }

  async #isDrained(): Promise<boolean> {
    for (const { opened, commit } of this.#tasks) {
      if (commit !== undefined || opened.task.uncommitted > 0 || opened.task.pendingCalls > 0) return false;
      for (const input of opened.task.inputs) {
        const { end } = await this.#options.log.offsets(input.topic, input.partition);
        if (input.position < end) {
          input.endOffset = Math.max(input.endOffset, end);
          // Behind a full outbox nothing is read: asking the log again and again would change nothing until its sink takes something, which wakes the loop.
          if (!this.#isOutboxFull()) this.#woken = true;
          return false;
        }
      }
    }
    // Delivered rows may have gone to topics that are read here, so ends are looked at once more behind idle lanes.
    if (![...this.#lanes.values()].every((lane) => lane.isIdle)) return false;
    for (const { opened } of this.#tasks) {
      for (const input of opened.task.inputs) if (input.position < (await this.#options.log.offsets(input.topic, input.partition)).end) return false;
    }
    return true;
  }

  /** Sleeps until woken, or until the next commit is due. */
  async #pause(): Promise<void> {
    const { clock, commitIntervalMs } = this.#options;
    const now = clock.now();
    let waitMs = IDLE_WAIT_MS;
    for (const { dirtySince, failed, opened } of this.#tasks) {
      if (failed) continue;
      waitMs = Math.min(waitMs, Math.max(0, opened.task.punctuationDue - now));
      if (dirtySince !== undefined) waitMs = Math.min(waitMs, Math.max(0, dirtySince + commitIntervalMs - now));
    }
    if (this.#woken || this.#stopping) return;
    const abort = new AbortController();
    // With a reason given, no DOMException is made, nor its stack.
    this.#wake = () => abort.abort("woken");
    await clock.sleep(waitMs, abort.signal);
    this.#wake = undefined;
  }

  #fail(cause: unknown): void {
    this.#stopping = true;
    const error = taskError(cause);
    for (const { opened, calls } of this.#tasks) {
      calls.stop();
      if (opened.task.state === "running") opened.task.enter("failed");
    }
    this.wake();
    if (error.code === "STATE_CORRUPT") {
      // Which task's store it was is in the error's place only; all are checked value by value when they are rebuilt.
      void Promise.all(this.#tasks.flatMap(({ opened }) => (opened.dir === null ? [] : [this.#options.disk.markDamaged(opened.dir, error.message)])))
        .catch(() => {})
        .then(() => this.#handlers.onFailure(error));
      return;
    }
    this.#handlers.onFailure(error);
  }
}
