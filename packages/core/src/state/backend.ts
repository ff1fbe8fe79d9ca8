/** Where a task's state stands: LevelDB, or memory. One contract suite for both (`testing/state-backend-contract.ts`). */
import type { AsideFile } from "./aside-file.ts";

/** A range of keys in byte order. */
export interface KeyRange {
  readonly gte?: Uint8Array;
  readonly gt?: Uint8Array;
  readonly lt?: Uint8Array;
  readonly lte?: Uint8Array;
  readonly reverse?: boolean;
  readonly limit?: number;
}

/** Writes that become visible and durable all or none. Key and value are copied at the call. */
export interface StateBatch {
  put(key: Uint8Array, value: Uint8Array): void;
  del(key: Uint8Array): void;
}

/** An ordered map of bytes with atomic batches. */
export interface StateBackend<B extends StateBatch = StateBatch> {
  getSync(key: Uint8Array): Buffer | undefined;
  newBatch(): B;
  /** With `sync` the batch survives a power cut once this resolves; without it, a kill of the process only. */
  write(batch: B, options: { readonly sync: boolean }): Promise<void>;
  entries(range: KeyRange): AsyncIterable<readonly [Buffer, Buffer]>;
  /** Deletes a range; not atomic. */
  clearRange(range: KeyRange): Promise<void>;
  /** A file for big values beside the entries; absent where there is none. */
  readonly aside?: AsideFile;
  close(): Promise<void>;
}
