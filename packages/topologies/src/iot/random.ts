/**
 * Random numbers without state: a hash of the seed and of what the number is for. Any part of a stream can then be made again
 * without making what came before it, which is how a generator goes on after a restart.
 */
export function hash32(seed: number, ...parts: readonly number[]): number {
  let h = mix(seed ^ 0x9e3779b9);
  for (const part of parts) {
    h = mix(h ^ (part >>> 0));
    h = mix(h ^ Math.floor(part / 4_294_967_296));
  }
  return h >>> 0;
}

/** A number in [0, 1). */
export function unit(seed: number, ...parts: readonly number[]): number {
  return hash32(seed, ...parts) / 4_294_967_296;
}

/** One of a list. */
export function pick<T>(list: readonly [T, ...T[]], seed: number, ...parts: readonly number[]): T {
  return list[hash32(seed, ...parts) % list.length] ?? list[0];
}

/** The finaliser of MurmurHash3: every input bit changes half of the output bits. */
function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
