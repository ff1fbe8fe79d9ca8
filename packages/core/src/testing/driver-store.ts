import { ByteReader, TopologyError } from "../model/index.ts";
import { timestampedCodec } from "../state/entry-codec.ts";
import type { MemoryBackend } from "../state/memory-backend.ts";
import { openSealed } from "../state/sealed.ts";
import type { TopologyNode } from "../topology/index.ts";

/** An entry of a store. */
export interface DriverStoreEntry {
  readonly key: string;
  readonly value: unknown;
  /** Epoch milliseconds: of the record that set it, or the greatest of those that it sums up. */
  readonly timestamp: number;
}

/** A store as the last commit left it: what a query sees. */
export interface DriverStore {
  get(key: string): DriverStoreEntry | undefined;
  /** All entries, or those of a range of keys, in the order of the keys' bytes; `to` is not part of it. */
  range(from?: string, to?: string): readonly DriverStoreEntry[];
}

const NUL = "\0";
const AFTER_NUL = "\x01";

type Decode = (payload: Buffer) => { readonly value: unknown; readonly timestamp: number };

/** How the entries of a node's store are read; undefined where it has none that is kept a key. */
function decoderOf(node: TopologyNode): Decode | undefined {
  if (node.kind !== "table" && node.kind !== "table-filter" && node.kind !== "table-map" && node.kind !== "keyed-aggregate") return undefined;
  if (node.serde === undefined) return undefined;
  const codec = timestampedCodec<unknown>(node.serde);
  return (payload) => codec.decode(new ByteReader(payload));
}

function keyStore(name: string, backend: MemoryBackend, decode: Decode): DriverStore {
  const prefix = `s${NUL}${name}${NUL}`;
  const range = (from = "", to?: string): DriverStoreEntry[] =>
    backend.entriesSync({ gte: Buffer.from(`${prefix}${from}`), lt: Buffer.from(to === undefined ? `s${NUL}${name}${AFTER_NUL}` : `${prefix}${to}`) }).map(([key, stored]) => {
      return { key: key.toString("utf8").slice(prefix.length), ...decode(openSealed(key, stored, `store ${name}`)) };
    });
  return { range, get: (key) => range(key, `${key}${NUL}`).find((entry) => entry.key === key) };
}

/** The store of a step. Throws STORE_NOT_FOUND. */
export function driverStore(name: string, parts: readonly { readonly nodes: readonly TopologyNode[]; readonly backend: MemoryBackend }[]): DriverStore {
  for (const { nodes, backend } of parts) {
    const node = nodes.find((other) => other.name === name);
    const decode = node === undefined ? undefined : decoderOf(node);
    if (decode !== undefined) return keyStore(name, backend, decode);
  }
  throw new TopologyError("STORE_NOT_FOUND", `there is no store "${name}" that can be read`, { place: name, cure: "give the name of a step that keeps values a key" });
}
