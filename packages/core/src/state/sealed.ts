/**
 * What is stored carries a CRC, because LevelDB serves flipped bits without a word (12 of 12 runs, measured):
 *
 *   stored value := payload | crc32(key, payload) u32
 */
import { type ByteWriter, TopologyError } from "../model/index.ts";
import type { StateBackend, StateBatch } from "./backend.ts";
import { crc32 } from "./crc32.ts";

const CRC_BYTES = 4;

/**
 * Puts what stands in the scratch writer: the key up to `keyEnd`, the payload behind it. One scratch buffer for both saves a copy a value,
 * and the CRC runs over one piece.
 */
export function putSealed(batch: StateBatch, scratch: ByteWriter, keyEnd: number): void {
  scratch.u32(crc32(scratch.buffer, 0, scratch.position));
  batch.put(scratch.view(0, keyEnd), scratch.view(keyEnd, scratch.position));
}

/** Text without a length, in UTF-8: how keys are written. */
export function writeKeyText(writer: ByteWriter, text: string): void {
  writer.utf8(text);
}

/** Begins an entry in an empty scratch writer with a store's key; tells where the key ends. */
export function beginEntry(scratch: ByteWriter, prefix: string, key: string): number {
  scratch.reset();
  writeKeyText(scratch, prefix);
  writeKeyText(scratch, key);
  return scratch.position;
}

/** The payload that a store holds under a key, or undefined; throws STATE_CORRUPT. */
export function readEntry(backend: StateBackend, scratch: ByteWriter, prefix: string, key: string, place: string): Buffer | undefined {
  // The end first: a key that is longer than the scratch makes it take another buffer.
  const keyEnd = beginEntry(scratch, prefix, key);
  const keyBytes = scratch.view(0, keyEnd);
  const stored = backend.getSync(keyBytes);
  return stored === undefined ? undefined : openSealed(keyBytes, stored, place);
}

/** The payload of a stored value; throws STATE_CORRUPT where its CRC does not hold. `place` names the store. */
export function openSealed(key: Uint8Array, stored: Buffer, place: string): Buffer {
  const payload = openValue(key, stored);
  if (payload !== undefined) return payload;
  throw new TopologyError("STATE_CORRUPT", "a stored value does not match its checksum", {
    place,
    cure: "start again: the state is rebuilt from the log where its sinks allow it",
  });
}

/** The bytes to store for a payload: the payload and a CRC of key and payload, so that a value under a wrong key is found too. */
export function sealedValue(key: Uint8Array, payload: Uint8Array): Buffer {
  const stored = Buffer.allocUnsafe(payload.length + CRC_BYTES);
  stored.set(payload, 0);
  return sealValueInPlace(key, stored);
}

/** The same without a copy: the last four bytes of `stored` are room for the CRC. Gives `stored` back. */
export function sealValueInPlace(key: Uint8Array, stored: Buffer): Buffer {
  const end = stored.length - CRC_BYTES;
  stored.writeUInt32LE(crc32(stored, 0, end, keyCrc(key)), end);
  return stored;
}

/** The payload as a view of the stored bytes, or undefined where the CRC does not fit key and payload. */
export function openValue(key: Uint8Array, stored: Buffer): Buffer | undefined {
  const end = stored.length - CRC_BYTES;
  if (end < 0) return undefined;
  return crc32(stored, 0, end, keyCrc(key)) === stored.readUInt32LE(end) ? stored.subarray(0, end) : undefined;
}

function keyCrc(key: Uint8Array): number {
  return crc32(key, 0, key.length);
}
