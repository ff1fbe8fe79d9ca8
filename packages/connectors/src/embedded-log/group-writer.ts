/**
 * Group commit: what is asked for while a write is under way is written together in the next one, so that concurrent appends share a sync.
 *
 *   submit -> queue -> [prepare each against drafts] -> one LevelDB batch -> drafts become the state -> resolve
 *
 * A write that fails rejects all of its group and leaves the state as it was; the folder then takes no more writes until it is opened again.
 */
import { sealedValue } from "@iot-topology/core";
import type { Clock, Level, LevelBatch, TopologyError } from "@iot-topology/core";
import { SYNC_KEY, numbers, partitionKey } from "./key.ts";
import type { ProducerState } from "./producers.ts";
import type { PartitionState } from "./state.ts";

/** When appends reach the disk: before they resolve, at an interval, or when the operating system likes. */
export type FsyncPolicy = "always" | "interval" | "never";

/** A partition's next state. */
export interface PartitionDraft {
  start: number;
  end: number;
  bytes: number;
}

/** The writes of one group. */
export class Draft {
  readonly batch: LevelBatch;
  readonly #partitions = new Map<PartitionState, PartitionDraft>();
  readonly #onCommit: (() => void)[] = [];
  /** What earlier calls of the group have changed. */
  readonly producers: Map<string, ProducerState> = new Map();
  readonly positions: Map<string, Buffer> = new Map();
  appended = false;

  constructor(batch: LevelBatch) {
    this.batch = batch;
  }
  partition(state: PartitionState): PartitionDraft {
    let draft = this.#partitions.get(state);
    if (draft === undefined) {
      draft = { start: state.start, end: state.end, bytes: state.bytes };
      this.#partitions.set(state, draft);
    }
    return draft;
  }
  put(key: Buffer, payload: Buffer): void {
    this.batch.put(key, sealedValue(key, payload));
  }
  /** Runs once the group is written. */
  onCommit(action: () => void): void {
    this.#onCommit.push(action);
  }
  seal(): void {
    for (const [state, draft] of this.#partitions) {
      this.put(partitionKey(state.topicId, state.partition), numbers(draft.start, draft.end, draft.bytes));
    }
  }
  commit(): void {
    for (const [state, draft] of this.#partitions) Object.assign(state, draft);
    for (const action of this.#onCommit) action();
  }
}

interface Waiting {
  /** Adds its writes to the draft, or throws before it has added any. */
  readonly prepare: (draft: Draft) => unknown;
  readonly bytes: number;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
}

/** One LevelDB write takes no more than this many bytes of records (and always one call). */
const GROUP_BYTES_MAX = 32 << 20;

export class GroupWriter {
  readonly #level: Level;
  readonly #policy: FsyncPolicy;
  readonly #intervalMs: number;
  readonly #clock: Clock;
  readonly #onAppended: () => void;
  readonly #stop = new AbortController();
  readonly #queue: Waiting[] = [];
  #running: Promise<void> | undefined;
  #syncing: Promise<void> | undefined;
  #syncs = 0;
  #unsynced = false;
  #closed: TopologyError | undefined;

  constructor(level: Level, options: { policy: FsyncPolicy; intervalMs: number; clock: Clock; onAppended: () => void }) {
    this.#level = level;
    this.#policy = options.policy;
    this.#intervalMs = options.intervalMs;
    this.#clock = options.clock;
    this.#onAppended = options.onAppended;
  }

  submit<T>(bytes: number, prepare: (draft: Draft) => T): Promise<T> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ prepare, bytes, resolve: resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Writes what is queued, syncs what is not yet, and takes no more. */
  async close(closed: TopologyError): Promise<void> {
    this.#closed ??= closed;
    await this.#running;
    this.#stop.abort();
    await this.#syncing;
    if (this.#policy !== "never" && this.#unsynced) await this.#sync();
  }

  async #run(): Promise<void> {
    // One turn of the event loop lets calls made together become one group.
    await Promise.resolve();
    while (this.#queue.length > 0) await this.#group(this.#take());
    this.#running = undefined;
  }

  #take(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const waiting of this.#queue) {
      bytes += waiting.bytes;
      if (count > 0 && bytes > GROUP_BYTES_MAX) break;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  async #group(group: readonly Waiting[]): Promise<void> {
    const draft = new Draft(this.#level.newBatch());
    const done: { waiting: Waiting; value: unknown }[] = [];
    for (const waiting of group) {
      try {
        done.push({ waiting, value: waiting.prepare(draft) });
      } catch (error) {
        waiting.reject(error);
      }
    }
    try {
      draft.seal();
      if (draft.batch.count > 0) await this.#level.write(draft.batch, { sync: this.#policy === "always" });
    } catch (error) {
      for (const { waiting } of done) waiting.reject(error);
      return;
    }
    draft.commit();
    if (this.#policy !== "always" && draft.batch.count > 0) this.#syncLater();
    for (const { waiting, value } of done) waiting.resolve(value as never);
    if (draft.appended) this.#onAppended();
  }

  #syncLater(): void {
    this.#unsynced = true;
    if (this.#policy !== "interval" || this.#syncing !== undefined) return;
    this.#syncing = this.#clock
      .sleep(this.#intervalMs, this.#stop.signal)
      .then(() => (this.#stop.signal.aborted ? undefined : this.#sync()))
      // A failed sync fails the level, and with it every later append, which says so.
      .catch(() => undefined)
      .finally(() => (this.#syncing = undefined));
  }

  /** A synced write makes all writes before it durable too. */
  async #sync(): Promise<void> {
    this.#unsynced = false;
    const batch = this.#level.newBatch();
    batch.put(SYNC_KEY, sealedValue(SYNC_KEY, numbers(++this.#syncs)));
    await this.#level.write(batch, { sync: true });
  }
}
