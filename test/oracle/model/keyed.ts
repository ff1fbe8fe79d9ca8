import type { StoreRow } from "../case.ts";
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

/** A filter of a table: `isKnown` where a store in front of it tells the value before. */
export function tableFilter(context: ModelContext, holds: (key: string | null, value: unknown) => boolean, isKnown: boolean, forward: Forward): Forward {
  return ({ key, value, old = null, ts }) => {
    const keep = (found: unknown): unknown => (found !== null && holds(key as string | null, found) ? found : null);
    const change = { key, value: keep(value), old: keep(old), ts };
    if (change.value !== null || change.old !== null || !(isKnown || context.rules.filtersKnowBefore)) forward(change);
  };
}

/** A table of other values. */
export function tableMap(map: (value: unknown) => unknown, forward: Forward): Forward {
  return ({ key, value, old = null, ts }) => forward({ key, value: value === null ? null : map(value), old: old === null ? null : map(old), ts });
}
