/**
 * Which of 4,096 consecutive sequence numbers were seen, as ranges. A device that counts up leaves one range of a few bytes a page; in the worst
 * case (every other number) a bitmap of 512 bytes bounds the size.
 *
 *   page := 0 | count varint | (gap varint, length - 1 varint)*      ranges, each gap counted from the end of the range before
 *         | 1 | 512 bytes                                            bitmap
 */
import type { ByteReader, ByteWriter } from "../model/index.ts";
import type { ValueCodec } from "./codec.ts";

export const PAGE_SIZE = 4_096;
const BITMAP_BYTES = PAGE_SIZE / 8;
const RANGES = 0;
const BITMAP = 1;
// A range costs at most 4 bytes, so from here on the bitmap is never larger.
const RANGES_MAX = BITMAP_BYTES / 4;

/** Not next to any number of a page. */
const NONE = -2;

export class SequencePage {
  /** The last range, its end included; NONE where nothing was seen. Nearly all that is asked is answered here, without a look at an array. */
  #first: number;
  #last: number;
  /** Starts and ends (included) of the ranges before it, ascending, never adjacent: s0, e0, s1, e1, ... */
  readonly #earlier: number[];
  /** Which page it is. Not stored: whoever looked it up knows. */
  page: number | bigint | undefined;

  /** Of all ranges, as `bounds` gives them. */
  constructor(bounds: readonly number[] = []) {
    this.#first = bounds.at(-2) ?? NONE;
    this.#last = bounds.at(-1) ?? NONE;
    this.#earlier = bounds.slice(0, -2);
  }

  /** Starts and ends (included) of all ranges, ascending, never adjacent. */
  get bounds(): readonly number[] {
    return this.#last === NONE ? [] : [...this.#earlier, this.#first, this.#last];
  }

  /** Adds a number of the page (0 to 4,095) and tells whether it is new. */
  add(n: number): boolean {
    const earlier = this.#earlier;
    if (n > this.#last) {
      if (n !== this.#last + 1) {
        if (this.#last !== NONE) earlier.push(this.#first, this.#last);
        this.#first = n;
      }
      this.#last = n;
      return true;
    }
    if (n >= this.#first) return false;
    if (earlier.length > 0 && n <= (earlier[earlier.length - 1] as number) + 1) return this.#addEarlier(earlier, n);
    if (n + 1 === this.#first) this.#first = n;
    else earlier.push(n, n);
    return true;
  }

  /** Adds a number that is at most next behind the earlier ranges. */
  #addEarlier(bounds: number[], n: number): boolean {
    const end = bounds.length - 1;
    if (n === (bounds[end] as number) + 1) {
      if (n + 1 !== this.#first) bounds[end] = n;
      else {
        this.#first = bounds[end - 1] as number;
        bounds.length -= 2;
      }
      return true;
    }
    // The first range that ends at n or behind it.
    let low = 0;
    let high = bounds.length / 2 - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((bounds[middle * 2 + 1] as number) < n) low = middle + 1;
      else high = middle;
    }
    const start = bounds[low * 2] as number;
    if (n >= start) return false;
    const joinsRight = n + 1 === start;
    const joinsLeft = low > 0 && (bounds[low * 2 - 1] as number) + 1 === n;
    if (joinsLeft && joinsRight) bounds.splice(low * 2 - 1, 2);
    else if (joinsRight) bounds[low * 2] = n;
    else if (joinsLeft) bounds[low * 2 - 1] = n;
    else bounds.splice(low * 2, 0, n, n);
    return true;
  }

  has(n: number): boolean {
    const { bounds } = this;
    for (let at = 0; at < bounds.length; at += 2) {
      if (n < (bounds[at] as number)) return false;
      if (n <= (bounds[at + 1] as number)) return true;
    }
    return false;
  }
}

/** Bytes of a page. */
export const sequencePageCodec: ValueCodec<SequencePage> = Object.freeze({
  encode(writer: ByteWriter, page: SequencePage): void {
    const { bounds } = page;
    if (bounds.length / 2 > RANGES_MAX) {
      const bits = Buffer.alloc(BITMAP_BYTES);
      for (let at = 0; at < bounds.length; at += 2) {
        for (let n = bounds[at] as number; n <= (bounds[at + 1] as number); n++) bits[n >> 3] = (bits[n >> 3] as number) | (1 << (n & 7));
      }
      writer.u8(BITMAP);
      writer.bytes(bits);
      return;
    }
    writer.u8(RANGES);
    writer.varint(bounds.length / 2);
    let end = 0;
    for (let at = 0; at < bounds.length; at += 2) {
      writer.varint((bounds[at] as number) - end);
      writer.varint((bounds[at + 1] as number) - (bounds[at] as number));
      end = bounds[at + 1] as number;
    }
  },
  decode(reader: ByteReader): SequencePage {
    const bounds: number[] = [];
    if (reader.u8() === BITMAP) {
      const bits = reader.bytes(BITMAP_BYTES);
      for (let n = 0; n < PAGE_SIZE; n++) {
        if (((bits[n >> 3] as number) & (1 << (n & 7))) === 0) continue;
        if (bounds.length > 0 && bounds[bounds.length - 1] === n - 1) bounds[bounds.length - 1] = n;
        else bounds.push(n, n);
      }
      return new SequencePage(bounds);
    }
    const count = reader.varint();
    let end = 0;
    for (let index = 0; index < count; index++) {
      const start = end + reader.varint();
      end = start + reader.varint();
      bounds.push(start, end);
    }
    return new SequencePage(bounds);
  },
});
