import type { MemoryBackend } from "../state/memory-backend.ts";
import { openSealed } from "../state/sealed.ts";

const AFTER_NUL = "\x01";

/** Entries below a store's prefix, which ends with NUL, in the order of their keys' bytes and checked: what stands behind the prefix in the key, and the payload. `to` is not part of them. */
export function storedEntries(backend: MemoryBackend, store: string, prefix: string, from = "", to?: string): (readonly [key: string, payload: Buffer])[] {
  const end = to === undefined ? `${prefix.slice(0, -1)}${AFTER_NUL}` : `${prefix}${to}`;
  return backend
    .entriesSync({ gte: Buffer.from(`${prefix}${from}`), lt: Buffer.from(end) })
    .map(([key, stored]) => [key.toString("utf8").slice(prefix.length), openSealed(key, stored, `store ${store}`)] as const);
}
