import type { KeptParts } from "./simulate.ts";

const TRIES_MAX = 400;

/** Leaves out halves, then quarters, then single ones, as long as what is left still fails. */
async function shrinkList(list: readonly number[], fails: (rest: readonly number[]) => Promise<boolean>): Promise<readonly number[]> {
  let kept = list;
  for (let size = Math.max(1, kept.length >> 1); size >= 1; size = size === 1 ? 0 : size >> 1) {
    for (let start = 0; start < kept.length; ) {
      const rest = [...kept.slice(0, start), ...kept.slice(start + size)];
      if (await fails(rest)) kept = rest;
      else start += size;
    }
  }
  return kept;
}

/** Makes a failing schedule smaller: first what happens in it, then its records, then what happens once more. A bounded number of tries. */
export async function shrink(from: KeptParts, fails: (kept: KeptParts) => Promise<boolean>): Promise<KeptParts> {
  let left = TRIES_MAX;
  const tried = async (kept: KeptParts): Promise<boolean> => left-- > 0 && (await fails(kept));
  let { records, items } = from;
  items = await shrinkList(items, (rest) => tried({ records, items: rest }));
  records = await shrinkList(records, (rest) => tried({ records: rest, items }));
  items = await shrinkList(items, (rest) => tried({ records, items: rest }));
  return { records, items };
}
