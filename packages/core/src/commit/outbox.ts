/**
 * Sealed batches that no sink has acknowledged, stored in the commit that sealed them.
 *
 *   value := header (JSON text) | rows                    few rows, or a store without a file beside it
 *   value := header with the rows' place (JSON text)      many rows, which stand in the file beside the store
 */
import { ByteReader, ByteWriter, TopologyError } from "../model/index.ts";
import type { SealedBatch } from "../port/index.ts";
import type { AsidePlace } from "../state/aside-file.ts";
import type { StateBackend, StateBatch } from "../state/backend.ts";
import { openSealed, putSealed, writeKeyText } from "../state/sealed.ts";
import { isContentOf } from "./seal.ts";

/** A sealed batch on its way, with what the engine knows of it. */
export interface OutboxEntry {
  readonly batch: SealedBatch;
  /** True where its rows may have been delivered already under other batch boundaries. */
  readonly replayed: boolean;
  /** Where its rows stand beside the store; absent where they stand in it. */
  readonly place?: AsidePlace;
}

const PREFIX = "o\0";
const PREFIX_END = "o\x01";

function sinkPrefix(batch: SealedBatch): string {
  return `${PREFIX}${batch.connector}:${batch.target}\0`;
}

/** The key of a batch in the outbox. */
export function outboxKey(batch: SealedBatch): Buffer {
  const prefix = Buffer.from(sinkPrefix(batch));
  const key = Buffer.alloc(prefix.length + 8);
  prefix.copy(key);
  key.writeBigUInt64BE(BigInt(batch.sequence), prefix.length);
  return key;
}

/** Puts a batch into the outbox: with its rows, or, where they have a place beside the store, with that. */
export function putOutbox(target: StateBatch, scratch: ByteWriter, { batch, replayed, place }: OutboxEntry): void {
  const { bytes, ...header } = batch;
  scratch.reset();
  writeKeyText(scratch, sinkPrefix(batch));
  const at = scratch.position;
  scratch.ensure(8);
  scratch.buffer.writeBigUInt64BE(BigInt(batch.sequence), at);
  scratch.position = at + 8;
  const keyEnd = scratch.position;
  scratch.text(JSON.stringify({ ...header, replayed, place }));
  if (place === undefined) scratch.bytes(bytes);
  putSealed(target, scratch, keyEnd);
}

/** All batches in the outbox, in order a sink. Throws STATE_CORRUPT where one is damaged or one is missing between others. */
export async function readOutbox(backend: StateBackend, place: string): Promise<OutboxEntry[]> {
  const entries: OutboxEntry[] = [];
  for await (const [key, stored] of backend.entries({ gte: Buffer.from(PREFIX), lt: Buffer.from(PREFIX_END) })) entries.push(await readOutboxEntry(backend, key, stored, `${place}, outbox`));
  return entries;
}

async function readOutboxEntry(backend: StateBackend, key: Buffer, stored: Buffer, name: string): Promise<OutboxEntry> {
  const reader = new ByteReader(openSealed(key, stored, name));
  const { replayed, place, ...header } = JSON.parse(reader.text()) as Omit<SealedBatch, "bytes"> & Omit<OutboxEntry, "batch">;
  // A copy: the stored buffer is LevelDB's answer as a whole.
  if (place === undefined) return { batch: { ...header, bytes: Buffer.from(reader.bytes(reader.remaining)) }, replayed };
  const bytes = await backend.aside?.read(place);
  if (bytes !== undefined && isContentOf(header, bytes)) return { batch: { ...header, bytes }, replayed, place };
  throw new TopologyError("STATE_CORRUPT", bytes === undefined ? "rows beside the store are missing" : "rows beside the store do not match their hash", {
    place: `${name}, bytes ${place.at} to ${place.at + place.length} of the file beside the store`,
    cure: "start again: the state is rebuilt from the log where its sinks allow it",
  });
}

/** An entry of a store as another store can take it, which has not this one's file beside it. */
export async function portableEntry(backend: StateBackend, key: Buffer, stored: Buffer, name: string): Promise<Buffer> {
  if (key.subarray(0, PREFIX.length).toString("latin1") !== PREFIX) return stored;
  const { batch, replayed, place } = await readOutboxEntry(backend, key, stored, name);
  if (place === undefined) return stored;
  let portable = stored;
  putOutbox({ put: (_key, value) => (portable = Buffer.from(value)), del() {} }, new ByteWriter(batch.bytes.length + 4_096), { batch, replayed });
  return portable;
}
