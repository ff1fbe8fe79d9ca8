/**
 * A set of byte keys in arrays of numbers: no object a key, so that neither memory nor the collector feels a hundred thousand of them.
 *
 *   slots: entry number + 1, or 0, by hash (open addressing)      hashes, ends: by entry      bytes: the keys, one behind another
 *
 * Entries are numbered from 0 in the order in which they came.
 */
const ENTRIES_FIRST = 1 << 10;
const BYTES_A_KEY = 24;

export class KeySet {
  #slots: Int32Array = new Int32Array(ENTRIES_FIRST * 2);
  #hashes: Int32Array = new Int32Array(ENTRIES_FIRST);
  #ends: Int32Array = new Int32Array(ENTRIES_FIRST);
  #bytes: Buffer = Buffer.allocUnsafeSlow(ENTRIES_FIRST * BYTES_A_KEY);
  #size = 0;

  get size(): number {
    return this.#size;
  }
  /** All keys, one behind another. */
  get bytes(): Buffer {
    return this.#bytes;
  }
  startOf(entry: number): number {
    return entry === 0 ? 0 : (this.#ends[entry - 1] as number);
  }
  endOf(entry: number): number {
    return this.#ends[entry] as number;
  }
  hashOf(entry: number): number {
    return this.#hashes[entry] as number;
  }

  has(bytes: Buffer, start: number, end: number, hash: number): boolean {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const entry = (slots[slot] as number) - 1;
      if (entry < 0) return false;
      if (this.#hashes[entry] === hash && this.#equals(entry, bytes, start, end)) return true;
    }
  }

  #equals(entry: number, bytes: Buffer, start: number, end: number): boolean {
    const from = this.startOf(entry);
    const length = end - start;
    if ((this.#ends[entry] as number) - from !== length) return false;
    const own = this.#bytes;
    for (let at = 0; at < length; at++) if (own[from + at] !== bytes[start + at]) return false;
    return true;
  }

  /** Adds a key that is not in the set. */
  add(bytes: Buffer, start: number, end: number, hash: number): void {
    const entry = this.#size;
    if (entry === this.#hashes.length) this.#growEntries();
    const from = this.startOf(entry);
    const to = from + end - start;
    if (to > this.#bytes.length) this.#growBytes(to);
    const own = this.#bytes;
    for (let at = 0; at < end - start; at++) own[from + at] = bytes[start + at] as number;
    this.#hashes[entry] = hash;
    this.#ends[entry] = to;
    this.#size = entry + 1;
    this.#place(entry, hash);
  }

  #place(entry: number, hash: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = hash & mask;
    while (slots[slot] !== 0) slot = (slot + 1) & mask;
    slots[slot] = entry + 1;
  }

  #growEntries(): void {
    const capacity = this.#hashes.length * 2;
    const [hashes, ends] = [new Int32Array(capacity), new Int32Array(capacity)];
    hashes.set(this.#hashes);
    ends.set(this.#ends);
    this.#hashes = hashes;
    this.#ends = ends;
    this.#slots = new Int32Array(capacity * 2);
    for (let entry = 0; entry < this.#size; entry++) this.#place(entry, hashes[entry] as number);
  }

  #growBytes(wanted: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(wanted, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.startOf(this.#size));
    this.#bytes = grown;
  }
}
