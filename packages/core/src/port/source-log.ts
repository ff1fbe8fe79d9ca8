import type { LogRecord, ProducerRecord } from "../model/index.ts";

/** Records of one partition, from the offset asked for on. */
export interface FetchResult {
  readonly records: readonly LogRecord[];
  /** Where to fetch next: behind the last record (offsets may have gaps). */
  readonly nextOffset: number;
  /** One past the last record of the partition at the time of the fetch. A task goes on without the rest of a global table where this is told too low. */
  readonly endOffset: number;
}

/** A stretch of consecutive records as frames (model/frame.ts), one behind another. */
export interface FrameBatch {
  /** The offset of its first record. */
  readonly baseOffset: number;
  readonly count: number;
  readonly bytes: Buffer;
  /** Where in the bytes the first frame begins. */
  readonly start: number;
}

/** What {@link SourceLog.fetchFrames} gives. */
export interface FetchedFrames {
  /** Without gaps; the first may begin before the offset asked for. */
  readonly batches: readonly FrameBatch[];
  readonly nextOffset: number;
  readonly endOffset: number;
}

/** Names a producer and the place of a batch in its sequence, so that a repeat is dropped. */
export interface ProducerSequence {
  readonly producerId: string;
  /** Higher epochs fence lower ones. */
  readonly epoch: number;
  /** Counts this producer's batches for this topic, from 1, without gaps. */
  readonly sequence: number;
}

/** What a log says of an append. */
export interface AppendResult {
  /** True where the sequence had been appended before, and nothing was added now. */
  readonly repeated: boolean;
  readonly recordCount: number;
}

/** A partitioned log: the embedded one, or Kafka. Batch-shaped: a call a batch, never a record. */
export interface SourceLog {
  readonly name: string;
  /** The number of partitions, or undefined where the topic does not exist. */
  partitionCount(topic: string): Promise<number | undefined>;
  /** Creates the topic where absent; throws TOPIC_MISMATCH where it has another number of partitions. */
  ensureTopic(topic: string, options: { readonly partitions: number }): Promise<void>;
  /** The first offset held and one past the last. */
  offsets(topic: string, partition: number): Promise<{ readonly start: number; readonly end: number }>;
  /** Returns at once, with no records at the end of the partition. Several may read one partition at a time, at different places. Throws OFFSET_OUT_OF_RANGE below the start. */
  fetch(topic: string, partition: number, fromOffset: number, limits: { readonly recordsMax: number; readonly bytesMax: number }): Promise<FetchResult>;
  /**
   * The same in whole batches, as the log holds them, so that nothing is made before it is needed; the limits are passed by what the last batch holds. A log that
   * holds records in another form does not have it.
   */
  fetchFrames?(topic: string, partition: number, fromOffset: number, limits: { readonly recordsMax: number; readonly bytesMax: number }): Promise<FetchedFrames>;
  /** Calls back after each append, until the returned function is called. */
  onAppend(listener: () => void): () => void;
  /** Appends all or none, durably. With a sequence, a repeat adds nothing. */
  append(topic: string, records: readonly ProducerRecord[], producer?: ProducerSequence): Promise<AppendResult>;
  /** The same for records that stand in frames (see model/frame.ts) already. */
  appendFrames(topic: string, frames: Uint8Array, recordCount: number, producer?: ProducerSequence): Promise<AppendResult>;
  /** Drops the records before the offset; what stands in one batch with later ones may stay. Throws OFFSET_OUT_OF_RANGE beyond the end. */
  deleteRecordsBefore(topic: string, partition: number, offset: number): Promise<void>;
  /** Forgets the sequences of all producers whose id starts so, for a topology that starts anew from sequence 1. Tells how many. */
  forgetProducers(idPrefix: string): Promise<number>;
  close(): Promise<void>;
}
