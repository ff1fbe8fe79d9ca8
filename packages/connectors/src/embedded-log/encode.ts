import { ByteWriter, FrameCursor, TopologyError, partitionOfKey, writeFrame } from "@iot-topology/core";
import type { ProducerRecord, ProducerSequence } from "@iot-topology/core";
import { PRODUCER_ID_BYTES_MAX, headerBytes } from "./batch.ts";

/** Frames for one partition, behind room for the batch's header. */
export interface Chunk {
  readonly partition: number;
  readonly count: number;
  readonly newest: number;
  readonly bytes: Buffer;
}

/** A stored batch ends at whichever comes first. */
const BATCH_BYTES = 1 << 20;
const BATCH_RECORDS = 10_000;
const FLAG_PARTITION = 8;

interface Open {
  readonly writer: ByteWriter;
  count: number;
  newest: number;
}

/** Sorts the records of appends into chunks a partition. Keeps its buffers from append to append. */
export class ChunkEncoder {
  readonly #recordBytesMax: number;
  readonly #scratch = new ByteWriter();
  readonly #open: Open[] = [];
  #chunks: Chunk[] = [];
  #partitions = 0;
  #headerBytes = 0;
  #sticky = 0;

  constructor(recordBytesMax: number) {
    this.#recordBytesMax = recordBytesMax;
  }

  /** Throws TOPIC_MISMATCH for a partition that does not exist and PAYLOAD_TOO_LARGE for a record over the limit; then nothing is kept. */
  records(topic: string, partitions: number, sticky: number, records: readonly ProducerRecord[], producer: ProducerSequence | undefined): Chunk[] {
    this.#begin(partitions, sticky, producer);
    const scratch = this.#scratch;
    for (const record of records) {
      scratch.reset();
      if (record.partition === undefined) writeFrame(scratch, record);
      else writeFrame(scratch, { key: record.key, value: record.value, timestamp: record.timestamp, ...(record.headers === undefined ? {} : { headers: record.headers }) });
      const partition = record.partition ?? (record.key === null ? -1 : this.#byKey(scratch.buffer, scratch.position));
      this.#add(topic, partition, scratch.buffer, 0, scratch.position, record.timestamp);
    }
    return this.#end();
  }

  /** The same for records in frames. */
  frames(topic: string, partitions: number, sticky: number, frames: Uint8Array, recordCount: number, producer: ProducerSequence | undefined): Chunk[] {
    this.#begin(partitions, sticky, producer);
    const bytes = Buffer.from(frames.buffer, frames.byteOffset, frames.byteLength);
    const cursor = new FrameCursor(bytes, 0);
    let count = 0;
    while (!cursor.done) {
      cursor.next();
      count++;
      const { start, at, partition, keyStart, keyEnd, timestamp } = cursor;
      if (partition >= 0) {
        this.#addWithoutPartition(topic, cursor);
        continue;
      }
      const chosen = keyStart < 0 ? -1 : this.#partitions === 1 ? 0 : partitionOfKey(bytes, this.#partitions, keyStart, keyEnd);
      this.#add(topic, chosen, bytes, start, at, timestamp);
    }
    if (count !== recordCount) throw new RangeError(`${count} frames where ${recordCount} were announced`);
    return this.#end();
  }

  #begin(partitions: number, sticky: number, producer: ProducerSequence | undefined): void {
    if (producer !== undefined && Buffer.byteLength(producer.producerId) > PRODUCER_ID_BYTES_MAX) {
      throw new TopologyError("USAGE", `a producer id is longer than ${PRODUCER_ID_BYTES_MAX} bytes`, { place: producer.producerId.slice(0, 80) });
    }
    this.#partitions = partitions;
    this.#sticky = sticky % partitions;
    this.#headerBytes = headerBytes(producer);
    this.#chunks = [];
    // What an append that threw has left behind goes.
    for (const open of this.#open) if (open !== undefined) this.#clear(open);
    for (let partition = this.#open.length; partition < partitions; partition++) this.#open.push(this.#clear({ writer: new ByteWriter(1 << 12), count: 0, newest: 0 }));
  }

  #clear(open: Open): Open {
    open.writer.reset();
    open.writer.ensure(this.#headerBytes);
    open.writer.position = this.#headerBytes;
    open.count = 0;
    open.newest = -Number.MAX_SAFE_INTEGER;
    return open;
  }

  #byKey(frame: Buffer, end: number): number {
    if (this.#partitions === 1) return 0;
    const cursor = this.#keyOf(frame, end);
    return partitionOfKey(frame, this.#partitions, cursor.keyStart, cursor.keyEnd);
  }

  /** The scratch buffer stays the same from record to record, and so does the cursor over it. */
  #cursor: FrameCursor = new FrameCursor(Buffer.alloc(0), 0);
  #keyOf(frame: Buffer, end: number): FrameCursor {
    if (this.#cursor.bytes !== frame) this.#cursor = new FrameCursor(frame, 0);
    this.#cursor.at = 0;
    this.#cursor.next();
    if (this.#cursor.at !== end) throw new RangeError("a frame was written wrongly");
    return this.#cursor;
  }

  #add(topic: string, chosen: number, frame: Buffer, start: number, end: number, timestamp: number): void {
    if (end - start > this.#recordBytesMax) {
      throw new TopologyError("PAYLOAD_TOO_LARGE", `a record has ${end - start} bytes, and the limit is ${this.#recordBytesMax}`, {
        place: topic,
        cure: "raise the log's maxRecordBytes, or split the record",
      });
    }
    const partition = chosen < 0 ? this.#sticky : chosen;
    const open = this.#open[partition];
    if (open === undefined || partition >= this.#partitions) {
      throw new TopologyError("TOPIC_MISMATCH", `the topic ${topic} has ${this.#partitions} partitions, and a record asks for partition ${partition}`, {
        place: `${topic}-${partition}`,
        cure: "leave the partition out, or name one that exists",
      });
    }
    const { writer } = open;
    if (open.count > 0 && (open.count >= BATCH_RECORDS || writer.position + end - start > BATCH_BYTES)) {
      this.#close(partition, open);
      if (chosen < 0) {
        this.#sticky = (this.#sticky + 1) % this.#partitions;
        return this.#add(topic, chosen, frame, start, end, timestamp);
      }
    }
    writer.ensure(end - start);
    frame.copy(writer.buffer, writer.position, start, end);
    writer.position += end - start;
    open.count++;
    if (timestamp > open.newest) open.newest = timestamp;
  }

  /** A frame that names its partition is stored without it: the batch's key says it. */
  #addWithoutPartition(topic: string, cursor: FrameCursor): void {
    const { bytes, start, at, partition, timestamp } = cursor;
    let rest = start + 9;
    while ((bytes[rest] as number) >= 0x80) rest++;
    rest++;
    const frame = Buffer.allocUnsafe(9 + at - rest);
    bytes.copy(frame, 0, start, start + 9);
    frame[0] = (frame[0] as number) & ~FLAG_PARTITION;
    bytes.copy(frame, 9, rest, at);
    this.#add(topic, partition, frame, 0, frame.length, timestamp);
  }

  #close(partition: number, open: Open): void {
    this.#chunks.push({ partition, count: open.count, newest: open.newest, bytes: open.writer.take() });
    this.#clear(open);
  }

  #end(): Chunk[] {
    this.#open.forEach((open, partition) => {
      if (open.count > 0) this.#close(partition, open);
    });
    const chunks = this.#chunks;
    this.#chunks = [];
    return chunks;
  }
}
