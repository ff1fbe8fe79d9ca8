/** Records of a left or outer join that nothing has matched yet, until nothing can. */
import { type HeldRecord, heldCodec } from "../../state/held-codec.ts";
import { keyBehindTime, OrderedTable, timedKey, timeOfKey } from "../../state/ordered-table.ts";
import type { AnySerde } from "../../topology/index.ts";
import type { TaskContext } from "../context.ts";

/** A record that leaves unmatched. */
export interface UnmatchedRecord extends HeldRecord<unknown> {
  readonly key: string;
  readonly timestamp: number;
}

/** The unmatched records of one side, by time and key. Those of one time and key are matched by the same records, so they are one entry. */
export class Unmatched {
  readonly #table: OrderedTable<readonly HeldRecord<unknown>[]>;
  /** None is older; unknown after a start. */
  #earliest = Number.NEGATIVE_INFINITY;

  constructor({ backend, cacheEntriesMax: entriesMax, scratch, tables }: TaskContext, name: string, serde: AnySerde) {
    this.#table = new OrderedTable(backend, name, heldCodec<unknown>(serde), { entriesMax, scratch });
    tables.push(this.#table);
  }

  hold(key: string, timestamp: number, record: HeldRecord<unknown>): void {
    const place = timedKey(timestamp, key);
    if (this.#table.has(place)) this.#table.put(place, [...(this.#table.get(place) ?? []), record]);
    else this.#table.add(place, [record]);
    if (timestamp < this.#earliest) this.#earliest = timestamp;
  }

  /** Something has matched. */
  release(key: string, timestamp: number): void {
    this.#table.delete(timedKey(timestamp, key));
  }

  /** Takes out what is older than the bound, in the order of time, key, arrival. */
  takeBelow(bound: number): UnmatchedRecord[] {
    if (this.#earliest >= bound) return [];
    const taken: UnmatchedRecord[] = [];
    for (const [place, records] of this.#table.entries({ below: timedKey(bound, "") })) {
      this.#table.delete(place);
      const [timestamp, key] = [timeOfKey(place), keyBehindTime(place)];
      for (const record of records) taken.push({ ...record, key, timestamp });
    }
    const first = this.#table.keys().next();
    this.#earliest = first.done === true ? Number.POSITIVE_INFINITY : timeOfKey(first.value);
    return taken;
  }
}
