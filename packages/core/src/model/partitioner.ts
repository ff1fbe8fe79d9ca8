/** Kafka's choice of a partition by key, so that a topic has the same layout in the embedded log and in Kafka. */
const SEED = 0x9747b28c;
const M = 0x5bd1e995;
const R = 24;

/** The 32-bit murmur2 of `bytes[start, end)` with Kafka's seed, signed as Java has it. */
export function murmur2(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  let hash = SEED ^ (end - start);
  let at = start;
  for (; at + 4 <= end; at += 4) {
    let word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    word = Math.imul(word, M);
    word ^= word >>> R;
    hash = Math.imul(hash, M) ^ Math.imul(word, M);
  }
  if (at < end) {
    if (end - at > 2) hash ^= bytes[at + 2]! << 16;
    if (end - at > 1) hash ^= bytes[at + 1]! << 8;
    hash = Math.imul(hash ^ bytes[at]!, M);
  }
  hash ^= hash >>> 13;
  hash = Math.imul(hash, M);
  return hash ^ (hash >>> 15);
}

/** The partition of a record with this key, as Kafka's default partitioner chooses it. */
export function partitionOfKey(key: Uint8Array, partitions: number, start = 0, end: number = key.length): number {
  return (murmur2(key, start, end) & 0x7fffffff) % partitions;
}
