import type { Hash } from "node:crypto";
import { TopologyError, failpoint } from "@iot-topology/core";
import type { ProducerRecord } from "@iot-topology/core";
import type { PositionedLog } from "./positioned-log.ts";
import type { FilePosition, StartingPoint } from "./file-position.ts";

/** How far a reading has come. */
export interface IngestProgress {
  readonly bytesRead: number;
  readonly bytesTotal: number;
  /** Records appended by this call. */
  readonly records: number;
}

/** Records are appended together up to these bounds: larger groups are hardly faster, and smaller ones sync more often. */
const GROUP_RECORDS = 10_000;
const GROUP_BYTES = 2 << 20;

/** What is read of a file and not yet in the log, and the one way into it: records and position in the same commit. */
export class Ingestion {
  readonly path: string;
  readonly log: PositionedLog;
  /** Bytes and lines behind the last record that was added. */
  position: number;
  lines: number;
  columns: readonly string[] | undefined;
  records = 0;
  size: number;
  readonly #start: StartingPoint;
  readonly #base: Pick<FilePosition, "path" | "reading" | "again">;
  readonly #hash: Hash;
  readonly #onProgress: ((progress: IngestProgress) => void) | undefined;
  readonly #bytes: ByteQueue;
  #stored: Buffer | undefined;
  #isFinished: boolean;
  #topics = new Map<string, ProducerRecord[]>();
  #count = 0;
  #waiting = 0;

  constructor(log: PositionedLog, start: StartingPoint, options: { base: Pick<FilePosition, "path" | "reading" | "again">; size: number; onProgress: ((progress: IngestProgress) => void) | undefined }) {
    this.path = options.base.path;
    this.log = log;
    this.#start = start;
    this.#base = options.base;
    this.#hash = start.hash;
    this.#stored = start.stored;
    this.#isFinished = start.from?.finished ?? false;
    this.#onProgress = options.onProgress;
    this.position = start.from?.position ?? 0;
    this.lines = start.from?.lines ?? 0;
    this.columns = start.from?.columns;
    this.size = options.size;
    this.#bytes = new ByteQueue(this.position);
  }

  /** Takes note of bytes that were read. They are kept until their records are in the log. */
  read(chunk: Buffer): void {
    this.#bytes.push(chunk);
    this.size = Math.max(this.size, this.#bytes.end);
  }

  /** The bytes of a stretch that is not in the log yet. */
  bytes(from: number, to: number): Buffer {
    return this.#bytes.slice(from, to);
  }

  /** Adds a record. Throws TOPIC_NOT_FOUND and FILE_INVALID, naming the line. */
  async add(topic: string, record: ProducerRecord, line: number): Promise<void> {
    let records = this.#topics.get(topic);
    if (records === undefined) {
      if ((await this.log.partitionCount(topic)) === undefined) {
        throw new TopologyError("TOPIC_NOT_FOUND", `line ${line} is for the topic ${topic}, which does not exist`, {
          place: `${this.path}:${line}`,
          cure: "start the topology that reads this topic, create the topic, or correct the line",
        });
      }
      records = [];
      this.#topics.set(topic, records);
    }
    const size = sizeOf(record);
    if (size > this.log.maxRecordBytes) throw invalidLine(this.path, line, `a record of ${size} bytes is over the log's limit of ${this.log.maxRecordBytes}`, "raise the log's maxRecordBytes, or take the line out");
    records.push(record);
    this.#count++;
    this.#waiting += size;
  }

  /** Whether it is time to {@link commit}. */
  get isFull(): boolean {
    return this.#count >= GROUP_RECORDS || this.#waiting >= GROUP_BYTES;
  }

  /** Appends what was added, and the position behind it, all or none. */
  async commit(finished: boolean): Promise<void> {
    const isMoved = this.#bytes.start !== this.position || this.#count > 0;
    if (!isMoved && (this.#stored === undefined || !finished || this.#isFinished)) return;
    for (const chunk of this.#bytes.advance(this.position)) this.#hash.update(chunk);
    const position: FilePosition = {
      ...this.#base,
      position: this.position,
      sha256: this.#hash.copy().digest("hex"),
      size: this.size,
      lines: this.lines,
      records: (this.#start.from?.records ?? 0) + this.records + this.#count,
      ...(this.columns === undefined ? {} : { columns: this.columns }),
      finished,
    };
    const next = Buffer.from(JSON.stringify(position));
    const parts = [...this.#topics].map(([topic, records]) => ({ topic, records }));
    failpoint("ingest.before-append");
    await this.log.appendWithPosition(this.#start.sourceId, next, parts, { position: this.#stored });
    failpoint("ingest.after-append");
    this.#stored = next;
    this.#isFinished = finished;
    this.records += this.#count;
    this.#topics = new Map();
    this.#count = 0;
    this.#waiting = 0;
    this.tell();
  }

  tell(): void {
    this.#onProgress?.({ bytesRead: this.position, bytesTotal: this.size, records: this.records });
  }
}

/** The error for a line that cannot be read. */
export function invalidLine(path: string, line: number, message: string, cure: string): TopologyError {
  return new TopologyError("FILE_INVALID", `line ${line}: ${message}`, { place: `${path}:${line}`, cure });
}

const lengthOf = (value: Uint8Array | string | null): number => (value === null ? 0 : typeof value === "string" ? Buffer.byteLength(value) : value.length);

/** An upper bound of a record's size in the log. */
function sizeOf({ key, value, headers }: ProducerRecord): number {
  let size = 48 + lengthOf(key) + lengthOf(value);
  for (const header of headers ?? []) size += 24 + Buffer.byteLength(header.key) + lengthOf(header.value);
  return size;
}

/** Bytes of a file from a position on, in the chunks they were read in. */
class ByteQueue {
  start: number;
  end: number;
  #chunks: Buffer[] = [];

  constructor(start: number) {
    this.start = start;
    this.end = start;
  }
  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.end += chunk.length;
  }
  slice(from: number, to: number): Buffer {
    const parts: Buffer[] = [];
    let at = this.start;
    for (const chunk of this.#chunks) {
      if (at < to && at + chunk.length > from) parts.push(chunk.subarray(Math.max(0, from - at), Math.min(chunk.length, to - at)));
      at += chunk.length;
    }
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }
  /** Takes the bytes up to a position out. */
  advance(to: number): Buffer[] {
    const taken: Buffer[] = [];
    while (this.start < to) {
      const chunk = this.#chunks[0];
      if (chunk === undefined) throw new RangeError(`position ${to} passes what was read, up to ${this.end}`);
      const size = Math.min(chunk.length, to - this.start);
      taken.push(chunk.subarray(0, size));
      if (size === chunk.length) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(size);
      this.start += size;
    }
    return taken;
  }
}
