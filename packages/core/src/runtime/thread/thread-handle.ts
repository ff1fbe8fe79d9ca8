import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker as NodeWorker } from "node:worker_threads";
import { makeCounters, TopologyError } from "../../model/index.ts";
import type { OutboxEntry } from "../../commit/outbox.ts";
import type { Logger, SourceLog } from "../../port/index.ts";
import type { ThreadData } from "./entry.ts";
import { type ReadPage, remoteReads, type TaskReads } from "../task-reads.ts";
import { errorOf, errorParts, type LogCall, type PartStatus, type ThreadQuery, type ThreadReport, type ThreadRequest, type ThreadRows } from "./message.ts";

const QUERY_TIMEOUT_MS = 5_000;
const CLOSE_TIMEOUT_MS = 10_000;
const EMPTY: PartStatus = { tasks: [], counters: { ...makeCounters(), commits: 0 }, windowsOpen: 0 };
// Beside this file, whichever language it is in by now.
const isSource = import.meta.url.endsWith(".ts");
const ENTRY = new URL(isSource ? "./entry.ts" : "./entry.js", import.meta.url);
/** Records die young: 24 MB of room for them cost no more CPU than the 96 MB that V8 would take, a thread each. */
const YOUNG_MB = 24;
const SOURCE_CONDITION = "--conditions=@iot-topology/source";
// In a checkout packages resolve to their sources, in a thread too: hooks that say so are those of one thread. Otherwise a thread inherits this one's arguments.
const EXEC_ARGV: { readonly execArgv?: string[] } = isSource && !process.execArgv.includes(SOURCE_CONDITION) ? { execArgv: [SOURCE_CONDITION] } : {};

/** What becomes of a thread's reports. */
export interface ThreadHandlers {
  readonly log: SourceLog;
  readonly logger: Logger;
  readonly onBatch: (entry: OutboxEntry, acknowledge: () => Promise<void>, uncertain: boolean) => void;
  readonly onFailure: (error: TopologyError) => void;
}

interface Moment {
  readonly reached: Promise<void>;
  readonly reach: () => void;
}

function moment(): Moment {
  let reach = (): void => {};
  const reached = new Promise<void>((resolve) => (reach = resolve));
  return { reached, reach };
}

/** A thread as the instance sees it. */
export class ThreadHandle {
  readonly taskIds: ReadonlySet<string>;
  readonly #thread: NodeWorker;
  readonly #handlers: ThreadHandlers;
  readonly #queries: MessagePort;
  readonly #answered: Int32Array;
  readonly #compared: Moment = moment();
  readonly #opened: Moment = moment();
  readonly #finished: Moment = moment();
  readonly #exited: Moment = moment();
  readonly #drains = new Map<number, (status: PartStatus) => void>();
  readonly #reads = new Map<number, { readonly resolve: (page: ReadPage) => void; readonly reject: (error: TopologyError) => void }>();
  #nextDrain = 1;
  #nextRead = 1;
  #nextQuery = 1;
  #status: PartStatus = EMPTY;
  #failure: TopologyError | undefined;
  #closing = false;
  #hasEnded = false;

  constructor(data: Omit<ThreadData, "queries" | "answered">, handlers: ThreadHandlers) {
    this.taskIds = new Set(data.places.map(({ part, partition }) => `${part}_${partition}`));
    this.#handlers = handlers;
    const { port1, port2 } = new MessageChannel();
    this.#queries = port1;
    this.#queries.unref();
    this.#answered = new Int32Array(new SharedArrayBuffer(4));
    const workerData: ThreadData = { ...data, queries: port2, answered: this.#answered };
    this.#thread = new NodeWorker(ENTRY, { workerData, transferList: [port2], ...EXEC_ARGV, resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB }, name: "iot-topology tasks" });
    this.#thread.on("message", (report: ThreadReport) => this.#take(report));
    this.#thread.on("error", (cause) => this.#fail(errorOf(errorParts(cause))));
    this.#thread.on("exit", () => this.#end());
  }

  get status(): PartStatus {
    return this.#status;
  }

  #tell(request: ThreadRequest): void {
    this.#thread.postMessage(request);
  }

  #take(report: ThreadReport): void {
    if ("status" in report) this.#status = report.status;
    switch (report.kind) {
      case "compared":
        return this.#compared.reach();
      case "opened":
        return this.#opened.reach();
      case "finished":
        return this.#finished.reach();
      case "drained":
        this.#drains.get(report.id)?.(report.status);
        return void this.#drains.delete(report.id);
      case "page":
        this.#reads.get(report.id)?.resolve(report.page);
        return void this.#reads.delete(report.id);
      case "read-refused":
        this.#reads.get(report.id)?.reject(errorOf(report.error));
        return void this.#reads.delete(report.id);
      case "call":
        return void this.#answer(report.id, report.call, report.values);
      case "batch": {
        const { batch, entry, uncertain } = report;
        return this.#handlers.onBatch(entry, () => this.#acknowledge(batch), uncertain);
      }
      case "failed":
        return this.#fail(errorOf(report.error));
      case "logged":
        return this.#handlers.logger[report.level](report.fields, report.message);
      default:
        return;
    }
  }

  /** Not waited for: an acknowledgement that is lost means that the batch is delivered again and found to be there. */
  #acknowledge(batch: number): Promise<void> {
    this.#tell({ kind: "acknowledged", batch });
    return Promise.resolve();
  }

  async #answer(id: number, call: LogCall, values: readonly unknown[]): Promise<void> {
    try {
      const { log } = this.#handlers;
      const calls = log as unknown as Record<LogCall, (...values: readonly unknown[]) => Promise<unknown>>;
      this.#tell({ kind: "answer", id, value: await calls[call](...values) });
    } catch (cause) {
      this.#tell({ kind: "refusal", id, error: errorParts(cause) });
    }
  }

  #fail(error: TopologyError): void {
    this.#failure ??= error;
    this.#compared.reach();
    this.#opened.reach();
    this.#handlers.onFailure(error);
  }

  #end(): void {
    this.#hasEnded = true;
    this.#queries.close();
    if (!this.#closing) this.#fail(this.#failure ?? new TopologyError("TASK_FAILED", "a thread ended without being told to", { cure: "this looks like a bug: please report it with the log" }));
    for (const { reject } of this.#reads.values()) reject(new TopologyError("STORE_ELSEWHERE", "the thread that has the store has ended", { cure: "ask again", retriable: true }));
    this.#reads.clear();
    for (const each of [this.#compared, this.#opened, this.#finished, this.#exited]) each.reach();
  }

  /** Resolves once the thread has compared its states with the topology, and changed none; rejects with what kept it from that. */
  async compared(): Promise<void> {
    await this.#compared.reached;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Lets the thread make its tasks of the states; rejects with what kept it from that. */
  async begin(): Promise<void> {
    this.#tell({ kind: "begin" });
    await this.#opened.reached;
    if (this.#failure !== undefined) throw this.#failure;
  }

  run(): void {
    this.#tell({ kind: "run" });
  }
  wake(): void {
    this.#tell({ kind: "wake" });
  }

  /** How the thread stands when it has processed, committed and seen delivered all that the log held. */
  drained(): Promise<PartStatus> {
    return new Promise((resolve) => {
      const id = this.#nextDrain++;
      this.#drains.set(id, resolve);
      this.#tell({ kind: "drain", id });
    });
  }

  /** A last commit; resolves when its batches have come over. */
  async finish(): Promise<void> {
    this.#tell({ kind: "finish" });
    await this.#finished.reached;
  }

  /** Closes the thread's state and waits for its end. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#tell({ kind: "close" });
    const timer = setTimeout(() => void this.#thread.terminate(), CLOSE_TIMEOUT_MS);
    await this.#exited.reached;
    clearTimeout(timer);
  }

  #page(id: number, request: ThreadRequest): Promise<ReadPage> {
    if (this.#hasEnded) return Promise.reject(new TopologyError("STORE_ELSEWHERE", "the thread that has the store has ended", { cure: "start the instance again", retriable: true }));
    return new Promise((resolve, reject) => {
      this.#reads.set(id, { resolve, reject });
      this.#tell(request);
    });
  }

  /** Reads the stores of one of the thread's tasks. */
  reads(task: string): TaskReads {
    return remoteReads({
      begin: (request) => {
        const id = this.#nextRead++;
        return { id, page: this.#page(id, { kind: "read", id, task, request }) };
      },
      next: (id) => this.#page(id, { kind: "read-next", id }),
      end: (id) => this.#tell({ kind: "read-end", id }),
    });
  }

  /** Rows of the thread's tasks. Stands still until they are there, as an instance's own stores do. Throws what the query throws, and STORE_ELSEWHERE after 5 s. */
  query(query: Omit<ThreadQuery, "id">): readonly Readonly<Record<string, unknown>>[] {
    const id = this.#nextQuery++;
    this.#queries.postMessage({ ...query, id } satisfies ThreadQuery);
    const until = performance.now() + QUERY_TIMEOUT_MS;
    for (;;) {
      const waitMs = until - performance.now();
      if (waitMs <= 0 || Atomics.wait(this.#answered, 0, 0, waitMs) === "timed-out") {
        throw new TopologyError("STORE_ELSEWHERE", `the thread that has store ${query.store} does not answer`, { place: query.store, cure: "ask again", retriable: true });
      }
      // Before the look, so that rows that come behind it are told of.
      Atomics.store(this.#answered, 0, 0);
      for (let found = receiveMessageOnPort(this.#queries); found !== undefined; found = receiveMessageOnPort(this.#queries)) {
        const rows = found.message as ThreadRows;
        if (rows.id !== id) continue;
        if ("error" in rows) throw errorOf(rows.error);
        return rows.rows;
      }
    }
  }
}
