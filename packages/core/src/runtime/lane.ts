import type { OutboxEntry } from "../commit/outbox.ts";
import { TopologyError } from "../model/index.ts";
import { type Clock, failpoint, type Logger, type Sink } from "../port/index.ts";
import type { OutboxStatus } from "./status.ts";

interface LaneItem {
  readonly entry: OutboxEntry;
  readonly acknowledge: (entry: OutboxEntry) => Promise<void>;
  uncertain: boolean;
}

const BACKOFF_FIRST_MS = 100;
const BACKOFF_LAST_MS = 10_000;

/** Delivers the sealed batches of all tasks to one sink: one at a time, in order, each until it is acknowledged. */
export class DeliveryLane {
  readonly target: string;
  readonly #sink: Sink;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #onChange: () => void;
  readonly #onFailure: (error: TopologyError) => void;
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
  }) {
    this.target = options.target;
    this.#sink = options.sink;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#onChange = options.onChange;
    this.#onFailure = options.onFailure;
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
    this.#queue.push({ entry, acknowledge, uncertain: uncertain || entry.replayed });
    this.#bytes += entry.batch.bytes.length;
    this.#unsettled = true;
    this.start();
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
        if (!(await this.#attempt(() => this.#sink.settle(), "upkeep"))) return;
        continue;
      }
      if (!(await this.#attempt(() => this.#deliver(item), item.entry.batch.token))) return;
      this.#queue.shift();
      this.#bytes -= item.entry.batch.bytes.length;
      this.#delivered++;
      this.#onChange();
    }
  }

  async #deliver(item: LaneItem): Promise<void> {
    failpoint("deliver.before-send");
    const uncertain = item.uncertain;
    if (uncertain) this.#uncertain++;
    // From here on the rows may arrive whether or not an answer does.
    item.uncertain = true;
    await this.#sink.deliver(item.entry.batch, { uncertain });
    failpoint("deliver.after-send");
    await item.acknowledge(item.entry);
    failpoint("deliver.after-acknowledge");
  }

  /** Tries until it works, with growing pauses; false where the lane is being stopped or the sink refused for good. */
  async #attempt(work: () => Promise<void>, what: string): Promise<boolean> {
    for (let pauseMs = BACKOFF_FIRST_MS; ; pauseMs = Math.min(pauseMs * 2, BACKOFF_LAST_MS)) {
      try {
        await work();
        this.#lastError = null;
        return true;
      } catch (cause) {
        const error = cause instanceof TopologyError ? cause : new TopologyError("SINK_FAILED", String(cause), { place: this.target, cause });
        this.#lastError = `${error.code}: ${error.message}`;
        if (!error.retriable) {
          this.#abort.abort();
          this.#onFailure(error);
          return false;
        }
        this.#logger.warn({ sink: this.target, what, code: error.code, error: error.message, retryInMs: pauseMs }, "delivery failed, will be tried again");
        await this.#clock.sleep(pauseMs, this.#abort.signal);
        if (this.#abort.signal.aborted) return false;
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
