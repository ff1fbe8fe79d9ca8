import { deserialize, serialize } from "node:v8";
import { ByteReader } from "../model/index.ts";
import type { RowEncoder, SealedBatch, Sink, SinkConnector, SinkSpec } from "../port/index.ts";

/** A row as a collecting sink got it, with where it came from. */
export interface CollectedRow {
  readonly value: unknown;
  readonly key: string | Uint8Array | null;
  readonly timestamp: number;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly index: number;
}

/**
 * A sink for tests: rows of any type, kept in memory by {@link collectConnector}.
 */
export function collect<V>(target: string): SinkSpec<V> {
  return Object.freeze({
    kind: "sink",
    connector: "collect",
    target,
    guarantee: Object.freeze({ level: "exactly-once", by: "tokens in memory" } as const),
    summary: `collect ${target}`,
    rebuildable: "by-key",
    dependents: Object.freeze([]),
    problems: Object.freeze([]),
    declaration: undefined,
    encoder: (): RowEncoder<V> => (writer, value, meta, key, timestamp) => {
      const row: CollectedRow = { value, key, timestamp, topic: meta.topic, partition: meta.partition, offset: meta.offset, index: meta.index };
      writer.sized(serialize(row));
    },
  });
}

/** One row of a collecting sink, from the bytes that its encoder wrote. */
export function collectedRow(bytes: Buffer): CollectedRow {
  return deserialize(new ByteReader(bytes).sized()) as CollectedRow;
}

/** The rows of a sealed batch of a collecting sink. */
export function collectedRows(batch: SealedBatch): CollectedRow[] {
  const reader = new ByteReader(batch.bytes);
  const rows: CollectedRow[] = [];
  while (reader.remaining > 0) rows.push(deserialize(reader.sized()) as CollectedRow);
  return rows;
}

/** What a collecting connector may do wrong, for fault tests: called before a batch is taken and after it, may throw. */
export interface CollectFaults {
  readonly before?: (batch: SealedBatch) => void;
  readonly after?: (batch: SealedBatch) => void;
}

/** A connector that keeps rows in memory and drops repeats of a token, and of a row where a delivery is uncertain. */
export interface CollectConnector extends SinkConnector {
  rows(target: string): readonly CollectedRow[];
  values(target: string): readonly unknown[];
  readonly batches: readonly SealedBatch[];
}

/** Makes a {@link CollectConnector}. It outlives instances, as a database would. */
export function collectConnector(faults: CollectFaults = {}): CollectConnector {
  const tokens = new Set<string>();
  const batches: SealedBatch[] = [];
  const rowsOf = new Map<string, Map<string, CollectedRow>>();
  const sinkFor = (target: string): Sink => ({
    deliver(batch, hint) {
      try {
        faults.before?.(batch);
        const held = rowsOf.get(target) ?? new Map<string, CollectedRow>();
        rowsOf.set(target, held);
        if (!tokens.has(batch.token)) {
          tokens.add(batch.token);
          batches.push(batch);
          for (const row of collectedRows(batch)) {
            const identity = `${row.topic}/${row.partition}/${row.offset}/${row.index}`;
            // A row that is there although the delivery is certain is a double: it must be seen.
            held.set(held.has(identity) && !hint.uncertain ? `${identity}/${batch.token}` : identity, row);
          }
        }
        faults.after?.(batch);
        return Promise.resolve();
      } catch (cause) {
        return Promise.reject(cause instanceof Error ? cause : new Error(String(cause)));
      }
    },
    settle: () => Promise.resolve(),
  });
  return {
    name: "collect",
    open: (_context, specs) => Promise.resolve(specs.map((spec) => sinkFor(spec.target))),
    reset(_context, specs) {
      for (const { target } of specs) rowsOf.delete(target);
      tokens.clear();
      return Promise.resolve();
    },
    close: () => Promise.resolve(),
    rows: (target) => [...(rowsOf.get(target)?.values() ?? [])],
    values: (target) => [...(rowsOf.get(target)?.values() ?? [])].map((row) => row.value),
    batches,
  };
}
