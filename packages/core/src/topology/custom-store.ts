/** Stores of users' own making, for process steps. What they write goes into the commit, and into the changelog, like everything else. */

/** Where a custom store's entries are: its own keys, apart from those of all other stores. */
export interface StoreEnvironment {
  /** The store's name. */
  readonly name: string;
  /** Which task it belongs to, for messages. */
  readonly taskId: string;
  /** A stored value as of the last commit that was written; it was checked, and may not be changed. Throws STATE_CORRUPT. */
  readonly read: (key: string) => Uint8Array | undefined;
}

/** Takes what changed since the last commit. Key and value are copied at the call. */
export interface StoreWriter {
  put(key: string, value: Uint8Array): void;
  delete(key: string): void;
}

/**
 * What the engine asks of a custom store; what steps ask of it is the store's own affair.
 *
 *   record ... record   flush(writer): what changed goes into the commit   record ... record   committed(): it is durable   ...
 *
 * Between `flush` and `committed` the task goes on, so `read` may still give what stood before; the store must see its own writes all the same. After a crash it
 * is opened again and must be what it was at the last commit: nothing may be remembered anywhere else.
 *
 * `mark` is called before each call of a step, and `rollBack` after one that threw: what was changed since the mark is to be as it was. A store without the two can be
 * used by steps whose `onError` is `fail` alone, where nothing that went before a failure is committed.
 */
export interface CustomStore {
  readonly flush: (writer: StoreWriter) => void;
  readonly committed: () => void;
  readonly mark?: () => void;
  readonly rollBack?: () => void;
}

/** Opens a store for one task. */
export type OpenCustomStore<S> = (environment: StoreEnvironment) => S;
