import type { Entry } from "./table.ts";

/**
 * Entries of a store that were found lately, by something that is cheaper to come by than the text of their key: the value of a field. That is most often the very
 * text that it was the last time, which a Map finds by its address, while a key's text is made, hashed and compared anew for each record.
 *
 * One entry a name: which of a name's keys it is the caller has to tell from the value.
 */
export class RecentEntries<V> {
  readonly #store: { readonly generation: number };
  readonly #entries = new Map<string, Entry<V>>();
  #generation = 0;

  constructor(store: { readonly generation: number }) {
    this.#store = store;
  }

  /** Undefined for what is no text. */
  get(name: unknown): Entry<V> | undefined {
    if (typeof name !== "string") return undefined;
    if (this.#generation === this.#store.generation) return this.#entries.get(name);
    // Entries may have left the store's memory, where changes of them would be lost.
    this.#generation = this.#store.generation;
    this.#entries.clear();
    return undefined;
  }

  /** Remembers an entry that the store gave just now, behind a `get` that did not find it. */
  set(name: unknown, entry: Entry<V>): void {
    if (typeof name === "string") this.#entries.set(name, entry);
  }
}
