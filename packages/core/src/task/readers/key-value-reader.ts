/** Readers of stores of a row a key: tables, aggregates a key, key-value stores of process steps; with versions where they are kept. */
import { ByteReader, ByteWriter } from "../../model/index.ts";
import type { ValueCodec } from "../../state/codec.ts";
import { timestampedCodec } from "../../state/entry-codec.ts";
import { readEntry } from "../../state/sealed.ts";
import { versionCodec, VersionedTable } from "../../state/versioned-table.ts";
import type { AnySerde, StoreDeclaration, TableNode, TopologyNode } from "../../topology/index.ts";
import { mortalCodec, plainCodec } from "../stores/key-value.ts";
import { type ReadPlace, readRange, type StoredRow, type StoreReader, storePrefix } from "./reader.ts";

/** What a payload says; undefined where there is nothing any more. */
type RowOf = (payload: Buffer, place: ReadPlace) => Omit<StoredRow, "key"> | undefined;

function keyed(name: string, kind: StoreReader["kind"], node: TopologyNode, rowOf: RowOf): StoreReader & { readonly get: NonNullable<StoreReader["get"]> } {
  const prefix = storePrefix(name);
  const place = `store ${name}`;
  const scratch = new ByteWriter(256);
  return {
    name,
    kind,
    node,
    get(where, key) {
      const payload = readEntry(where.backend, scratch, prefix, key, place);
      const row = payload === undefined ? undefined : rowOf(payload, where);
      return row === undefined ? undefined : { key, ...row };
    },
    async *range(where, range) {
      for await (const [key, payload] of readRange(where.backend, prefix, range, place)) {
        const row = rowOf(payload, where);
        if (row !== undefined) yield { key, ...row };
      }
    },
  };
}

function decodes<V>(codec: ValueCodec<V>): (payload: Buffer) => V {
  return (payload) => codec.decode(new ByteReader(payload));
}

/** A store of rows with timestamps. */
export function tableReader(name: string, node: TopologyNode, serde: AnySerde): StoreReader {
  return keyed(name, "key-value", node, decodes(timestampedCodec<unknown>(serde)));
}

/** A versioned table: its newest rows, and as of a moment. */
export function versionedTableReader(node: TableNode, historyMs: number): StoreReader {
  const { name, serde } = node;
  const decode = decodes(versionCodec<unknown>(serde));
  // A deletion is kept while versions before it are.
  const newest = keyed(name, "versioned", node, (payload) => {
    const version = decode(payload);
    return version.value === null ? undefined : version;
  });
  return {
    ...newest,
    get(where, key, asOf) {
      if (asOf === undefined) return newest.get(where, key);
      if (asOf < where.streamTime(name) - historyMs) return undefined;
      // Made for each look, since it caches what the task goes on to change.
      const found = new VersionedTable<unknown>(where.backend, name, serde, { entriesMax: 64, scratch: new ByteWriter(256) }).asOf(key, asOf);
      return found === undefined ? undefined : { key, value: found.value, timestamp: found.timestamp };
    },
  };
}

/** A key-value store of process steps. `steps` are those that use it: their times are the store's. */
export function declaredReader({ name }: StoreDeclaration, node: TopologyNode, steps: readonly string[], form: { readonly kind: "key-value" | "ordered"; readonly serde: AnySerde; readonly ttlMs: number | undefined }): StoreReader {
  if (form.ttlMs === undefined) {
    const decode = decodes(plainCodec(form.serde));
    return keyed(name, form.kind, node, (payload) => ({ value: decode(payload) }));
  }
  const decode = decodes(mortalCodec(form.serde));
  return keyed(name, form.kind, node, (payload, { streamTime }) => {
    const { value, expiresAt } = decode(payload);
    return expiresAt <= Math.max(...steps.map(streamTime)) ? undefined : { value };
  });
}
