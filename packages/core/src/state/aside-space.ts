import type { AsidePlace } from "./aside-file.ts";

/** Which bytes of an aside file are in use: places are taken where they fit first, so the file stays about as long as what is used at a time. */
export class AsideSpace {
  /** In the order of the file; no two overlap. */
  readonly #used: AsidePlace[];
  /** The highest {@link AsideSpace.end} since it was set. */
  peak: number;

  constructor(used: readonly AsidePlace[] = []) {
    this.#used = used.toSorted((a, b) => a.at - b.at);
    this.peak = this.end;
  }

  /** Where the last used place ends. */
  get end(): number {
    const last = this.#used.at(-1);
    return last === undefined ? 0 : last.at + last.length;
  }

  /** Takes the first free place of so many bytes. */
  take(length: number): AsidePlace {
    let at = 0;
    let index = 0;
    for (; index < this.#used.length; index++) {
      const next = this.#used[index] as AsidePlace;
      if (next.at - at >= length) break;
      at = next.at + next.length;
    }
    const place = { at, length };
    this.#used.splice(index, 0, place);
    this.peak = Math.max(this.peak, this.end);
    return place;
  }

  /** Gives a place back that was taken. */
  free(place: AsidePlace): void {
    const index = this.#used.findIndex(({ at }) => at === place.at);
    if (index >= 0) this.#used.splice(index, 1);
  }
}
