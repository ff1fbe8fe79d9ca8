import { TopologyError } from "../model/index.ts";
import { partitionOfStep } from "../plan/placement.ts";
import type { Plan, SubTopology } from "../plan/index.ts";
import { Issues } from "../schema/cast-failure.ts";
import { compileColumnCast } from "../schema/column-cast.ts";
import type { StoredRow } from "../task/readers/reader.ts";
import { type StoreKey, storeQueries, type StoreQuery, type WindowRange } from "../task/store-query.ts";
import type { OpenedTask } from "./open-task.ts";
import type { StoreAccess } from "./store-view.ts";
import { StoreViews } from "./store-views.ts";
import { readPlaceOf, type ReadRequest, type TaskReads } from "./task-reads.ts";

const WINDOWS_DEFAULT = 100;

/** A store of a topology that can be asked. */
export interface StoreInfo {
  readonly name: string;
  readonly kind: "group" | "window" | "dedup" | "key-value" | "ordered" | "versioned" | "session";
  /** The fields of its keys; `key` alone where it is asked by the records' keys. */
  readonly keyFields: readonly string[];
  /** Length of its windows in milliseconds; null where it has none, or several. */
  readonly windowMs: number | null;
  /** By fields of the value: `instance.query`. By the records' keys: `instance.store`. */
  readonly askedBy: "fields" | "key";
}

/** Where a key of a store is, or may be. */
export interface StoreLocation {
  readonly task: string;
  /** Whether this process runs the task. */
  readonly isLocal: boolean;
  /** Where the process that runs it answers queries, as of the last assignment; null where it is not known. */
  readonly url: string | null;
}

/** Where the queries of a plan look. */
export interface QueryPlace {
  readonly plan: Plan;
  /** Partitions by the sub-topology's name. */
  readonly partitionCounts: ReadonlyMap<string, number>;
  readonly task: (id: string) => OpenedTask | undefined;
  /** How a task's stores are read, where that is not in this thread. */
  readonly reads?: (id: string) => TaskReads | undefined;
  /** Undefined where nothing is known of the task's owner. */
  readonly owner: (id: string) => string | null | undefined;
}

interface KnownStore {
  readonly query: StoreQuery;
  readonly part: SubTopology;
}

/** Interactive queries of an instance. */
export class StoreQueries {
  readonly #place: QueryPlace;
  readonly #stores: ReadonlyMap<string, KnownStore>;
  readonly #views: StoreViews;

  constructor(place: QueryPlace) {
    this.#place = place;
    this.#views = new StoreViews(place);
    this.#stores = new Map(place.plan.subTopologies.flatMap((part) => storeQueries(part.nodes).map((query) => [query.name, { query, part }] as const)));
  }

  list(): StoreInfo[] {
    const byFields = [...this.#stores.values()].map(({ query: { name, kind, keyFields, windowMs } }) => ({ name, kind, keyFields, windowMs: windowMs ?? null, askedBy: "fields" as const }));
    return [...byFields, ...this.#views.list()];
  }

  #store(name: string): KnownStore {
    const store = this.#stores.get(name);
    if (store !== undefined) return store;
    const names = [...this.#stores.keys()];
    if (this.#views.has(name)) throw new TopologyError("STORE_NOT_FOUND", `store "${name}" is asked by the records' keys, not by fields`, { place: name, cure: "ask it with instance.store" });
    throw new TopologyError("STORE_NOT_FOUND", `there is no store "${name}" that can be asked`, { place: name, cure: names.length === 0 ? "this topology has none" : `ask one of ${names.join(", ")}` });
  }

  /** The key with each field cast as its column is, so that text from a URL finds numbers and moments. */
  #cast({ query }: KnownStore, key: StoreKey): StoreKey {
    const out: Record<string, unknown> = {};
    for (const field of query.keyFields) {
      const value = key[field];
      if (value === undefined) throw new TopologyError("USAGE", `the key lacks the field "${field}"`, { place: `store ${query.name}`, cure: `give ${query.keyFields.join(", ")}` });
      const column = query.node.schema?.columns.find(({ name }) => name === field)?.column;
      const issues = new Issues();
      out[field] = column === undefined ? value : compileColumnCast(column)(value, issues);
      if (issues.count > 0) throw new TopologyError("USAGE", `the key's field "${field}" ${issues.list[0]?.message ?? "is wrong"}`, { place: `store ${query.name}`, cure: `it is a ${column?.clickhouse ?? "value"}` });
    }
    return out;
  }

  #tasks(store: KnownStore, key: StoreKey): string[] {
    const { part, query } = store;
    const count = this.#place.partitionCounts.get(part.name) ?? 1;
    const partition = partitionOfStep(part.nodes, query.node, key, count);
    return partition === undefined ? Array.from({ length: count }, (_, index) => `${part.name}_${index}`) : [`${part.name}_${partition}`];
  }

  /** The task that holds a key; all that may hold it, where the topology does not say by what its topic is keyed. */
  locate(name: string, key: StoreKey): StoreLocation[] {
    if (this.#views.has(name)) return this.#views.locate(name, key);
    const store = this.#store(name);
    return this.#tasks(store, this.#cast(store, key)).map((task) => {
      const isLocal = this.#place.task(task) !== undefined;
      return { task, isLocal, url: this.#place.owner(task) ?? null };
    });
  }

  /** The committed rows of a key, of the tasks named or of all that may hold it. Throws STORE_NOT_FOUND, STORE_ELSEWHERE, USAGE. */
  ask(name: string, given: StoreKey, range?: Partial<WindowRange>, of?: readonly string[]): Record<string, unknown>[] {
    const store = this.#store(name);
    const key = this.#cast(store, given);
    const tasks = of ?? this.#tasks(store, key);
    const rows: Record<string, unknown>[] = [];
    for (const id of tasks) {
      const opened = this.#place.task(id);
      if (opened === undefined) {
        const url = this.#place.owner(id);
        throw new TopologyError("STORE_ELSEWHERE", `task ${id}, which holds this key of store ${name}, does not run here`, {
          place: url ?? id,
          cure: url === undefined || url === null ? "it is being moved or restored: ask again" : `ask ${url}`,
          retriable: true,
        });
      }
      rows.push(...store.query.ask(readPlaceOf(opened), key, this.#range(store, opened, range)));
    }
    return rows;
  }

  #range({ query }: KnownStore, { task }: OpenedTask, range: Partial<WindowRange> | undefined): WindowRange {
    const { stepMs } = query;
    const streamTime = task.streamTimes[query.name] ?? 0;
    const to = range?.to ?? Math.floor(streamTime / stepMs) * stepMs + stepMs;
    return { from: range?.from ?? to - WINDOWS_DEFAULT * stepMs, to };
  }

  /** Answers the reads of another thread. Throws STORE_ELSEWHERE where the task is not open here. */
  read(task: string, request: ReadRequest): AsyncGenerator<StoredRow, void> {
    return this.#views.read(task, request);
  }

  /** A store that is asked by the records' keys. Throws STORE_NOT_FOUND. */
  readonly store: StoreAccess = ((target: Parameters<StoreViews["view"]>[0]) => this.#views.view(target)) as StoreAccess;
}
