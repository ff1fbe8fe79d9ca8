import fc from "fast-check";
import t from "tap";
import { ByteWriter } from "../../src/model/index.ts";
import { memoryBackend } from "../../src/state/memory-backend.ts";
import { OrderedTable, prefixEnd, timedKey, timeOfKey, keyBehindTime } from "../../src/state/ordered-table.ts";
import { integerCodec } from "../../src/state/codec.ts";
import type { StateBackend } from "../../src/state/backend.ts";
import { seedOf } from "../spec/crashes.ts";

const open = (backend: StateBackend) => new OrderedTable(backend, "ordered", integerCodec, { entriesMax: 16, scratch: new ByteWriter(64) });
async function commit(backend: StateBackend, table: OrderedTable<number>): Promise<void> {
  const batch = backend.newBatch();
  table.flush(batch);
  await backend.write(batch, { sync: true });
  table.committed();
}

t.test("an ordered store holds what a sorted map holds, over thousands of changes, commits and crashes", async (t) => {
  const seed = seedOf(t);
  const keyOf = fc.oneof(
    // Runs of falling keys, which a tree takes at its first leaf.
    fc.integer({ min: 0, max: 900 }).map((n) => `d${String(9_999 - n).padStart(5, "0")}`),
    fc.integer({ min: 0, max: 3_000 }).map((n) => `k${n}`), fc.integer({ min: 0, max: 400 }).map((n) => timedKey(n * 1_000, "\u{1f600}x")), fc.string({ maxLength: 4 }).filter((text) => text.isWellFormed()));
  const change = fc.oneof(
    { weight: 12, arbitrary: fc.record({ kind: fc.constant("put" as const), key: keyOf }) },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant("delete" as const), key: keyOf }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("commit" as const, "crash" as const, "clear" as const), key: keyOf }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 300, maxLength: 2_500, size: "max" }), async (changes) => {
      const backend = memoryBackend() as StateBackend;
      let table = open(backend);
      let model = new Map<string, number>();
      let durable = new Map(model);
      let n = 0;
      for (const { kind, key } of changes) {
        if (kind === "put") table.put(key, ++n), model.set(key, n);
        if (kind === "delete") table.delete(key), model.delete(key);
        if (kind === "clear") for (const each of table.keys({ below: key })) table.delete(each), model.delete(each);
        if (kind === "commit") await commit(backend, table), (durable = new Map(model));
        if (kind === "crash") (table = open(backend)), (model = new Map(durable));
      }
      const sorted = [...model].sort(([a], [b]) => (a < b ? -1 : 1));
      if (JSON.stringify([...table.entries()]) !== JSON.stringify(sorted)) throw new Error("entries differ");
      if (JSON.stringify([...table.entries({ reverse: true })]) !== JSON.stringify(sorted.toReversed())) throw new Error("entries in reverse differ");
      if (table.size !== sorted.length) throw new Error("size differs");
      const [from, below] = [sorted[sorted.length >> 2]?.[0] ?? "", `${sorted[sorted.length >> 1]?.[0] ?? ""}0`];
      const within = sorted.filter(([key]) => key >= from && key < below);
      if (JSON.stringify([...table.entries({ from, below })]) !== JSON.stringify(within)) throw new Error("a range differs");
      if (JSON.stringify([...table.entries({ from, below, reverse: true })]) !== JSON.stringify(within.toReversed())) throw new Error("a range in reverse differs");
    }),
    { numRuns: 60, seed },
  );
  t.pass("60 random lives");
});

t.test("ten thousand keys in and out, in order and against it, leave an empty store that can be filled again", async (t) => {
  const backend = memoryBackend() as StateBackend;
  const table = open(backend);
  const keys = Array.from({ length: 10_000 }, (_, n) => timedKey(n, "k"));
  for (const key of keys) table.put(key, 1);
  await commit(backend, table);
  t.equal(table.size, 10_000);
  t.same([...table.keys()], keys);
  for (const key of keys) table.delete(key);
  t.same([...table.keys()], []);
  for (const key of keys.toReversed()) table.put(key, 2);
  await commit(backend, table);
  t.same([...open(backend).keys()], keys);
  t.equal(timeOfKey(keys[77] as string), 77);
  t.equal(keyBehindTime(keys[77] as string), "k");
  t.equal(timeOfKey(timedKey(-5, "")), -5);
  t.same([...table.keys({ from: timedKey(12, ""), below: prefixEnd(timedKey(13, "")) })], keys.slice(12, 14));
});
