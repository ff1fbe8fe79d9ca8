/**
 * What `read_committed` means for a reader: the broker sends records of aborted transactions too, with a list of those transactions, and the reader leaves them out.
 *
 *   batch of an ordinary producer        delivered
 *   batch of a transaction               delivered unless its producer is inside an aborted transaction
 *   control batch                        never delivered; ends its producer's aborted transaction
 *
 * An aborted transaction begins where the first offset in the list says, and several may be open at once, begun before the first batch of the answer. What
 * decides is the batch's own attributes, never the bytes of a key.
 */
import type { BatchCursor } from "./batch-decoder.ts";

export interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: number;
}

/** For the batches of one answer, in their order. */
export class CommittedFilter {
  readonly #waiting: readonly AbortedTransaction[];
  #next = 0;
  readonly #inside = new Set<bigint>();

  constructor(aborted: readonly AbortedTransaction[]) {
    this.#waiting = aborted.length < 2 ? aborted : [...aborted].sort((a, b) => a.firstOffset - b.firstOffset);
  }

  /** Whether the batch that the cursor has opened holds records for the reader. */
  isDelivered(batch: Pick<BatchCursor, "lastOffset" | "isControl" | "controlType" | "isTransactional" | "producerId">): boolean {
    for (let aborted; (aborted = this.#waiting[this.#next]) !== undefined && aborted.firstOffset <= batch.lastOffset; this.#next++) {
      this.#inside.add(aborted.producerId);
    }
    if (batch.isControl) {
      if (batch.controlType === 0 || batch.controlType === 1) this.#inside.delete(batch.producerId);
      return false;
    }
    return !batch.isTransactional || !this.#inside.has(batch.producerId);
  }
}
