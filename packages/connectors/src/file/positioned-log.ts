import type { AppendResult, ProducerRecord, SourceLog } from "@iot-topology/core";

/** Records for one topic among those of {@link PositionedLog.appendWithPosition}. */
export interface PositionedRecords {
  readonly topic: string;
  readonly records: readonly ProducerRecord[];
}

/**
 * A log that keeps, in the commit that appends records, how far the source is read that they come from: what makes a source that is no log exactly
 * once. The embedded log does it in one LevelDB batch, Kafka in one transaction.
 */
export interface PositionedLog extends SourceLog {
  /** The largest record in bytes that an append takes. */
  readonly maxRecordBytes: number;
  /**
   * Appends records of several topics and moves the position of the source they came from, all or none. With `expected` (undefined stands for none),
   * throws PRODUCER_FENCED where the position is another one: someone else reads the same source.
   */
  appendWithPosition(sourceId: string, position: Uint8Array, parts: readonly PositionedRecords[], expected?: { readonly position: Uint8Array | undefined }): Promise<AppendResult>;
  /** The position last committed for a source, or undefined. */
  sourcePosition(sourceId: string): Buffer | undefined | Promise<Buffer | undefined>;
  /** All sources with their positions. */
  sourcePositions(): AsyncIterable<readonly [string, Buffer]>;
}
