import { putLinksBefore, readCheckpoint } from "../commit/checkpoint.ts";
import { ByteWriter, TopologyError, topicPartitionName, type TopicPartition } from "../model/index.ts";
import type { Clock, ClusterLog, Logger } from "../port/index.ts";
import type { StateBackend } from "../state/backend.ts";
import type { StateDisk } from "../state/state-disk.ts";
import { applyChanges, ChangelogReader, putPosition, readPosition } from "../state/changelog.ts";

const FETCH_LIMITS = { recordsMax: 1_000, bytesMax: 16 * 1_048_576 };
const STALL_MS = 20;

/** How far a restore is, in offsets of the changelog. */
export interface RestoreProgress {
  readonly position: number;
  readonly end: number;
}

/** A store that follows its changelog. */
export interface FollowOptions {
  readonly log: ClusterLog;
  readonly changelog: TopicPartition;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Opens the store's folder (or memory); called again after the folder was removed. */
  readonly open: () => Promise<StateBackend>;
  readonly dir: string | null;
  readonly disk: Pick<StateDisk, "remove">;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: RestoreProgress) => void;
}

function lost(place: string, position: number, end: number): TopologyError {
  return new TopologyError("CHANGELOG_MISMATCH", `the local store is at offset ${position} of its changelog, which ends at ${end}`, {
    place,
    cure: "the changelog topic was deleted or made anew: restore it, or reset the topology with its output topics",
  });
}

/** A store and its place in the changelog. It belongs to whoever holds this object: close it. */
export class FollowedStore {
  readonly #options: FollowOptions;
  readonly #place: string;
  #backend: StateBackend;
  #reader: ChangelogReader;
  #position: number;
  /** Whether nothing was applied yet. */
  #isNew: boolean;

  private constructor(options: FollowOptions, backend: StateBackend, position: number, commit: number | undefined) {
    this.#options = options;
    this.#place = topicPartitionName(options.changelog.topic, options.changelog.partition);
    this.#backend = backend;
    this.#position = position;
    this.#reader = new ChangelogReader(this.#place, commit);
    this.#isNew = commit === undefined;
  }

  get backend(): StateBackend {
    return this.#backend;
  }
  /** The next offset of the changelog to apply. */
  get position(): number {
    return this.#position;
  }

  /** Opens a store where it stands; one that the changelog has left behind is removed and begun anew. Throws CHANGELOG_MISMATCH, STATE_CORRUPT. */
  static async open(options: FollowOptions): Promise<FollowedStore> {
    const { log, changelog, open } = options;
    const place = topicPartitionName(changelog.topic, changelog.partition);
    const backend = await open();
    try {
      const { start, end } = await log.offsets(changelog.topic, changelog.partition);
      const known = readPosition(backend);
      if (known === undefined && (await readCheckpoint(backend, place)) !== undefined) {
        throw new TopologyError("CHANGELOG_MISMATCH", "this folder holds state of a run on the embedded log", {
          place: options.dir ?? place,
          cure: "use another data folder for Kafka, or carry the state over with a savepoint",
        });
      }
      // A commit that this process has just made may still be on its way into the changelog's readable part.
      if (known !== undefined && known.offset > end && known.offset > (await log.settledEnd(changelog.topic, changelog.partition))) throw lost(place, known.offset, end);
      const store = new FollowedStore(options, backend, known?.offset ?? start, known?.commit);
      if (known !== undefined && known.offset < start) await store.#beginAnew(`its changelog begins at offset ${start} now`);
      return store;
    } catch (cause) {
      await backend.close();
      throw cause;
    }
  }

  async #beginAnew(why: string): Promise<void> {
    const { log, changelog, logger, dir, open, disk } = this.#options;
    logger.info({ changelog: this.#place, position: this.#position }, `the local store is too old and is made anew: ${why}`);
    if (dir === null) await this.#backend.clearRange({ gte: Buffer.alloc(0) });
    else {
      await this.#backend.close();
      await disk.remove(dir);
      this.#backend = await open();
    }
    this.#position = (await log.offsets(changelog.topic, changelog.partition)).start;
    this.#reader = new ChangelogReader(this.#place, undefined);
    this.#isNew = true;
  }

  /** Applies what the changelog holds beyond the store, up to its end now, or until the signal ends it. */
  async catchUp(): Promise<void> {
    const { log, changelog, clock, signal, onProgress } = this.#options;
    const { end } = await log.offsets(changelog.topic, changelog.partition);
    onProgress({ position: this.#position, end });
    while (this.#position < end && !signal.aborted) {
      if (await this.step()) onProgress({ position: this.#position, end });
      else await clock.sleep(STALL_MS, signal);
    }
  }

  /** Applies the next fetch: true where there was something. */
  async step(): Promise<boolean> {
    const { log, changelog } = this.#options;
    const before = this.#position;
    try {
      const { records, nextOffset } = await log.fetch(changelog.topic, changelog.partition, before, FETCH_LIMITS);
      for (const { value, offset } of records) {
        const body = this.#reader.read(value, offset);
        if (body !== undefined) await this.#apply(body, offset + 1);
      }
      // Behind the last whole commit there may be pieces of another: those are read again after a restart, so only memory moves past them.
      this.#position = nextOffset;
      return nextOffset > before;
    } catch (cause) {
      if (!(cause instanceof TopologyError) || cause.code !== "OFFSET_OUT_OF_RANGE") throw cause;
      await this.#beginAnew("records were dropped while it was following");
      return true;
    }
  }

  async #apply(body: Buffer, offset: number): Promise<void> {
    const write = this.#backend.newBatch();
    const commit = this.#reader.commit as number;
    if (this.#isNew) putLinksBefore(write, new ByteWriter(64), commit);
    await applyChanges(body, this.#backend, write);
    putPosition(write, { offset, commit });
    await this.#backend.write(write, { sync: false });
    this.#isNew = false;
  }

  close(): Promise<void> {
    return this.#backend.close();
  }
}
