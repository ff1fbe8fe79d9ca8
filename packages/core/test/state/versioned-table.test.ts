import fc from "fast-check";
import t from "tap";
import { ByteWriter } from "../../src/model/index.ts";
import { serde } from "../../src/schema/index.ts";
import type { StateBackend } from "../../src/state/backend.ts";
import { memoryBackend } from "../../src/state/memory-backend.ts";
import { VersionedTable } from "../../src/state/versioned-table.ts";
import { seedOf } from "../spec/crashes.ts";

const HISTORY = 40;
const open = (backend: StateBackend) => new VersionedTable<number>(backend, "versions", serde.integer(), { entriesMax: 16, scratch: new ByteWriter(64) });
async function commit(backend: StateBackend, table: VersionedTable<number>): Promise<void> {
  const batch = backend.newBatch();
  table.flush(batch);
  await backend.write(batch, { sync: true });
  table.committed();
}

type Model = Map<string, Map<number, number | null>>;
function modelAsOf(model: Model, key: string, moment: number): [number, number] | undefined {
  const versions = [...(model.get(key) ?? [])].filter(([from]) => from <= moment).sort(([a], [b]) => b - a);
  const [from, value] = versions[0] ?? [0, null];
  return value === null ? undefined : [value, from];
}
const found = (row: { readonly value: number; readonly timestamp: number } | undefined): [number, number] | undefined => row && [row.value, row.timestamp];

t.test("a versioned store answers as of every moment of its history as the list of all versions does, over commits and crashes", async (t) => {
  const seed = seedOf(t);
  const change = fc.record({ kind: fc.constantFrom(...Array.from({ length: 12 }, () => "put" as const), "delete" as const, "delete" as const, "commit" as const, "crash" as const), key: fc.constantFrom("a", "ab", "b", "1:a", "\u{1f600}"), step: fc.integer({ min: -30, max: 12 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 50, maxLength: 200, size: "max" }), async (changes) => {
      const backend = memoryBackend() as StateBackend;
      let table = open(backend);
      let model: Model = new Map();
      let now = 100;
      let durable: { model: Model; now: number } = { model: new Map(), now };
      const copy = (from: Model): Model => new Map([...from].map(([key, versions]) => [key, new Map(versions)]));
      for (const [n, { kind, key, step }] of changes.entries()) {
        if (kind === "commit") {
          await commit(backend, table);
          durable = { model: copy(model), now };
        } else if (kind === "crash") {
          table = open(backend);
          model = copy(durable.model);
          now = durable.now;
        } else {
          const time = Math.max(0, now + step);
          now = Math.max(now, time);
          if (time < now - HISTORY) continue;
          const value = kind === "put" ? n : null;
          const newest = Math.max(...(model.get(key)?.keys() ?? [-1]));
          if (table.put(key, value, time) !== time >= newest) throw new Error("the newest is not told from others");
          table.expire(now - HISTORY);
          model.set(key, (model.get(key) ?? new Map<number, number | null>()).set(time, value));
        }
        for (const each of ["a", "ab", "b", "1:a", "\u{1f600}", "none"]) {
          if (JSON.stringify(found(table.latest(each))) !== JSON.stringify(modelAsOf(model, each, now))) throw new Error(`latest of ${each} differs`);
          for (let moment = now - HISTORY; moment <= now + 1; moment += 3) {
            if (JSON.stringify(found(table.asOf(each, moment))) !== JSON.stringify(modelAsOf(model, each, moment))) throw new Error(`${each} as of ${moment} differs`);
          }
        }
      }
    }),
    { numRuns: 60, seed },
  );
  t.pass("60 random lives");
});

t.test("what the history has left behind is deleted from the store", async (t) => {
  const backend = memoryBackend() as StateBackend;
  const table = open(backend);
  const entries = async (): Promise<number> => {
    await commit(backend, table);
    let count = 0;
    for await (const [key] of backend.entries({ gte: Buffer.alloc(0) })) if (!key.toString().startsWith("x\0")) count++;
    return count;
  };
  for (let time = 0; time < 1_000; time++) {
    table.put(`k${time % 50}`, time % 7 === 0 ? null : time, time);
    table.expire(time - HISTORY);
  }
  const held = await entries();
  t.ok(held > 50 && held < 110, `${held} entries for 50 keys and a history of 40 versions`);
  for (let key = 0; key < 50; key++) table.put(`k${key}`, null, 2_000);
  table.put("last", 1, 3_000);
  table.expire(3_000 - HISTORY);
  t.equal(await entries(), 1);
});
