import type { StoreRow } from "../case.ts";
import type { KeyValue } from "../functions.ts";
import { byText, type Forward, type ModelContext } from "./rules.ts";
import type { ModelAggregation } from "./windowing.ts";

/** A store of the last value a key, in the model. */
export interface KeyedModel {
  /** Each record makes a change, forwarded at once. */
  readonly process: (key: string | null, value: unknown, ts: number, aggregation: ModelAggregation) => void;
  readonly rows: () => StoreRow[];
}

/** An aggregate a key; a total of null deletes it. */
export function keyedAggregate(context: ModelContext, forward: Forward): KeyedModel {
  const entries = new Map<string, { readonly total: unknown; readonly ts: number }>();
  return {
    process(key, value, ts, aggregation) {
      if (key === null || value === null) return void context.droppedRecords++;
      const known = entries.get(key);
      const entry = { total: aggregation.add(known?.total, value), ts: Math.max(known?.ts ?? ts, ts) };
      if (entry.total === null) entries.delete(key);
      else entries.set(key, entry);
      forward({ key, value: entry.total, ts: entry.ts });
    },
    rows: () => [...entries].map(([key, { total, ts }]): StoreRow => ({ key, value: total, ts })).sort((a, b) => byText(a.key, b.key)),
  };
}

/** A stream, or a table's changes, as a table that is kept. */
export function keptTable(context: ModelContext, forward: Forward): Pick<KeyedModel, "rows"> & { readonly process: Forward } {
  const entries = new Map<string, StoreRow>();
  return {
    process({ key, value, ts }) {
      if (key === null) return void context.droppedRecords++;
      if (typeof key === "object") throw new Error("the model keeps no windows in tables");
      const old = entries.get(key)?.value ?? null;
      if (value === null) entries.delete(key);
      else entries.set(key, { key, value, ts });
      forward({ key, value, old, ts });
    },
    rows: () => [...entries.values()].sort((a, b) => byText(a.key, b.key)),
  };
}

/** A filter of a table: `isKnown` where a store in front of it tells the value before. Of a versioned table each version leaves it, if only as a deletion. */
export function tableFilter(context: ModelContext, holds: (key: string | null, value: unknown) => boolean, { isKnown, isVersioned }: { readonly isKnown: boolean; readonly isVersioned: boolean }, forward: Forward): Forward {
  return (record) => {
    const { key, value, old = null } = record;
    const keep = (found: unknown): unknown => (found !== null && holds(key as string | null, found) ? found : null);
    const change = { ...record, value: keep(value), old: keep(old) };
    if (change.value !== null || change.old !== null || isVersioned || !(isKnown || context.rules.filtersKnowBefore)) forward(change);
  };
}

/** A table of other values. */
export function tableMap(map: (value: unknown) => unknown, forward: Forward): Forward {
  return (record) => {
    const { value, old = null } = record;
    forward({ ...record, value: value === null ? null : map(value), old: old === null ? null : map(old) });
  };
}

/** A table's newest rows under other keys: what a row was leaves before what it is, and with it where both have the same key. */
export function tableGroup(map: (key: string | null, value: unknown) => KeyValue, forward: Forward): Forward {
  return ({ key, value, old = null, ts, isOutOfOrder }) => {
    if (isOutOfOrder === true) return;
    const under = (found: unknown): KeyValue | undefined => (found === null ? undefined : map(key as string | null, found));
    const [from, to] = [under(old), under(value)];
    if (from !== undefined && to !== undefined && from.key === to.key) return forward({ key: to.key, value: to.value, old: from.value, ts });
    if (from !== undefined) forward({ key: from.key, value: null, old: from.value, ts });
    if (to !== undefined) forward({ key: to.key, value: to.value, old: null, ts });
  };
}

/** An aggregate of a table's rows: what a row was is taken back. */
export function tableAggregate(aggregation: ModelAggregation, forward: Forward): Pick<KeyedModel, "rows"> & { readonly process: Forward } {
  const entries = new Map<string, StoreRow & { readonly ts: number }>();
  return {
    process({ key, value, old = null, ts }) {
      const known = entries.get(key as string);
      let total = known?.value;
      if (old !== null && total !== undefined) total = aggregation.subtract(total, old);
      if (value !== null) total = aggregation.add(total, value);
      const entry = { key: key as string, value: total ?? null, ts: Math.max(known?.ts ?? ts, ts) };
      if (entry.value === null) entries.delete(entry.key);
      else entries.set(entry.key, entry);
      forward(entry);
    },
    rows: () => [...entries.values()].sort((a, b) => byText(a.key, b.key)),
  };
}
