/**
 * The one commit of replicated mode, in its one order:
 *
 *   1 take rows     as in local mode                                                                    synchronous
 *   2 seal          rows for sinks outside the cluster; rows for topics leave in the transaction        synchronous
 *   3 gather        stores, outbox, chain, checkpoint into one LevelDB batch and, the same, into the changelog's records
 *   4 transaction   outputs, changelog and offsets: the point of no return                              the task processes on meanwhile
 *   5 write         the LevelDB batch, with the changelog's position behind this commit
 *   6 hand over     sealed batches go to the delivery lanes
 *
 * A crash before 4 loses nothing that anybody has seen. A crash between 4 and 5 is mended from the changelog, wherever the task starts again. The batch of 5
 * needs no sync: what a power cut takes is in the changelog.
 */
import { ByteWriter, topicPartitionName } from "../model/index.ts";
import { type Clock, failpoint, type GroupPosition, type TransactionalProducer, type TransactionBatch } from "../port/index.ts";
import type { KeyRange, StateBackend, StateBatch } from "../state/backend.ts";
import { ChangeRecorder, packChanges, putPosition } from "../state/changelog.ts";
import { ChangelogSweep, NO_SWEEP } from "./changelog-sweep.ts";
import { type Checkpoint, putCheckpoint } from "./checkpoint.ts";
import { type Committable, nextCheckpoint, sealRows, type TaskCommitter } from "./commit.ts";
import { type OutboxEntry, outboxKey, putOutbox } from "./outbox.ts";
import type { SealOrigin } from "./seal.ts";

const BODY_BYTES_KEPT = 32 * 1_048_576;

/** Where a task's commits go. */
export interface ReplicatedPlace {
  readonly origin: SealOrigin;
  readonly group: string;
  readonly changelog: { readonly topic: string; readonly partition: number };
  readonly clock: Clock;
  /** Drops what is dead in the changelog. Not awaited by commits; a failure is tried again with the next sweep. */
  readonly deleteBefore: (offset: number) => void;
  /** Changed bytes after which a sweep of the changelog begins at the earliest; 16 MiB when absent. */
  readonly sweepBytesMin?: number;
}

/** Commits of one task to a cluster, one after another. */
export class ReplicatedCommitter implements TaskCommitter {
  /** The store, for the task: ranges that it clears are written into the changelog too. */
  readonly backend: StateBackend;
  readonly #producer: TransactionalProducer;
  readonly #place: ReplicatedPlace;
  readonly #sweep: ChangelogSweep;
  readonly #cleared: KeyRange[] = [];
  #body = new ByteWriter(1 << 16);
  #scratch = new ByteWriter(1 << 16);
  #last: Checkpoint;
  #durable: Checkpoint;
  #position: number;
  readonly #acknowledged: Buffer[] = [];
  #beside: ((batch: StateBatch, scratch: ByteWriter) => void) | undefined;

  constructor(store: StateBackend, producer: TransactionalProducer, place: ReplicatedPlace, last: Checkpoint, position: number) {
    this.#producer = producer;
    this.#place = place;
    this.#sweep = new ChangelogSweep(store, last.sweep ?? NO_SWEEP, place.sweepBytesMin);
    this.#last = last;
    this.#durable = last;
    this.#position = position;
    this.backend = {
      getSync: (key) => store.getSync(key),
      newBatch: () => store.newBatch(),
      write: (batch, options) => store.write(batch, options),
      entries: (range) => store.entries(range),
      clearRange: (range) => {
        this.#cleared.push(range);
        return store.clearRange(range);
      },
      close: () => store.close(),
    };
  }

  beside(put: (batch: StateBatch, scratch: ByteWriter) => void): void {
    this.#beside = put;
  }
  get checkpoint(): Checkpoint {
    return this.#last;
  }
  /** The next offset of the changelog. */
  get position(): number {
    return this.#position;
  }
  get producer(): TransactionalProducer {
    return this.#producer;
  }
  durableOffset(topic: string, partition: number): number {
    return this.#durable.offsets[topicPartitionName(topic, partition)] ?? 0;
  }
  get isRebuilding(): boolean {
    return this.#last.rebuildUntil !== undefined;
  }
  wantsIdleCommit(task: Committable): boolean {
    if (this.#acknowledged.length > 0) return true;
    return task.inputs.some(({ topic, partition, position }) => position > (this.#last.offsets[topicPartitionName(topic, partition)] ?? 0));
  }

  async commit(task: Committable): Promise<readonly OutboxEntry[]> {
    failpoint("commit.before-seal");
    const { origin, group, changelog, clock } = this.#place;
    const rows = task.takeRows();
    const outputs = rows.filter(({ spec }) => spec.connector === "log").map(({ spec, bytes, rowCount }): TransactionBatch => ({ topic: spec.target, frames: bytes, recordCount: rowCount }));
    const sequences: Record<string, number> = { ...this.#last.sequences };
    const entries = sealRows(origin, rows.filter(({ spec }) => spec.connector !== "log"), sequences, this.isRebuilding);
    const body = this.#gather(task, entries, sequences);
    const begun = this.#last;
    const { frames, recordCount } = packChanges(body.bytes, begun.commit, clock.now());
    // The positions of a global table are each task's own, and stand in its checkpoint alone.
    const positions = task.inputs.flatMap(({ topic, partition, position, isGlobal }): GroupPosition[] => (isGlobal === true ? [] : [{ topic, partition, offset: position }]));
    failpoint("commit.before-transaction");
    const { nextOffsets } = await this.#producer.commit({ batches: [...outputs, { topic: changelog.topic, partition: changelog.partition, frames, recordCount }], group, positions });
    failpoint("commit.after-transaction");
    this.#position = nextOffsets.get(topicPartitionName(changelog.topic, changelog.partition)) ?? this.#position;
    putPosition(body.write, { offset: this.#position, commit: begun.commit });
    await this.backend.write(body.write, { sync: false });
    this.#durable = begun;
    failpoint("commit.after-write");
    await task.committed();
    const dead = this.#sweep.committed(body.bytes.length);
    if (dead !== undefined) this.#place.deleteBefore(dead);
    await this.#sweep.prepare(this.#position, body.bytes.length);
    failpoint("commit.after-committed");
    return entries;
  }

  /** Step 3. The order matters: what was swept and cleared stood in the store before this commit's own changes. */
  #gather(task: Committable, entries: readonly OutboxEntry[], sequences: Readonly<Record<string, number>>): { write: ReturnType<StateBackend["newBatch"]>; bytes: Buffer } {
    const write = this.backend.newBatch();
    const body = this.#body;
    body.reset();
    const recorder = new ChangeRecorder(write, body);
    for (const { gte, lt } of this.#cleared.splice(0)) if (gte !== undefined && lt !== undefined) recorder.noteRangeDeleted(gte, lt);
    const sweep = this.#sweep.write(recorder);
    for (const key of this.#acknowledged.splice(0)) recorder.del(key);
    task.flushState(recorder);
    this.#beside?.(recorder, this.#scratch);
    this.#beside = undefined;
    for (const entry of entries) putOutbox(recorder, this.#scratch, entry);
    this.#last = nextCheckpoint(this.#last, task, sequences, sweep);
    putCheckpoint(recorder, this.#scratch, this.#last);
    const bytes = body.buffer.subarray(0, body.position);
    if (this.#scratch.buffer.length > BODY_BYTES_KEPT) this.#scratch = new ByteWriter(1 << 20);
    // The bytes stay in use until the commit is through; a body that has grown huge is not kept for the next.
    if (body.buffer.length > BODY_BYTES_KEPT) this.#body = new ByteWriter(1 << 20);
    return { write, bytes };
  }

  /** In the next commit's changes; until that, whoever takes the task over delivers the batch again and finds it there. */
  acknowledge(entry: OutboxEntry): Promise<void> {
    this.#acknowledged.push(outboxKey(entry.batch));
    return Promise.resolve();
  }
}
