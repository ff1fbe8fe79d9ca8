import { ByteWriter, type LogRecord } from "../model/index.ts";
import type { RowEncoder, SinkSpec, UnsealedBatch } from "../port/index.ts";
import type { TaskContext } from "./context.ts";
import type { AnyRecord } from "./link.ts";
import { RowIndices, RowPlace } from "./row-place.ts";
import { isInjected } from "./timers.ts";

interface MutableRange {
  topic: string;
  partition: number;
  firstOffset: number;
  lastOffset: number;
}

// A batch is cut at this size, so that one commit of huge rows does not become one huge insert.
const BATCH_BYTES_MAX = 16 * 1_048_576;
const BATCH_ROWS_MAX = 200_000;

/** Encodes the rows of one sink of one task as they come. */
export class SinkBuffer {
  readonly spec: SinkSpec<never>;
  readonly name: string;
  readonly #encode: RowEncoder<unknown>;
  readonly #writer = new ByteWriter(1 << 16);
  readonly #full: UnsealedBatch[] = [];
  #rowCount = 0;
  #ranges: MutableRange[] = [];
  #lastRange: MutableRange | undefined;
  #loadTimeMin = Number.POSITIVE_INFINITY;
  #loadTimeMax = Number.NEGATIVE_INFINITY;
  readonly #meta = new RowPlace();
  readonly #places = new RowIndices();

  constructor(spec: SinkSpec<never>) {
    this.spec = spec;
    this.name = `${spec.connector}:${spec.target}`;
    this.#encode = spec.encoder() as unknown as RowEncoder<unknown>;
  }

  /** Of the rows that wait for the next commit. */
  get bytes(): number {
    let bytes = this.#writer.position;
    for (const batch of this.#full) bytes += batch.bytes.length;
    return bytes;
  }

  /** Encodes one row. A throw of the encoder leaves no part of the row behind. */
  add(context: TaskContext, record: AnyRecord): void {
    const { origin } = context;
    const meta = this.#meta;
    meta.set(origin, isInjected(origin) ? context.timers.nextInjectedIndex() : this.#places.next(origin));
    const start = this.#writer.position;
    try {
      this.#encode(this.#writer, record.value, meta, record.key, record.timestamp, record.headers);
    } catch (cause) {
      this.#writer.position = start;
      throw cause;
    }
    this.#rowCount++;
    this.#cover(origin);
    if (this.#writer.position >= BATCH_BYTES_MAX || this.#rowCount >= BATCH_ROWS_MAX) this.#cut();
  }

  #cover(origin: LogRecord): void {
    const { timestamp, offset } = origin;
    if (timestamp < this.#loadTimeMin) this.#loadTimeMin = timestamp;
    if (timestamp > this.#loadTimeMax) this.#loadTimeMax = timestamp;
    let range = this.#lastRange;
    if (range === undefined || range.partition !== origin.partition || range.topic !== origin.topic) range = this.#rangeOf(origin);
    if (offset > range.lastOffset) range.lastOffset = offset;
    else if (offset < range.firstOffset) range.firstOffset = offset;
  }

  // Apart from what is called for each row: the closure would cost each call a context on the heap.
  #rangeOf({ topic, partition, offset }: LogRecord): MutableRange {
    let range = this.#ranges.find((other) => other.topic === topic && other.partition === partition);
    if (range === undefined) {
      range = { topic, partition, firstOffset: offset, lastOffset: offset };
      this.#ranges.push(range);
    }
    this.#lastRange = range;
    return range;
  }

  #cut(): void {
    if (this.#rowCount === 0) return;
    this.#full.push({
      spec: this.spec,
      rowCount: this.#rowCount,
      bytes: this.#writer.take(),
      inputs: this.#ranges,
      loadTimeMin: this.#loadTimeMin,
      loadTimeMax: this.#loadTimeMax,
    });
    this.#rowCount = 0;
    this.#ranges = [];
    this.#lastRange = undefined;
    this.#loadTimeMin = Number.POSITIVE_INFINITY;
    this.#loadTimeMax = Number.NEGATIVE_INFINITY;
  }

  /** All rows so far, in order, and an empty buffer. */
  take(): UnsealedBatch[] {
    this.#cut();
    this.#places.clear();
    return this.#full.splice(0);
  }
}
