import type { OutboxEntry } from "../../commit/outbox.ts";
import type { Lane } from "../lane.ts";

interface Sent {
  readonly entry: OutboxEntry;
  readonly acknowledge: (entry: OutboxEntry) => Promise<void>;
}

/** How a thread sends a batch to the instance. */
export type SendBatch = (batch: number, entry: OutboxEntry, uncertain: boolean) => void;

/** Batches on their way from a thread to a lane of the instance, until that has delivered them. One for all sinks of the thread counts the numbers up. */
export class ThreadLane implements Lane {
  static #next = 1;
  readonly #send: SendBatch;
  readonly #sent = new Map<number, Sent>();
  #bytes = 0;

  constructor(send: SendBatch) {
    this.#send = send;
  }

  get batches(): number {
    return this.#sent.size;
  }
  get bytes(): number {
    return this.#bytes;
  }
  get isIdle(): boolean {
    return this.#sent.size === 0;
  }

  push(entry: OutboxEntry, acknowledge: (entry: OutboxEntry) => Promise<void>, uncertain: boolean): void {
    const batch = ThreadLane.#next++;
    this.#sent.set(batch, { entry, acknowledge });
    this.#bytes += entry.batch.bytes.length;
    this.#send(batch, entry, uncertain);
  }

  /** The batch was delivered: forgets it here and in its task's outbox. Undefined where it is another lane's. */
  acknowledged(batch: number): Promise<void> | undefined {
    const sent = this.#sent.get(batch);
    if (sent === undefined) return undefined;
    this.#sent.delete(batch);
    this.#bytes -= sent.entry.batch.bytes.length;
    return sent.acknowledge(sent.entry);
  }
}
