import { ByteWriter } from "../model/index.ts";
import type { StateBackend } from "../state/backend.ts";
import { integerCodec } from "../state/codec.ts";
import { PresenceTable } from "../state/presence-table.ts";
import { StateTable } from "../state/table.ts";
import { WindowTable } from "../state/window-table.ts";
import type { ContractTest } from "./source-log-contract.ts";

/** Opens a backend; with the same name a second time, the one that was closed before. */
export type OpenBackend = (name: string) => Promise<StateBackend>;
type RunTest = (name: string, body: (t: ContractTest) => Promise<void>) => unknown;

const bytes = (text: string): Buffer => Buffer.from(text);
const options = () => ({ entriesMax: 4, scratch: new ByteWriter(64) });

async function put(backend: StateBackend, entries: Readonly<Record<string, string | undefined>>): Promise<void> {
  const batch = backend.newBatch();
  for (const [key, value] of Object.entries(entries)) {
    if (value === undefined) batch.del(bytes(key));
    else batch.put(bytes(key), bytes(value));
  }
  await backend.write(batch, { sync: true });
}

async function texts(backend: StateBackend, range: Parameters<StateBackend["entries"]>[0]): Promise<string[]> {
  const found: string[] = [];
  for await (const [key, value] of backend.entries(range)) found.push(`${key.toString()}=${value.toString()}`);
  return found;
}

function backendContract(test: RunTest, open: OpenBackend): void {
  void test("a batch is written as a whole, and what it held is copied at the call", async (t) => {
    const backend = await open("batch");
    const value = bytes("one");
    const batch = backend.newBatch();
    batch.put(bytes("a"), value);
    value.fill("x");
    batch.put(bytes("b"), bytes("two"));
    batch.del(bytes("b"));
    t.equal(backend.getSync(bytes("a")), undefined, "nothing is there before the write");
    await backend.write(batch, { sync: true });
    t.equal(backend.getSync(bytes("a"))?.toString(), "one");
    t.equal(backend.getSync(bytes("b")), undefined);
    await backend.close();
  });

  void test("entries come in byte order, within their range, from either end, up to the limit", async (t) => {
    const backend = await open("order");
    await put(backend, { b: "2", a: "1", "a\0": "1b", "\u00ff": "4", c: "3" });
    t.same(await texts(backend, {}), ["a=1", "a\0=1b", "b=2", "c=3", "\u00ff=4"]);
    t.same(await texts(backend, { gt: bytes("a"), lte: bytes("c") }), ["a\0=1b", "b=2", "c=3"]);
    t.same(await texts(backend, { gte: bytes("a"), lt: bytes("c"), reverse: true, limit: 2 }), ["b=2", "a\0=1b"]);
    await backend.clearRange({ gte: bytes("a"), lt: bytes("c") });
    t.same(await texts(backend, {}), ["c=3", "\u00ff=4"]);
    await backend.close();
  });
}

function asideContract(test: RunTest, open: OpenBackend): void {
  void test("bytes beside the entries, where a backend has room for them, are read as they were written last", async (t) => {
    let backend = await open("aside");
    const { aside } = backend;
    if (aside === undefined) return void (await backend.close());
    t.ok(aside.bytesMin > 0);
    const piece = (at: number, length: number, fill: number) => ({ place: { at, length }, bytes: Buffer.alloc(length, fill) });
    t.equal(await aside.read({ at: 0, length: 1 }), undefined, "there is no file yet");
    await aside.write([piece(0, 70_000, 1), piece(70_000, 200_000, 2)]);
    await Promise.all([aside.write([piece(50_000, 30_000, 3)]), aside.write([piece(60_000, 10, 4)])]);
    for (let round = 0; round < 2; round++) {
      const file = backend.aside;
      t.same(await file?.read({ at: 49_999, length: 3 }), Buffer.from([1, 3, 3]));
      t.same(await file?.read({ at: 59_999, length: 12 }), Buffer.from([3, ...new Uint8Array(10).fill(4), 3]));
      t.same(await file?.read({ at: 79_999, length: 190_001 }), Buffer.concat([Buffer.from([3]), Buffer.alloc(190_000, 2)]));
      t.equal(await file?.read({ at: 269_999, length: 2 }), undefined, "the file ends before");
      if (round === 1) break;
      await backend.close();
      backend = await open("aside");
    }
    await backend.aside?.write([piece(0, 1, 5)]);
    await backend.aside?.truncate(2);
    t.same(await backend.aside?.read({ at: 0, length: 2 }), Buffer.from([5, 1]));
    t.equal(await backend.aside?.read({ at: 0, length: 3 }), undefined);
    await backend.close();
  });
}

function storeContract(test: RunTest, open: OpenBackend): void {
  void test("a key-value store reads its own writes before, while and after they are committed, and forgets them when it is dropped", async (t) => {
    const backend = await open("table");
    const table = new StateTable(backend, "numbers", integerCodec, options());
    for (let n = 0; n < 20; n++) table.put(`k${n}`, n);
    t.equal(table.get("k0"), 0, "dirty entries stay, beyond the cache's size");
    const batch = backend.newBatch();
    table.flush(batch);
    table.put("k1", 100);
    t.equal(table.get("k2"), 2, "in flight");
    await backend.write(batch, { sync: true });
    table.committed();
    t.same([table.get("k1"), table.get("k19"), table.get("none")], [100, 19, undefined]);
    const fresh = new StateTable(backend, "numbers", integerCodec, options());
    t.same([fresh.get("k1"), fresh.get("k19")], [1, 19], "what was put behind the flush is not stored");
    fresh.delete("k19");
    t.equal(fresh.get("k19"), undefined);
    const second = backend.newBatch();
    fresh.flush(second);
    await backend.write(second, { sync: true });
    fresh.committed();
    t.equal(new StateTable(backend, "numbers", integerCodec, options()).get("k19"), undefined);
    t.equal(new StateTable(backend, "number", integerCodec, options()).get("sk1"), undefined, "stores are kept apart by name");
    await backend.close();
  });

  void test("a presence store adds each key once, over commits and caches of any size", async (t) => {
    const backend = await open("presence");
    const write = (writer: ByteWriter, n: number): void => writer.utf8(`k${n}`);
    let table = new PresenceTable(backend, "seen", options());
    for (let round = 0; round < 3; round++) {
      const added = Array.from({ length: 30 }, (_, n) => table.add(write, n)).filter(Boolean).length;
      t.equal(added, round === 0 ? 30 : 0);
      const batch = backend.newBatch();
      table.flush(batch);
      await backend.write(batch, { sync: true });
      await table.committed();
      if (round === 1) table = new PresenceTable(backend, "seen", options());
    }
    await backend.close();
  });

  void test("a presence store that is opened on stored keys knows them before and after its walk over them", async (t) => {
    const backend = await open("walk");
    const write = (writer: ByteWriter, n: number): void => writer.utf8(`k${n}`);
    const commit = async (table: PresenceTable): Promise<void> => {
      const batch = backend.newBatch();
      table.flush(batch);
      await backend.write(batch, { sync: true });
      await table.committed();
    };
    const first = new PresenceTable(backend, "seen", options());
    for (let n = 0; n < 3_000; n++) first.add(write, n);
    await commit(first);
    const table = new PresenceTable(backend, "seen", options());
    t.equal(table.isWalked, false);
    t.equal(table.add(write, 2_999), false, "asks the backend");
    t.ok(table.add(write, 3_000));
    await commit(table);
    t.equal(table.isWalked, false, "a commit walks over a bounded part");
    for (let rounds = 0; rounds < 10 && !table.isWalked; rounds++) await commit(table);
    t.ok(table.isWalked);
    t.equal(Array.from({ length: 3_001 }, (_, n) => table.add(write, n)).filter(Boolean).length, 0, "no key is taken for new");
    t.ok(table.add(write, 3_001));
    await backend.close();
  });

  void test("a window store keeps windows apart, before 1970 too, and expires them by start", async (t) => {
    const backend = await open("windows");
    const table = new WindowTable(backend, "w", integerCodec, options());
    const starts = [-7_200_000, -3_600_000, 0, 3_600_000];
    for (const start of starts) table.put(start, "k", start);
    const batch = backend.newBatch();
    table.flush(batch);
    await backend.write(batch, { sync: true });
    table.committed();
    await table.expire(0);
    const fresh = new WindowTable(backend, "w", integerCodec, options());
    t.same(starts.map((start) => fresh.get(start, "k")), [undefined, undefined, 0, 3_600_000]);
    await backend.close();
  });

  void test("a damaged value is never served", async (t) => {
    const backend = await open("damage");
    const table = new StateTable(backend, "numbers", integerCodec, options());
    table.put("k", 7);
    const batch = backend.newBatch();
    table.flush(batch);
    await backend.write(batch, { sync: true });
    for await (const [key, value] of backend.entries({})) {
      value[0] = (value[0] as number) ^ 1;
      const damage = backend.newBatch();
      damage.put(key, value);
      await backend.write(damage, { sync: true });
    }
    let code = "";
    try {
      new StateTable(backend, "numbers", integerCodec, options()).get("k");
    } catch (error) {
      code = (error as { code: string }).code;
    }
    t.equal(code, "STATE_CORRUPT");
    await backend.close();
  });
}

/** What every state backend must do, and the key-value, presence and window stores on it. */
export function stateBackendContract(test: RunTest, open: OpenBackend): void {
  backendContract(test, open);
  asideContract(test, open);
  storeContract(test, open);
}
