/** Interactive queries by the records' keys: finds the tasks that hold them, and puts their answers together. */
import { partitionOfKey, TopologyError } from "../model/index.ts";
import { hasTopicKeys } from "../plan/partitioning.ts";
import type { SubTopology } from "../plan/index.ts";
import type { ReadRange, StoredRow, StoreReader } from "../task/readers/reader.ts";
import { storeReaders } from "../task/readers/store-readers.ts";
import type { StoreKey } from "../task/store-query.ts";
import type { StoreDeclaration, Table } from "../topology/index.ts";
import type { QueryPlace, StoreInfo, StoreLocation } from "./queries.ts";
import type { AnyRow, AnyView, ViewRange } from "./store-view.ts";
import { localReads, type ReadRequest, type TaskReads } from "./task-reads.ts";

/** No text in UTF-8 sorts behind it. */
const LAST_CHARACTER = "\u{10ffff}";

interface KnownReader {
  readonly reader: StoreReader;
  readonly part: SubTopology;
}

/** What is asked for: a handle of the topology, a declaration, or a name. */
type Target = string | Handle | StoreDeclaration;
type Handle = Pick<Table<unknown>, "draft" | "nodeId">;

function compareKeys(a: StoredRow, b: StoredRow): number {
  return a.key === b.key ? (a.start ?? 0) - (b.start ?? 0) : Buffer.compare(Buffer.from(a.key), Buffer.from(b.key));
}

/** Rows of several sources, each in order, in order. */
async function* merged(sources: readonly AsyncGenerator<StoredRow, void>[], compare: (a: StoredRow, b: StoredRow) => number): AsyncGenerator<StoredRow, void> {
  const heads = await Promise.all(sources.map(async (rows) => ({ rows, head: await rows.next() })));
  try {
    for (;;) {
      const left = heads.flatMap((source) => (source.head.done === true ? [] : [{ source, row: source.head.value }]));
      const [first, ...others] = left;
      if (first === undefined) return;
      const least = others.reduce((best, other) => (compare(other.row, best.row) < 0 ? other : best), first);
      yield least.row;
      least.source.head = await least.source.rows.next();
    }
  } finally {
    for (const { rows } of heads) await rows.return();
  }
}

async function* limited<T>(rows: AsyncIterable<T>, limit: number | undefined): AsyncGenerator<T, void> {
  let left = limit ?? Number.POSITIVE_INFINITY;
  if (left <= 0) return;
  for await (const row of rows) {
    yield row;
    if (--left <= 0) return;
  }
}

async function* mapped<T, U>(rows: AsyncIterable<T>, map: (row: T) => U): AsyncGenerator<U, void> {
  for await (const row of rows) yield map(row);
}

/** The stores of an instance that are asked by key. */
export class StoreViews {
  readonly #place: QueryPlace;
  readonly #readers: ReadonlyMap<string, KnownReader>;

  constructor(place: QueryPlace) {
    this.#place = place;
    this.#readers = new Map(place.plan.subTopologies.flatMap((part) => storeReaders(part.nodes).map((reader) => [reader.name, { reader, part }] as const)));
  }

  list(): StoreInfo[] {
    return [...this.#readers.values()].map(({ reader: { name, kind, windowMs } }) => ({ name, kind, keyFields: ["key"], windowMs: windowMs ?? null, askedBy: "key" }));
  }
  /** The reads of a task that is open here, or in another thread of this process. */
  #reads(id: string): TaskReads | undefined {
    const { reads, task } = this.#place;
    if (reads !== undefined) return reads(id);
    const opened = task(id);
    return opened === undefined ? undefined : localReads(opened, (store) => this.#readers.get(store)?.reader);
  }

  /** What a task that is open here answers. Throws STORE_ELSEWHERE. */
  read(task: string, request: ReadRequest): AsyncGenerator<StoredRow, void> {
    const reads = this.#reads(task);
    if (reads === undefined) throw this.#elsewhere(request.store, task);
    return reads(request);
  }

  has(name: string): boolean {
    return this.#readers.has(name);
  }

  /** The view of a target. Throws STORE_NOT_FOUND. */
  view(target: Target): object {
    if (typeof target === "string") return this.#anyView(this.#find(target));
    const known = "draft" in target ? this.#ofHandle(target) : this.#ofDeclaration(target);
    const { kind } = known.reader;
    const rows = this.#anyView(known);
    if (kind === "window" || kind === "session") return { fetch: (key: string, from: number, to: number) => rows.windows(key, from, to) };
    if ("draft" in target) return { ...this.#keyed(rows), get: async (key: string, asOf?: number) => (await rows.row(key, asOf))?.value, row: rows.row };
    if (kind === "versioned") {
      return {
        get: async (key: string, asOf?: number) => {
          const row = await rows.row(key, asOf);
          return row === undefined ? undefined : { value: row.value, timestamp: row.timestamp };
        },
      };
    }
    return this.#keyed(rows);
  }

  #keyed(rows: AnyView): object {
    const range = (wanted?: ViewRange): AsyncIterable<readonly [string, unknown]> => mapped(rows.rows(wanted), ({ key, value }) => [key, value] as const);
    return {
      get: async (key: string) => (await rows.row(key))?.value,
      range,
      prefix: (prefix: string, options: Pick<ViewRange, "reverse" | "limit"> = {}) => range({ from: prefix, below: prefix + LAST_CHARACTER, ...options }),
    };
  }

  #notFound(name: string, why: string): TopologyError {
    const names = [...this.#readers.keys()];
    return new TopologyError("STORE_NOT_FOUND", why, { place: name, cure: names.length === 0 ? "this topology has no store that is asked by key" : `ask one of ${names.join(", ")}` });
  }

  #find(name: string): KnownReader {
    const known = this.#readers.get(name);
    if (known === undefined) throw this.#notFound(name, `there is no store "${name}" that is asked by key`);
    return known;
  }

  #ofHandle({ draft, nodeId }: Handle): KnownReader {
    const node = this.#place.plan.topology.nodes[nodeId];
    if (node === undefined || draft.node(nodeId) !== node) throw this.#notFound(draft.topology, `the handle is of another topology, ${draft.topology}`);
    const known = node.name === undefined ? undefined : this.#readers.get(node.name);
    if (known === undefined) throw this.#notFound(node.name ?? node.kind, "this table keeps no rows: it is computed when it is asked for; name a store for it, with { store, value }");
    return known;
  }

  #ofDeclaration(declaration: StoreDeclaration): KnownReader {
    const { name, form } = declaration;
    const isOurs = this.#place.plan.topology.nodes.some((node) => node.kind === "process" && node.stores.includes(declaration));
    if (!isOurs) throw this.#notFound(name, `no step of this topology declares this store "${name}"`);
    if (form.kind === "custom") throw this.#notFound(name, "a custom store cannot be asked from outside: only it knows what it keeps");
    return this.#find(name);
  }

  #ids({ part }: KnownReader): string[] {
    return Array.from({ length: this.#place.partitionCounts.get(part.name) ?? 1 }, (_, partition) => `${part.name}_${partition}`);
  }

  /** The task that holds a key if its topic is keyed by Kafka's partitioner, first; then the others, since nothing tells that it is. */
  #candidates(known: KnownReader, key: string): string[] {
    const ids = this.#ids(known);
    const { node, isEverywhere } = known.reader;
    if (isEverywhere === true) return [this.#anyLocal(ids)];
    const isKeyed = node.upstream.every((id) => known.part.nodes.some((other) => other.id === id && hasTopicKeys(known.part.nodes, other)));
    if (!isKeyed) return ids;
    const first = ids[partitionOfKey(Buffer.from(key), ids.length)] as string;
    return [first, ...ids.filter((id) => id !== first)];
  }

  /** One task of several that are alike: one that runs here, if any does. */
  #anyLocal(ids: readonly string[]): string {
    return ids.find((id) => this.#reads(id) !== undefined) ?? (ids[0] as string);
  }

  #elsewhere(store: string, id: string): TopologyError {
    const url = this.#place.owner(id);
    return new TopologyError("STORE_ELSEWHERE", `task ${id} of store ${store} does not run here`, {
      place: url ?? id,
      cure: url === undefined || url === null ? "it is being moved or restored: ask again" : `ask ${url}`,
      retriable: true,
    });
  }

  /** The task that holds a key, `{ key }`. Throws USAGE where the key is not given. */
  locate(name: string, { key }: StoreKey): StoreLocation[] {
    if (typeof key !== "string") throw new TopologyError("USAGE", "the key lacks its text", { place: `store ${name}`, cure: "give { key }" });
    const known = this.#find(name);
    const [first] = this.#candidates(known, key);
    return first === undefined ? [] : [{ task: first, isLocal: this.#reads(first) !== undefined, url: this.#place.owner(first) ?? null }];
  }

  /** The reads of all tasks of a store; throws STORE_ELSEWHERE where one does not run here. */
  #all(known: KnownReader): TaskReads[] {
    const ids = this.#ids(known);
    return (known.reader.isEverywhere === true ? [this.#anyLocal(ids)] : ids).map((id) => {
      const reads = this.#reads(id);
      if (reads === undefined) throw this.#elsewhere(known.reader.name, id);
      return reads;
    });
  }

  #misused({ reader: { name, kind } }: KnownReader, what: string, cure: string): TopologyError {
    return new TopologyError("USAGE", `a ${kind} store has no ${what}`, { place: `store ${name}`, cure });
  }

  #anyView(known: KnownReader): AnyView {
    const { reader } = known;
    const { get, range, windows } = reader;
    return {
      row: async (key, asOf) => {
        if (get === undefined) throw this.#misused(known, "single row a key", "ask it for windows");
        if (asOf !== undefined && reader.kind !== "versioned") throw this.#misused(known, "former versions", "declare it with { history }");
        return this.#row(known, key, asOf);
      },
      rows: (wanted = {}) => {
        if (range === undefined) throw this.#misused(known, "range of keys", "ask it for a key");
        return limited(this.#rows(known, wanted), wanted.limit);
      },
      windows: (key, from, to) => {
        if (windows === undefined) throw this.#misused(known, "windows", "ask it for a row");
        return this.#windows(known, key, from, to);
      },
    };
  }

  async *#rows(known: KnownReader, { from, below, reverse = false }: ViewRange): AsyncGenerator<AnyRow, void> {
    const range: ReadRange = { ...(from === undefined ? {} : { from }), ...(below === undefined ? {} : { below }), reverse };
    const sources = this.#all(known).map((reads) => reads({ what: "rows", store: known.reader.name, range }));
    yield* merged(sources, reverse ? (a, b) => compareKeys(b, a) : compareKeys);
  }

  async #row(known: KnownReader, key: string, asOf: number | undefined): Promise<AnyRow | undefined> {
    const ids = this.#candidates(known, key);
    for (const id of ids) {
      const found = await this.#reads(id)?.({ what: "row", store: known.reader.name, key, asOf }).next();
      if (found !== undefined && found.done !== true) return found.value;
    }
    this.#refuseMissing(known, ids);
    return undefined;
  }

  /** Nothing was found here: whether it is nowhere is known only where the task that would hold it was asked. */
  #refuseMissing(known: KnownReader, ids: readonly string[]): void {
    const [first] = ids;
    if (first !== undefined && this.#reads(first) === undefined) throw this.#elsewhere(known.reader.name, first);
  }

  async *#windows(known: KnownReader, key: string, from: number, to: number): AsyncGenerator<AnyRow, void> {
    const ids = this.#candidates(known, key);
    const request: ReadRequest = { what: "windows", store: known.reader.name, key, from, to };
    const sources = ids.flatMap((id) => this.#reads(id)?.(request) ?? []);
    let found = false;
    for await (const row of merged(sources, (a, b) => (a.end ?? a.start ?? 0) - (b.end ?? b.start ?? 0))) {
      found = true;
      yield row;
    }
    if (!found) this.#refuseMissing(known, ids);
  }
}
