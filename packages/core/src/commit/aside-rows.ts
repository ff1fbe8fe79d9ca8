import type { AsideFile, AsidePiece, AsidePlace } from "../state/aside-file.ts";
import { AsideSpace } from "../state/aside-space.ts";
import type { StateBatch } from "../state/backend.ts";
import { type OutboxEntry, outboxKey } from "./outbox.ts";

/** A file that has grown beyond this is cut when nothing in it is used. */
const FILE_BYTES_KEPT = 64 * 1_048_576;

/**
 * Where the rows of big sealed batches stand in the file beside a store.
 *
 * A place is taken anew only when a synced batch has deleted the entry that points there. The acknowledgement deletes it too, without a sync, but a power cut may
 * take that back and keep the batches behind it (LevelDB begins new log files without a sync of the old one), so the next commit deletes it once more.
 */
export class AsideRows {
  readonly #file: AsideFile | undefined;
  readonly #space: AsideSpace;
  /** By token: what waits for its acknowledgement. */
  readonly #waiting = new Map<string, AsidePlace>();
  #acknowledged: { readonly key: Buffer; readonly place: AsidePlace }[] = [];
  #deleted: readonly AsidePlace[] = [];
  #pieces: AsidePiece[] = [];

  /** `outbox` is what the store held when it was opened. */
  constructor(file: AsideFile | undefined, outbox: readonly OutboxEntry[]) {
    this.#file = file;
    for (const { batch, place } of outbox) if (place !== undefined) this.#waiting.set(batch.token, place);
    this.#space = new AsideSpace([...this.#waiting.values()]);
  }

  /** The entry as the store is to hold it: with a place where its rows are many. */
  placed(entry: OutboxEntry): OutboxEntry {
    const { bytes, token } = entry.batch;
    if (this.#file === undefined || bytes.length < this.#file.bytesMin) return entry;
    const place = this.#space.take(bytes.length);
    this.#waiting.set(token, place);
    this.#pieces.push({ place, bytes });
    return { ...entry, place };
  }

  /** Notes that an entry was acknowledged. */
  acknowledged({ batch }: OutboxEntry): void {
    const place = this.#waiting.get(batch.token);
    if (place === undefined) return;
    this.#waiting.delete(batch.token);
    this.#acknowledged.push({ key: outboxKey(batch), place });
  }

  /** Deletes the acknowledged entries with a batch that will be synced. */
  delete(batch: StateBatch): void {
    for (const { key } of this.#acknowledged) batch.del(key);
    this.#deleted = this.#acknowledged.map(({ place }) => place);
    this.#acknowledged = [];
  }

  /** Resolves when the rows of all placed entries are on the medium. */
  async write(): Promise<void> {
    const pieces = this.#pieces;
    if (pieces.length === 0) return;
    this.#pieces = [];
    await this.#file?.write(pieces);
  }

  /** The batch with the deletions is synced. */
  async committed(): Promise<void> {
    for (const place of this.#deleted) this.#space.free(place);
    if (this.#deleted.length > 0 && this.#space.end === 0 && this.#space.peak > FILE_BYTES_KEPT) {
      this.#space.peak = 0;
      await this.#file?.truncate(0);
    }
    this.#deleted = [];
  }
}
