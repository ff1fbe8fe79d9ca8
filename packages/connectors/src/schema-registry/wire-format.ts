/**
 * The wire format of schema registries:
 *
 *   value := 0 u8 | schema id u32, big-endian | payload
 *   Protobuf's payload := message index | message          message index := count zigzag varint, (index zigzag varint)*, or one 0 byte for the first message, [0]
 */
import { ByteCursor } from "./byte-cursor.ts";

const HEADER_BYTES = 5;

/** The schema id of a value; undefined where it has no header. */
export function schemaIdOf(value: Buffer): number | undefined {
  return value.length >= HEADER_BYTES && value[0] === 0 ? value.readUInt32BE(1) : undefined;
}

/** The bytes behind the header. */
export function payloadOf(value: Buffer): Buffer {
  return value.subarray(HEADER_BYTES);
}

/** The header of an id. */
export function headerOf(id: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(id, 1);
  return header;
}

const FIRST_MESSAGE: readonly number[] = Object.freeze([0]);
const NESTING_MAX = 64;

/** The path of a message's type, and where the message begins. Throws a RangeError on bytes that are none. */
export function readMessageIndex(payload: Buffer): { readonly path: readonly number[]; readonly position: number } {
  const cursor = new ByteCursor();
  cursor.reset(payload, 0);
  const count = cursor.size();
  if (count === 0) return { path: FIRST_MESSAGE, position: cursor.position };
  if (count > NESTING_MAX) throw new RangeError(`a message index has ${count} levels`);
  const path = Array.from({ length: count }, () => cursor.size());
  return { path, position: cursor.position };
}

/** The bytes of a message's path. */
export function messageIndexOf(path: readonly number[]): Buffer {
  if (path.length === 1 && path[0] === 0) return Buffer.from([0]);
  const bytes: number[] = [];
  for (const number of [path.length, ...path]) {
    let rest = number * 2;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
    bytes.push(rest);
  }
  return Buffer.from(bytes);
}
