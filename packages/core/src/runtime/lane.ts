import type { OutboxEntry } from "../commit/outbox.ts";
import { TopologyError } from "../model/index.ts";
import { type Clock, failpoint, type InputRange, type Logger, type Sink } from "../port/index.ts";
import type { OutboxStatus } from "./status.ts";

interface LaneItem {
  readonly entry: OutboxEntry;
  readonly acknowledge: (entry: OutboxEntry) => Promise<void>;
  uncertain: boolean;
  /** Its task was given up: whoever has it now delivers. */
  dropped: boolean;
}

/** Where a worker's sealed batches go. */
export interface Lane {
  /** What waits to be acknowledged. */
  readonly batches: number;
  readonly bytes: number;
  readonly isIdle: boolean;
  /** Takes a batch; `acknowledge` is called once it is delivered. `uncertain` where it may have been sent in a former life. */
  push(entry: OutboxEntry, acknowledge: (entry: OutboxEntry) => Promise<void>, uncertain: boolean): void;
}

/** How to end the tries of one piece of work. */
type Ending = "done" | "dropped" | "ended";

const BACKOFF_FIRST_MS = 100;
const BACKOFF_LAST_MS = 10_000;

/** Delivers the sealed batches of all tasks to one sink: one at a time, in order, each until it is acknowledged. */
export class DeliveryLane implements Lane {
  readonly target: string;
  readonly #sink: Sink;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #onChange: () => void;
  readonly #onFailure: (error: TopologyError) => void;
  readonly #mayDeliver: () => boolean;
  readonly #queue: LaneItem[] = [];
  readonly #abort = new AbortController();
  #bytes = 0;
  #delivered = 0;
  #uncertain = 0;
  #lastError: string | null = null;
  #running: Promise<void> | undefined;
  #unsettled = false;

  constructor(options: {
    readonly target: string;
    readonly sink: Sink;
    readonly clock: Clock;
    readonly logger: Logger;
    /** Called after each acknowledgement and when the lane comes to rest. */
    readonly onChange: () => void;
    readonly onFailure: (error: TopologyError) => void;
    /** False while this process may have lost its tasks to another without knowing; always true when absent. */
    readonly mayDeliver?: () => boolean;
  }) {
    this.target = options.target;
    this.#sink = options.sink;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#onChange = options.onChange;
    this.#onFailure = options.onFailure;
    this.#mayDeliver = options.mayDeliver ?? (() => true);
  }

  get batches(): number {
    return this.#queue.length;
  }
  get bytes(): number {
    return this.#bytes;
  }
  /** True where nothing waits and the sink's upkeep is done. */
  get isIdle(): boolean {
    return this.#queue.length === 0 && this.#running === undefined && !this.#unsettled;
  }

  push(entry: OutboxEntry, acknowledge: (entry: OutboxEntry) => Promise<void>, uncertain: boolean): void {
    this.#queue.push({ entry, acknowledge, uncertain: uncertain || entry.replayed, dropped: false });
    this.#bytes += entry.batch.bytes.length;
    this.#unsettled = true;
    this.start();
  }

  /** Forgets what waits of a task that was given up; resolves when nothing of it is on its way any more, or after a while. */
  async drop(taskId: string, waitMs: number): Promise<void> {
    const isOfTask = (item: LaneItem): boolean => item.entry.batch.task === taskId;
    const first = this.#queue[0];
    for (const item of this.#queue) if (isOfTask(item)) item.dropped = true;
    for (let index = this.#queue.length - 1; index > 0; index--) {
      const item = this.#queue[index] as LaneItem;
      if (!item.dropped) continue;
      this.#queue.splice(index, 1);
      this.#bytes -= item.entry.batch.bytes.length;
    }
    if (first === undefined || !isOfTask(first)) return;
    const until = this.#clock.now() + waitMs;
    while (this.#queue[0] === first && this.#clock.now() < until) await this.#clock.sleep(5);
  }

  /** Whether the target may hold rows of these inputs already; it may where it cannot be asked. */
  async mayHold(inputs: readonly InputRange[]): Promise<boolean> {
    try {
      return (await this.#sink.mayHold?.(inputs)) ?? true;
    } catch (cause) {
      this.#logger.warn({ sink: this.target, error: String(cause) }, "the target could not be asked what it holds; what is delivered is checked");
      return true;
    }
  }

  /** Asks for upkeep even where nothing was delivered, as after a start. */
  requestSettle(): void {
    this.#unsettled = true;
    this.start();
  }

  start(): void {
    if (this.#running !== undefined || this.#abort.signal.aborted) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      this.#onChange();
      if (!this.#abort.signal.aborted && (this.#queue.length > 0 || this.#unsettled)) this.start();
    });
  }

  async #run(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      const item = this.#queue[0];
      if (item === undefined) {
        if (!this.#unsettled) return;
        this.#unsettled = false;
        if ((await this.#attempt(() => this.#sink.settle(), "upkeep", () => false)) === "ended") return;
        continue;
      }
      const ending = await this.#attempt(() => this.#deliver(item), item.entry.batch.token, () => item.dropped);
      if (ending === "ended") return;
      this.#queue.shift();
      this.#bytes -= item.entry.batch.bytes.length;
      if (ending === "done") this.#delivered++;
      this.#onChange();
    }
  }

  async #deliver(item: LaneItem): Promise<void> {
    failpoint("deliver.before-send");
    if (!this.#mayDeliver()) {
      throw new TopologyError("LEASE_EXPIRED", "the group has not acknowledged this process for longer than a session: its tasks may be another's by now", {
        place: this.target,
        retriable: true,
      });
    }
    const uncertain = item.uncertain;
    if (uncertain) this.#uncertain++;
    // From here on the rows may arrive whether or not an answer does.
    item.uncertain = true;
    await this.#sink.deliver(item.entry.batch, { uncertain });
    failpoint("deliver.after-send");
    await item.acknowledge(item.entry);
    failpoint("deliver.after-acknowledge");
  }

  /** Tries until it works, with growing pauses; `ended` where the lane is being stopped or the sink refused for good. */
  async #attempt(work: () => Promise<void>, what: string, isDropped: () => boolean): Promise<Ending> {
    for (let pauseMs = BACKOFF_FIRST_MS; ; pauseMs = Math.min(pauseMs * 2, BACKOFF_LAST_MS)) {
      try {
        if (isDropped()) return "dropped";
        await work();
        this.#lastError = null;
        return "done";
      } catch (cause) {
        const error = cause instanceof TopologyError ? cause : new TopologyError("SINK_FAILED", String(cause), { place: this.target, cause });
        this.#lastError = `${error.code}: ${error.message}`;
        if (!error.retriable) {
          this.#abort.abort();
          this.#onFailure(error);
          return "ended";
        }
        this.#logger.warn({ sink: this.target, what, code: error.code, error: error.message, retryInMs: pauseMs }, "delivery failed, will be tried again");
        await this.#clock.sleep(pauseMs, this.#abort.signal);
        if (this.#abort.signal.aborted) return "ended";
      }
    }
  }

  /** Ends retries and waits for the call that is under way. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  status(): OutboxStatus {
    return { target: this.target, batches: this.#queue.length, bytes: this.#bytes, delivered: this.#delivered, uncertain: this.#uncertain, lastError: this.#lastError };
  }
}
