import { ByteReader, ByteWriter, TopologyError } from "../model/index.ts";
import { timestampedCodec } from "../state/entry-codec.ts";
import type { MemoryBackend } from "../state/memory-backend.ts";
import { versionCodec, VersionedTable } from "../state/versioned-table.ts";
import { storePrefix } from "../task/readers/reader.ts";
import { storedWindows } from "../task/windowing/index.ts";
import type { KeyValueStore, OrderedStore, SessionStore, StoreDeclaration, TableNode, TopologyNode, VersionedStore, WindowedAggregateNode, WindowStore } from "../topology/index.ts";
import { processStore } from "./process-store.ts";
import { storedEntries } from "./stored-entries.ts";

/** An entry of a store. */
export interface DriverStoreEntry<V = unknown> {
  readonly key: string;
  readonly value: V;
  /** Epoch milliseconds: of the record that set it, or the greatest of those that it sums up. Of stores of process steps, those with versions alone keep it. */
  readonly timestamp?: number;
  /** Bounds of its window or session, in epoch milliseconds. A window store of a process step knows the start alone. */
  readonly start?: number;
  readonly end?: number;
  /** Of a versioned store asked for a moment: when the next version began; absent where there is none. */
  readonly validTo?: number;
}

/** A store as the last commit left it: what a query sees. */
export interface DriverStore<V = unknown> {
  /** Of a versioned store as of a moment, in epoch milliseconds; otherwise, and without one, the newest. */
  get(key: string, asOf?: number): DriverStoreEntry<V> | undefined;
  /** All entries, or those of a range of keys, in the order of the keys' bytes; `to` is not part of it. */
  range(from?: string, to?: string): readonly DriverStoreEntry<V>[];
  /** Of a windowed store, a key's windows that start between two times, or its sessions that reach into them, by start; both times are included. Empty for others. */
  windows(key: string, from?: number, to?: number): readonly DriverStoreEntry<V>[];
}

/** The values of a declared store, by its handle. */
export type DeclaredValue<H> =
  H extends OrderedStore<infer V> ? V
  : H extends KeyValueStore<infer V> ? V
  : H extends WindowStore<infer V> ? V
  : H extends SessionStore<infer V> ? V
  : H extends VersionedStore<infer V> ? V
  : never;

const NUL = "\0";

/** A part of a topology, as far as its stores are concerned. */
export interface StoredPart {
  readonly nodes: readonly TopologyNode[];
  readonly backend: MemoryBackend;
  /** As of the last commit. */
  readonly streamTimes: Readonly<Record<string, number>>;
}

const KINDS: ReadonlySet<TopologyNode["kind"]> = new Set(["table", "table-filter", "table-map", "table-join", "table-aggregate", "keyed-aggregate", "global-table", "cogroup"]);

type Decode = (payload: Buffer) => { readonly value: unknown; readonly timestamp: number };

/** How the entries of a node's store are read; undefined where it has none that is kept a key. */
function decoderOf(node: TopologyNode): Decode | undefined {
  if (!KINDS.has(node.kind) || !("serde" in node) || node.serde === undefined) return undefined;
  const codec = node.kind === "table" && node.historyMs !== undefined ? versionCodec<unknown>(node.serde) : timestampedCodec<unknown>(node.serde);
  return (payload) => codec.decode(new ByteReader(payload));
}

function keyStore(name: string, backend: MemoryBackend, decode: Decode): DriverStore {
  const range = (from?: string, to?: string): DriverStoreEntry[] =>
    storedEntries(backend, name, storePrefix(name), from, to).flatMap(([key, payload]) => {
      const { value, timestamp } = decode(payload);
      // A versioned store keeps deletions.
      return value === null ? [] : [{ key, value, timestamp }];
    });
  return { range, windows: () => [], get: (key) => range(key, `${key}${NUL}`).find((entry) => entry.key === key) };
}

/** The same with its former versions. */
function versionedStore({ name, serde }: TableNode, historyMs: number, { backend, streamTimes }: StoredPart, newest: DriverStore): DriverStore {
  const table = new VersionedTable<unknown>(backend, name, serde, { entriesMax: 1_000, scratch: new ByteWriter(256) });
  return {
    ...newest,
    get(key, asOf) {
      if (asOf === undefined) return newest.get(key);
      const latest = table.latest(key);
      if (latest !== undefined && latest.timestamp <= asOf) return { key, ...latest };
      const found = asOf < (streamTimes[name] ?? Number.NEGATIVE_INFINITY) - historyMs ? undefined : table.asOf(key, asOf);
      const validTo = table.endOf(key, asOf);
      return found && { key, value: found.value, timestamp: found.timestamp, ...(validTo === undefined ? {} : { validTo }) };
    },
  };
}

/** A store of windows. `get` gives the newest window of a key. */
function windowStore(node: WindowedAggregateNode, { backend, streamTimes }: StoredPart): DriverStore {
  const stored = storedWindows(node);
  const streamTime = streamTimes[node.name] ?? Number.NEGATIVE_INFINITY;
  const all = (): DriverStoreEntry[] =>
    stored.prefixes
      .flatMap((prefix) => storedEntries(backend, node.name, prefix).flatMap(([key, payload]) => stored.windowsOf(prefix, key, payload)))
      .filter((window) => stored.isKept(window, streamTime))
      .sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)) || a.start - b.start || a.end - b.end);
  const windows = (key: string, from = Number.NEGATIVE_INFINITY, to = Number.POSITIVE_INFINITY): DriverStoreEntry[] =>
    all().filter((entry) => entry.key === key && (node.window.kind === "session" ? (entry.end ?? 0) : (entry.start ?? 0)) >= from && (entry.start ?? 0) <= to);
  return { windows, range: (from = "", to) => all().filter(({ key }) => key >= from && (to === undefined || key < to)), get: (key) => windows(key).at(-1) };
}

function storeOfStep(name: string, part: StoredPart): DriverStore | undefined {
  const node = part.nodes.find((other) => other.name === name);
  if (node?.kind === "windowed-aggregate") return windowStore(node, part);
  const decode = node === undefined ? undefined : decoderOf(node);
  if (decode === undefined) return undefined;
  const newest = keyStore(name, part.backend, decode);
  return node?.kind === "table" && node.historyMs !== undefined ? versionedStore(node, node.historyMs, part, newest) : newest;
}

function notFound(name: string, why: string, cure: string): TopologyError {
  return new TopologyError("STORE_NOT_FOUND", why, { place: name, cure });
}

/** The store of a step, or one that process steps declare; by its name or its declaration. Throws STORE_NOT_FOUND. */
export function driverStore(wanted: string | StoreDeclaration, parts: readonly StoredPart[]): DriverStore {
  const isDeclared = typeof wanted !== "string";
  const name = isDeclared ? wanted.name : wanted;
  for (const part of parts) {
    const ofStep = isDeclared ? undefined : storeOfStep(name, part);
    if (ofStep !== undefined) return ofStep;
    const declaration = part.nodes.flatMap((node) => (node.kind === "process" ? node.stores : [])).find((store) => (isDeclared ? store === wanted : store.name === name));
    if (declaration === undefined) continue;
    const found = processStore(declaration, part);
    if (found !== undefined) return found;
    throw notFound(name, "a custom store cannot be read from outside: only it knows what it keeps", "forward what it answers from a step, and read that");
  }
  if (isDeclared) throw notFound(name, `no step of this topology declares this store "${name}"`, "give the declaration that the step has in its stores");
  throw notFound(name, `there is no store "${name}" that can be read`, "give the name of a step that keeps values a key, or of a store that a process step declares");
}
