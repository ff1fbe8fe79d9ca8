/**
 * The one commit of local mode, in its one order:
 *
 *   1 take rows     steps send on what they held back; sinks hand over their encoded rows          synchronous
 *   2 seal          sequence and content hash fix each batch                                       synchronous
 *   3 gather        stores, outbox, chain, checkpoint into one LevelDB batch                       synchronous
 *   4 set aside     rows of big batches into the file beside the store, synced                     the task processes on meanwhile
 *   5 write         the LevelDB batch, synced: the point of no return                              the same
 *   6 hand over     sealed batches go to the delivery lanes
 *
 * A crash before 5 loses only what 1-3 hold in memory, and leaves rows in the file that nothing points to; a crash behind 5 finds the batches in the outbox.
 * Nothing is ever sent before 5.
 */
import { ByteWriter, type TaskCounters, type TopicPartition, topicPartitionName } from "../model/index.ts";
import { failpoint, type UnsealedBatch } from "../port/index.ts";
import type { StateBackend, StateBatch } from "../state/backend.ts";
import { AsideRows } from "./aside-rows.ts";
import type { SweepState } from "./changelog-sweep.ts";
import { type Checkpoint, putCheckpoint, readCheckpoint } from "./checkpoint.ts";
import { type OutboxEntry, outboxKey, putOutbox, readOutbox } from "./outbox.ts";
import { seal, type SealOrigin } from "./seal.ts";

// A writer that has grown for one huge batch is not kept.
const SCRATCH_BYTES_KEPT = 32 * 1_048_576;

/** What a commit needs of a task. */
export interface Committable {
  readonly inputs: readonly (TopicPartition & { readonly position: number; readonly isGlobal?: boolean })[];
  readonly counters: Readonly<TaskCounters>;
  readonly streamTimes: Readonly<Record<string, number>>;
  takeRows(): UnsealedBatch[];
  flushState(batch: StateBatch): void;
  committed(): Promise<void>;
}

/** What the worker and the lanes need of a task's commits, whichever mode it runs in. */
export interface TaskCommitter {
  /** The last checkpoint that was begun. */
  readonly checkpoint: Checkpoint;
  readonly isRebuilding: boolean;
  /** Whether there is something to commit although no record was processed: acknowledgements, positions behind control records. */
  wantsIdleCommit(task: Committable): boolean;
  /** The offset up to which records are durably processed; 0 before the first commit. */
  durableOffset(topic: string, partition: number): number;
  /**
   * Resolves with the sealed batches once they are durable. The commit before must have resolved. On a rejection the task must be dropped: its memory is
   * ahead of what is stored.
   */
  commit(task: Committable): Promise<readonly OutboxEntry[]>;
  /** Forgets an acknowledged batch. When that is lost in a crash, the batch is delivered again and found to be there. */
  acknowledge(entry: OutboxEntry): Promise<void>;
  /** Puts something else into the next commit, once. */
  beside(put: (batch: StateBatch, scratch: ByteWriter) => void): void;
}

/** The checkpoint that a commit writes. */
export function nextCheckpoint(last: Checkpoint, task: Committable, sequences: Readonly<Record<string, number>>, sweep?: SweepState): Checkpoint {
  const offsets: Record<string, number> = {};
  for (const input of task.inputs) offsets[topicPartitionName(input.topic, input.partition)] = input.position;
  const { rebuildUntil } = last;
  const pending = rebuildUntil !== undefined && Object.entries(rebuildUntil).some(([name, until]) => (offsets[name] ?? 0) < until);
  return {
    format: 1,
    commit: last.commit + 1,
    offsets,
    sequences,
    streamTimes: { ...task.streamTimes },
    counters: structuredClone(task.counters),
    ...(pending && rebuildUntil !== undefined ? { rebuildUntil } : {}),
    ...(sweep === undefined ? {} : { sweep }),
  };
}

/** Seals rows as the next batches of their sinks, and counts those up in `sequences`. */
export function sealRows(origin: SealOrigin, rows: readonly UnsealedBatch[], sequences: Record<string, number>, replayed: boolean): OutboxEntry[] {
  return rows.map((batch): OutboxEntry => {
    const name = `${batch.spec.connector}:${batch.spec.target}`;
    const sequence = (sequences[name] ?? 0) + 1;
    sequences[name] = sequence;
    return { batch: seal(origin, batch, sequence), replayed };
  });
}

/** Commits of one task, one after another. */
export class Committer implements TaskCommitter {
  readonly #backend: StateBackend;
  readonly #origin: SealOrigin;
  readonly #aside: AsideRows;
  #scratch = new ByteWriter(1 << 16);
  #last: Checkpoint;
  #durable: Checkpoint;
  #beside: ((batch: StateBatch, scratch: ByteWriter) => void) | undefined;

  /** `outbox` is what {@link recover} found in the store. */
  constructor(backend: StateBackend, origin: SealOrigin, last: Checkpoint, outbox: readonly OutboxEntry[]) {
    this.#backend = backend;
    this.#origin = origin;
    this.#aside = new AsideRows(backend.aside, outbox);
    this.#last = last;
    this.#durable = last;
  }

  beside(put: (batch: StateBatch, scratch: ByteWriter) => void): void {
    this.#beside = put;
  }
  /** The last checkpoint that was begun. */
  get checkpoint(): Checkpoint {
    return this.#last;
  }
  /** The offset up to which records are durably processed; 0 before the first commit. */
  durableOffset(topic: string, partition: number): number {
    return this.#durable.offsets[topicPartitionName(topic, partition)] ?? 0;
  }
  get isRebuilding(): boolean {
    return this.#last.rebuildUntil !== undefined;
  }
  /** Acknowledgements are stored by themselves here, and positions without records cost nothing to find again. */
  wantsIdleCommit(): boolean {
    return false;
  }

  /** Steps 1 to 3: rows and stores into one batch, and what is sealed in it. */
  #gather(task: Committable): { readonly entries: readonly OutboxEntry[]; readonly write: StateBatch } {
    failpoint("commit.before-seal");
    const sequences: Record<string, number> = { ...this.#last.sequences };
    const entries = sealRows(this.#origin, task.takeRows(), sequences, this.isRebuilding);
    const write = this.#backend.newBatch();
    // The biggest first: LevelDB's batch doubles its memory whenever it is full, and copies what it holds.
    for (const entry of entries.toSorted((a, b) => b.batch.bytes.length - a.batch.bytes.length)) putOutbox(write, this.#scratch, this.#aside.placed(entry));
    this.#aside.delete(write);
    task.flushState(write);
    this.#beside?.(write, this.#scratch);
    this.#beside = undefined;
    this.#last = nextCheckpoint(this.#last, task, sequences);
    putCheckpoint(write, this.#scratch, this.#last);
    if (this.#scratch.buffer.length > SCRATCH_BYTES_KEPT) this.#scratch = new ByteWriter(1 << 20);
    failpoint("commit.before-write");
    return { entries, write };
  }

  /**
   * Steps 1 to 3 before the first await, 4 and 5 behind it; resolves with the sealed batches. The commit before must have resolved. On a rejection the
   * task must be dropped: its memory is ahead of what is stored.
   */
  async commit(task: Committable): Promise<readonly OutboxEntry[]> {
    const { entries, write } = this.#gather(task);
    const begun = this.#last;
    await this.#aside.write();
    failpoint("commit.after-aside");
    await this.#backend.write(write, { sync: true });
    this.#durable = begun;
    await this.#aside.committed();
    failpoint("commit.after-write");
    await task.committed();
    failpoint("commit.after-committed");
    return entries;
  }

  /** The same over a backend whose writes stand when the call returns, as the one in memory: all is done when this returns. */
  commitAtOnce(task: Committable): readonly OutboxEntry[] {
    const { entries, write } = this.#gather(task);
    void this.#backend.write(write, { sync: false });
    this.#durable = this.#last;
    void task.committed();
    return entries;
  }

  /** Forgets an acknowledged batch. Not synced: when it is lost, the batch is delivered again and found to be there. */
  async acknowledge(entry: OutboxEntry): Promise<void> {
    const write = this.#backend.newBatch();
    write.del(outboxKey(entry.batch));
    await this.#backend.write(write, { sync: false });
    this.#aside.acknowledged(entry);
  }
}

/** The checkpoint and the outbox of a store, checked. Throws STATE_CORRUPT. */
export async function recover(backend: StateBackend, place: string): Promise<{ checkpoint: Checkpoint | undefined; outbox: readonly OutboxEntry[] }> {
  const checkpoint = await readCheckpoint(backend, place);
  return { checkpoint, outbox: await readOutbox(backend, place) };
}
