/**
 * Tells for certain of most keys that they are not in a store (a Bloom filter), so that LevelDB need not be asked: a look-up that finds nothing takes 2 us there.
 * "Maybe" is never wrong; about 1 key in 100 that is absent is a "maybe" too.
 *
 * Split blocks: a key sets one bit in each of the eight words of one block, so that a look costs one line of the processor's cache. Layers, each four times as large as
 * the one before, let it grow without hashing anything again. At its greatest size it takes more keys and says "maybe" more often.
 */
import { spread } from "./key-hash.ts";

const BLOCK_WORDS = 8;
const KEYS_A_BLOCK = 21;
const FIRST_BLOCKS = 1 << 11;
const GROWTH = 4;
// Odd numbers, one a word: those of Parquet's split block filters.
const SALTS = [0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31] as const;
const [S0, S1, S2, S3, S4, S5, S6, S7] = SALTS;

interface Layer {
  readonly words: Int32Array;
  readonly blockMask: number;
  readonly keysMax: number;
  count: number;
}

function layer(blocks: number): Layer {
  return { words: new Int32Array(blocks * BLOCK_WORDS), blockMask: blocks - 1, keysMax: blocks * KEYS_A_BLOCK, count: 0 };
}

function holds({ words, blockMask }: Layer, block: number, bits: number): boolean {
  const at = (block & blockMask) * BLOCK_WORDS;
  return (
    (words[at]! & (1 << (Math.imul(bits, S0) >>> 27))) !== 0 &&
    (words[at + 1]! & (1 << (Math.imul(bits, S1) >>> 27))) !== 0 &&
    (words[at + 2]! & (1 << (Math.imul(bits, S2) >>> 27))) !== 0 &&
    (words[at + 3]! & (1 << (Math.imul(bits, S3) >>> 27))) !== 0 &&
    (words[at + 4]! & (1 << (Math.imul(bits, S4) >>> 27))) !== 0 &&
    (words[at + 5]! & (1 << (Math.imul(bits, S5) >>> 27))) !== 0 &&
    (words[at + 6]! & (1 << (Math.imul(bits, S6) >>> 27))) !== 0 &&
    (words[at + 7]! & (1 << (Math.imul(bits, S7) >>> 27))) !== 0
  );
}

export class KeyFilter {
  readonly #bytesMax: number;
  readonly #layers: Layer[] = [layer(FIRST_BLOCKS)];
  #last: Layer = this.#layers[0] as Layer;

  /** `bytesMax` bounds its memory, to within the factor by which it grows. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Memory in bytes. */
  get bytes(): number {
    return this.#layers.reduce((sum, { words }) => sum + words.byteLength, 0);
  }

  /** False where no key of this hash was added. */
  mayHold(hash: number): boolean {
    const bits = spread(hash + 0x9e3779b9);
    for (let index = this.#layers.length - 1; index >= 0; index--) if (holds(this.#layers[index] as Layer, hash, bits)) return true;
    return false;
  }

  add(hash: number): void {
    let last = this.#last;
    if (last.count >= last.keysMax) last = this.#grow(last);
    last.count++;
    const { words } = last;
    const at = (hash & last.blockMask) * BLOCK_WORDS;
    const bits = spread(hash + 0x9e3779b9);
    for (let word = 0; word < BLOCK_WORDS; word++) words[at + word]! |= 1 << (Math.imul(bits, SALTS[word]!) >>> 27);
  }

  #grow(last: Layer): Layer {
    const blocks = (last.blockMask + 1) * GROWTH;
    if (blocks * BLOCK_WORDS * 4 > this.#bytesMax) return last;
    this.#last = layer(blocks);
    this.#layers.push(this.#last);
    return this.#last;
  }
}
