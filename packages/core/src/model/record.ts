import type { EpochMs } from "./time.ts";

/** A record header. Keys may repeat, as in Kafka. */
export interface Header {
  readonly key: string;
  readonly value: Uint8Array | null;
}

/** A record as a log holds it: bytes, where it stands, and when it was appended. */
export interface LogRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** The log's timestamp (the load time), in epoch milliseconds. */
  readonly timestamp: EpochMs;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly Header[];
}

/** The key of a record inside a topology: text, bytes, or none. */
export type RecordKey = string | Uint8Array | null;

/** A record between the steps of a topology. Never mutated: a step that changes it makes another. */
export interface StreamRecord<V> {
  readonly key: RecordKey;
  readonly value: V;
  /** Event time in epoch milliseconds; the log's timestamp until a cast names another field. */
  readonly timestamp: EpochMs;
  /** The headers of the record that it comes from, unless a step gave it others. */
  readonly headers: readonly Header[];
}

/** Where an output row comes from; what a sink may keep beside the row's own columns. */
export interface RecordMeta {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Counts the rows that one sink got from one input record, from 0. */
  index: number;
  /** The log's timestamp of the input record. */
  readonly loadTime: EpochMs;
}

/** A record on its way into a log. */
export interface ProducerRecord {
  readonly key: RecordKey;
  readonly value: Uint8Array | string | null;
  readonly timestamp: EpochMs;
  readonly headers?: readonly Header[];
  /** Chosen by Kafka's murmur2 of the key when absent. */
  readonly partition?: number;
}
