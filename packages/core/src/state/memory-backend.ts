import type { KeyRange, StateBackend, StateBatch } from "./backend.ts";

/** Writes of the backend in memory. */
export interface MemoryBatch extends StateBatch {
  readonly writes: (readonly [string, Buffer | undefined])[];
}

// Latin-1 text compares as its bytes do, so it serves as an ordered map key.
const text = (key: Uint8Array): string => Buffer.from(key.buffer, key.byteOffset, key.byteLength).latin1Slice();

function inRange(key: string, range: KeyRange): boolean {
  return (
    (range.gte === undefined || key >= text(range.gte)) &&
    (range.gt === undefined || key > text(range.gt)) &&
    (range.lt === undefined || key < text(range.lt)) &&
    (range.lte === undefined || key <= text(range.lte))
  );
}

/** State in memory. Its writes stand when the call returns. */
export interface MemoryBackend extends StateBackend<MemoryBatch> {
  /** The entries of a range at once. */
  entriesSync(range: KeyRange): readonly (readonly [Buffer, Buffer])[];
}

/** State in memory, for tests and for topologies whose state may go with the process. */
export function memoryBackend(): MemoryBackend {
  const map = new Map<string, Buffer>();
  const keysIn = (range: KeyRange): string[] => {
    const keys = [...map.keys()].filter((key) => inRange(key, range)).sort((a, b) => (a < b ? -1 : 1));
    if (range.reverse === true) keys.reverse();
    return range.limit === undefined || range.limit < 0 ? keys : keys.slice(0, range.limit);
  };
  return {
    getSync: (key) => map.get(text(key)),
    newBatch() {
      const writes: [string, Buffer | undefined][] = [];
      return { writes, put: (key, value) => writes.push([text(key), Buffer.from(value)]), del: (key) => writes.push([text(key), undefined]) };
    },
    write(batch) {
      for (const [key, value] of batch.writes) {
        if (value === undefined) map.delete(key);
        else map.set(key, value);
      }
      return Promise.resolve();
    },
    async *entries(range) {
      for (const key of keysIn(range)) {
        const value = map.get(key);
        if (value !== undefined) yield [Buffer.from(key, "latin1"), value] as const;
      }
    },
    entriesSync: (range) => keysIn(range).map((key) => [Buffer.from(key, "latin1"), map.get(key) as Buffer] as const),
    clearRange(range) {
      for (const key of keysIn(range)) map.delete(key);
      return Promise.resolve();
    },
    close: () => Promise.resolve(),
  };
}
