/**
 * Texts that come again and again (ids, names of metrics and sites) as one and the same string: no copy a record, and a Map finds a string faster that it has seen.
 * Where texts seldom come again, a copy is cheaper, and the memory of them is given up.
 */
const SLOTS = 1 << 12;
const LENGTH_MAX = 64;
const TRIAL = 1 << 13;

/** Text of ASCII bytes. `hash` is any function of the bytes. */
export type TextOf = (bytes: Buffer, start: number, end: number, hash: number) => string;

/** Compiles the reader of one column. */
export function compileTextOf(): TextOf {
  let known: string[] | undefined = new Array<string>(SLOTS).fill("");
  let looks = 0;
  let misses = 0;
  return (bytes, start, end, hash) => {
    if (known === undefined || end - start > LENGTH_MAX) return bytes.latin1Slice(start, end);
    const slot = (hash ^ (hash >>> 15)) & (SLOTS - 1);
    const found = known[slot] as string;
    looks++;
    if (found.length === end - start) {
      let at = 0;
      while (at < found.length && found.charCodeAt(at) === bytes[start + at]) at++;
      if (at === found.length) return found;
    }
    misses++;
    const text = bytes.latin1Slice(start, end);
    known[slot] = text;
    if (looks >= TRIAL) {
      // Half of a trial's texts must have been known, or the next trial is not worth its memory.
      if (misses > looks / 2) known = undefined;
      looks = 0;
      misses = 0;
    }
    return text;
  };
}
