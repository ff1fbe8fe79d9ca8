/**
 * Texts that come again and again (ids, names of metrics and sites) as one and the same string: no copy a record, and a Map finds a string faster that it has seen.
 * Where texts seldom come again, a copy is cheaper, and the memory of them is given up.
 */
const SLOTS_FIRST = 1 << 12;
const SLOTS_MAX = 1 << 15;
const LENGTH_MAX = 64;
const SPREAD = 0x9e37_79b1;
// A trial is long enough for each slot's text to come again: the first time no text is known.
const LOOKS_A_SLOT = 4;

/** Text of ASCII bytes. `hash` is any function of the bytes. */
export type TextOf = (bytes: Buffer, start: number, end: number, hash: number) => string;

function isText(text: string, bytes: Buffer, start: number, end: number): boolean {
  const { length } = text;
  if (length !== end - start) return false;
  for (let at = 0; at < length; at++) if (text.charCodeAt(at) !== bytes[start + at]) return false;
  return true;
}

/** Compiles the reader of one column. */
export function compileTextOf(): TextOf {
  let known: string[] | undefined = new Array<string>(SLOTS_FIRST).fill("");
  let mask = SLOTS_FIRST - 1;
  let looks = 0;
  let misses = 0;
  return (bytes, start, end, hash) => {
    if (known === undefined || end - start > LENGTH_MAX) return bytes.latin1Slice(start, end);
    // The upper bits of a product depend on all bits of the hash: its own lower bits are much alike for texts that end in digits.
    const slot = (Math.imul(hash, SPREAD) >>> 16) & mask;
    looks++;
    // Two slots a text: of as many texts as there are slots, one in four would fall on another's.
    const first = known[slot] as string;
    if (isText(first, bytes, start, end)) return first;
    const second = known[slot ^ 1] as string;
    if (isText(second, bytes, start, end)) return second;
    misses++;
    const text = bytes.latin1Slice(start, end);
    known[first === "" || (second !== "" && (misses & 1) === 0) ? slot : slot ^ 1] = text;
    if (looks >= known.length * LOOKS_A_SLOT) {
      // Where many were not known there may be more of them than slots; where half are not even with the most slots, the next trial is not worth its memory.
      if (misses > looks / 16 && known.length < SLOTS_MAX) {
        known = new Array<string>(known.length * 8).fill("");
        mask = known.length - 1;
      } else if (misses > looks / 2) known = undefined;
      looks = 0;
      misses = 0;
    }
    return text;
  };
}
