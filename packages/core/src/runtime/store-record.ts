/**
 * What a task's state says of itself: the shapes of its stores, as the topology had them that wrote it.
 *
 *   "m\0stores" -> {format, stores, migrating?}        in the commit that follows a change of it
 *
 * It is part of the state: it goes into the changelog and into savepoints, so that whoever opens the state can compare.
 */
import { type ByteWriter, TopologyError } from "../model/index.ts";
import type { StoreShape } from "../plan/index.ts";
import type { StateBackend, StateBatch } from "../state/backend.ts";
import { openSealed, putSealed, writeKeyText } from "../state/sealed.ts";

/** A store as it was last written. */
export interface KnownStore extends StoreShape {
  /** The commit up to which it was kept, where a later topology left it out. */
  readonly leftAt?: number;
}

/** A migration under way: every entry up to the cursor is made over. */
export interface RunningMigration {
  readonly store: string;
  /** The shape that the store gets. */
  readonly to: StoreShape;
  /** The last key that was made over, in hex; empty before the first. */
  readonly cursor: string;
}

/** The record. */
export interface StoreRecord {
  readonly format: 1;
  readonly stores: Readonly<Record<string, KnownStore>>;
  readonly migrating?: RunningMigration;
}

/** The key of the record. */
export const STORES_KEY: Buffer = Buffer.from("m\0stores");

/** Puts the record. */
export function putStoreRecord(batch: StateBatch, scratch: ByteWriter, record: StoreRecord): void {
  scratch.reset();
  scratch.bytes(STORES_KEY);
  writeKeyText(scratch, JSON.stringify(record));
  putSealed(batch, scratch, STORES_KEY.length);
}

/** The record of a state; undefined in one that is new, or that was written before there were records. Throws STATE_CORRUPT. */
export function readStoreRecord(backend: StateBackend, place: string): StoreRecord | undefined {
  const stored = backend.getSync(STORES_KEY);
  if (stored === undefined) return undefined;
  const record = JSON.parse(openSealed(STORES_KEY, stored, `${place}, record of its stores`).toString()) as StoreRecord;
  if (record.format === 1) return record;
  throw new TopologyError("STATE_MISMATCH", `the state was written by a newer version of iot-topology (record of format ${String(record.format)})`, { place, cure: "run that version, or a newer one" });
}
