/** Key-value stores of process steps: plain, ordered, with and without a TTL. */
import { TopologyError } from "../../model/index.ts";
import type { ValueCodec } from "../../state/codec.ts";
import { OrderedTable, prefixEnd } from "../../state/ordered-table.ts";
import { StateTable } from "../../state/table.ts";
import type { AnySerde, KeyWalk, OrderedStore } from "../../topology/index.ts";
import { frozen } from "../frozen.ts";
import { set } from "../undo-log.ts";
import { Expiry } from "./expiry.ts";
import { indexOf, type OpenedStore, type StorePlace, tableOptions } from "./place.ts";

/** A value and the stream time at which it goes. */
export interface Mortal {
  readonly value: unknown;
  readonly expiresAt: number;
}

/** The bytes of the serde alone. */
export function plainCodec(serde: AnySerde): ValueCodec<unknown> {
  return { encode: (writer, value) => serde.encode(writer, value), decode: (reader) => frozen(serde.decode(reader.bytes(reader.remaining)) as unknown) };
}

/** expiry f64 | the serde's bytes. */
export function mortalCodec(serde: AnySerde): ValueCodec<Mortal> {
  return {
    encode(writer, { value, expiresAt }) {
      writer.f64(expiresAt);
      serde.encode(writer, value);
    },
    decode(reader) {
      const expiresAt = reader.f64();
      return { value: frozen(serde.decode(reader.bytes(reader.remaining)) as unknown), expiresAt };
    },
  };
}

type Table<V> = StateTable<V> | OrderedTable<V>;

function openTableOf<V>(place: StorePlace, name: string, isOrdered: boolean, codec: ValueCodec<V>): Table<V> {
  const { context } = place;
  const table = isOrdered ? new OrderedTable(context.backend, name, codec, tableOptions(context)) : new StateTable(context.backend, name, codec, tableOptions(context));
  context.tables.push(table);
  return table;
}

/** Walks of an ordered store; a plain one has none. */
function walks(name: string, entries: ((walk: KeyWalk) => Iterable<readonly [string, unknown]>) | undefined): Pick<OrderedStore<unknown>, "range" | "prefix"> {
  const walk = (wanted: KeyWalk): Iterable<readonly [string, unknown]> => {
    if (entries !== undefined) return entries(wanted);
    throw new TopologyError("USAGE", "the keys of this store have no order", { place: `store ${name}`, cure: "declare it with orderedStore" });
  };
  return {
    range: (wanted = {}) => walk(wanted),
    prefix: (prefix, options) => walk({ from: prefix, below: prefixEnd(prefix), reverse: options?.reverse === true }),
  };
}

/** Opens a store without a TTL. */
function openPlain(place: StorePlace, name: string, serde: AnySerde, isOrdered: boolean): OpenedStore {
  const table = openTableOf(place, name, isOrdered, plainCodec(serde));
  const { undo } = place;
  const store: OrderedStore<unknown> = {
    get: (key) => table.get(key),
    put(key, value, options) {
      if (options?.ttl !== undefined) throw new TopologyError("USAGE", "the store is declared without a TTL", { place: `store ${name}`, cure: "declare it with { ttl }" });
      set(undo, table, key, value === null || value === undefined ? undefined : frozen(value));
    },
    delete: (key) => set(undo, table, key, undefined),
    ...walks(name, table instanceof OrderedTable ? (walk) => table.entries(walk) : undefined),
  };
  return { store, advance: () => {} };
}

function openMortal(place: StorePlace, name: string, serde: AnySerde, isOrdered: boolean, ttlMs: number): OpenedStore {
  const table = openTableOf(place, name, isOrdered, mortalCodec(serde));
  const { undo } = place;
  const expiry = new Expiry(indexOf(place, name), undo);
  let time = Number.NEGATIVE_INFINITY;
  const alive = (entry: Mortal | undefined): unknown => (entry === undefined || entry.expiresAt <= time ? undefined : entry.value);
  const assign = (key: string, entry: Mortal | undefined): void => {
    const old = table.get(key);
    if (old !== undefined) expiry.remove(old.expiresAt, key);
    if (entry !== undefined) expiry.add(entry.expiresAt, key);
    set(undo, table, key, entry);
  };
  function* entries(walk: KeyWalk): Generator<readonly [string, unknown], void> {
    for (const [key, entry] of (table as OrderedTable<Mortal>).entries(walk)) if (entry.expiresAt > time) yield [key, entry.value];
  }
  const store: OrderedStore<unknown> = {
    get: (key) => alive(table.get(key)),
    put(key, value, options) {
      const ttl = options?.ttl ?? ttlMs;
      if (!(ttl > 0)) throw new TopologyError("USAGE", `a TTL of ${ttl} ms`, { place: `store ${name}`, cure: "give a length of time above 0" });
      // Before the first record stream time is unknown: what `init` puts lives from then on.
      assign(key, value === null || value === undefined ? undefined : { value: frozen(value), expiresAt: Math.min(Math.ceil((Number.isFinite(time) ? time : place.now()) + ttl), 8.64e15) });
    },
    delete: (key) => assign(key, undefined),
    ...walks(name, isOrdered ? entries : undefined),
  };
  return {
    store,
    advance(streamTime) {
      if (streamTime <= time) return;
      time = streamTime;
      expiry.takeBefore(time + 1, (key) => table.delete(key));
    },
  };
}

/** Opens a key-value store. */
export function openKeyValue(place: StorePlace, name: string, form: { readonly kind: "key-value" | "ordered"; readonly serde: AnySerde; readonly ttlMs: number | undefined }): OpenedStore {
  const isOrdered = form.kind === "ordered";
  return form.ttlMs === undefined ? openPlain(place, name, form.serde, isOrdered) : openMortal(place, name, form.serde, isOrdered, form.ttlMs);
}
