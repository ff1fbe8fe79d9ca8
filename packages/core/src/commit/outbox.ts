/**
 * Sealed batches that no sink has acknowledged, stored in the commit that sealed them.
 *
 *   value := header (JSON text) | rows
 */
import { ByteReader, type ByteWriter } from "../model/index.ts";
import type { SealedBatch } from "../port/index.ts";
import type { StateBackend, StateBatch } from "../state/backend.ts";
import { openSealed, putSealed, writeKeyText } from "../state/sealed.ts";

/** A sealed batch on its way, with what the engine knows of it. */
export interface OutboxEntry {
  readonly batch: SealedBatch;
  /** True where its rows may have been delivered already under other batch boundaries. */
  readonly replayed: boolean;
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

/** Puts a batch into the outbox. */
export function putOutbox(target: StateBatch, scratch: ByteWriter, entry: OutboxEntry): void {
  const { bytes, ...header } = entry.batch;
  scratch.reset();
  writeKeyText(scratch, sinkPrefix(entry.batch));
  const at = scratch.position;
  scratch.ensure(8);
  scratch.buffer.writeBigUInt64BE(BigInt(entry.batch.sequence), at);
  scratch.position = at + 8;
  const keyEnd = scratch.position;
  scratch.text(JSON.stringify({ ...header, replayed: entry.replayed }));
  scratch.bytes(bytes);
  putSealed(target, scratch, keyEnd);
}

/** All batches in the outbox, in order a sink. Throws STATE_CORRUPT where one is damaged or one is missing between others. */
export async function readOutbox(backend: StateBackend, place: string): Promise<OutboxEntry[]> {
  const entries: OutboxEntry[] = [];
  for await (const [key, stored] of backend.entries({ gte: Buffer.from(PREFIX), lt: Buffer.from(PREFIX_END) })) {
    const reader = new ByteReader(openSealed(key, stored, `${place}, outbox`));
    const { replayed, ...header } = JSON.parse(reader.text()) as Omit<SealedBatch, "bytes"> & { replayed: boolean };
    // A copy: the stored buffer is LevelDB's answer as a whole.
    entries.push({ batch: { ...header, bytes: Buffer.from(reader.bytes(reader.remaining)) }, replayed });
  }
  return entries;
}
