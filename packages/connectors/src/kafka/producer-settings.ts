import type { Codec } from "./compression.ts";

/** What producers have in common. */
export interface ProducerSettings {
  /** A whole commit or append may take this long. */
  readonly deadlineMs: number;
  readonly transactionTimeoutMs: number;
  /** How long a broker waits for its replicas before it says that it could not. */
  readonly replicationTimeoutMs: number;
  /** Batches end before they are larger, unless a single record is. */
  readonly batchBytesMax: number;
  readonly codec: Codec;
}
