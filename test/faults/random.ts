/** A seeded generator: the same seed gives the same faults and the same input. */
export interface Random {
  /** A whole number from 0 to below the bound. */
  below(bound: number): number;
  /** True in one of so many cases. */
  oneIn(cases: number): boolean;
  pick<T>(items: readonly T[]): T;
}

/** Numbers in [0, 1), by mulberry32. */
export function seededNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function seededRandom(seed: number): Random {
  const next = seededNumbers(seed);
  const below = (bound: number): number => Math.floor(next() * bound);
  return {
    below,
    oneIn: (cases) => below(cases) === 0,
    pick(items) {
      const item = items[below(items.length)];
      if (item === undefined && items.length === 0) throw new Error("nothing to pick from");
      return item as never;
    },
  };
}
