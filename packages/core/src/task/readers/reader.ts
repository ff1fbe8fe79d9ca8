/** How stores are read from outside of their tasks: as the last commit left them, so that an answer never holds what a crash could take back. */
import type { StateBackend } from "../../state/backend.ts";
import { openSealed } from "../../state/sealed.ts";
import type { TopologyNode } from "../../topology/index.ts";

/** A row of a store. */
export interface StoredRow {
  readonly key: string;
  readonly value: unknown;
  /** Event time in epoch milliseconds, where the store keeps it: of the record that set the row, or the greatest of those that it sums up. */
  readonly timestamp?: number;
  /** Bounds of its window or session, in epoch milliseconds. A window store of a process step knows the start alone. */
  readonly start?: number;
  readonly end?: number;
}

/** Which keys: from `from` (included) below `below` (excluded), in the order of their UTF-8 bytes. */
export interface ReadRange {
  readonly from?: string;
  readonly below?: string;
  readonly reverse?: boolean;
}

/** Where a store is read: one task's state. */
export interface ReadPlace {
  readonly backend: StateBackend;
  /** The stream time of a step as of the last commit; -Infinity where it has none. */
  readonly streamTime: (step: string) => number;
}

/** What kind of store it is, as it is asked. */
export type StoreKind = "key-value" | "ordered" | "versioned" | "window" | "session";

/** Reads one kind of store. */
export interface StoreReader {
  readonly name: string;
  readonly kind: StoreKind;
  /** The step that tells by what the store is partitioned. */
  readonly node: TopologyNode;
  /** Set where every task has all rows. */
  readonly isEverywhere?: boolean;
  /** Length of its windows, where all have one. */
  readonly windowMs?: number;
  /** A key's row; of a versioned store as of a moment. */
  readonly get?: (place: ReadPlace, key: string, asOf?: number) => StoredRow | undefined | Promise<StoredRow | undefined>;
  readonly range?: (place: ReadPlace, range: ReadRange) => AsyncGenerator<StoredRow, void>;
  /** A key's windows that start between two times, or its sessions that reach into them; both included; by time. */
  readonly windows?: (place: ReadPlace, key: string, from: number, to: number) => AsyncGenerator<StoredRow, void>;
}

const NUL = "\0";

/** The prefix of a store's entries. */
export function storePrefix(name: string): string {
  return `s${NUL}${name}${NUL}`;
}

/** Entries under a prefix, checked: what stands behind the prefix in the key, and the payload. */
export async function* readRange(backend: StateBackend, prefix: string, { from = "", below, reverse = false }: ReadRange, place: string): AsyncGenerator<readonly [key: string, payload: Buffer], void> {
  const end = below === undefined ? Buffer.concat([Buffer.from(prefix), Buffer.from([0xff])]) : Buffer.from(prefix + below);
  const begin = Buffer.from(prefix + from);
  if (Buffer.compare(begin, end) >= 0) return;
  const length = Buffer.byteLength(prefix);
  for await (const [key, stored] of backend.entries({ gte: begin, lt: end, reverse })) {
    yield [key.toString("utf8", length), openSealed(key, stored, place)];
  }
}
