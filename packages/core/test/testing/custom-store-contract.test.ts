/** A store of a user's own making: the contract, an example that passes it, and a step that uses it. */
import t from "tap";
import { carries, customStore, type CustomStore, defineTopology, keyValueStore, type OpenCustomStore, serde, type StoreEnvironment, type StoreWriter } from "@iot-topology/core";
import { collect, type CustomKeyValueStore, customStoreContract, testDriver } from "@iot-topology/core/testing";

/** Keeps numbers as text, page by page of keys with the same first letters: one entry a page, so that a commit of many keys writes few. */
class PagedStore implements CustomKeyValueStore<number> {
  readonly #environment: StoreEnvironment;
  readonly #pages = new Map<string, Map<string, number>>();
  readonly #dirty = new Set<string>();
  readonly #undo: (() => void)[] = [];

  constructor(environment: StoreEnvironment) {
    this.#environment = environment;
  }

  #page(key: string): Map<string, number> {
    const name = key.slice(0, 1);
    let page = this.#pages.get(name);
    if (page === undefined) {
      const stored = this.#environment.read(name);
      page = new Map(stored === undefined ? [] : (JSON.parse(Buffer.from(stored).toString()) as [string, number][]));
      this.#pages.set(name, page);
    }
    return page;
  }

  #set(key: string, value: number | undefined): void {
    const page = this.#page(key);
    const before = page.get(key);
    this.#undo.push(() => this.#assign(page, key, before));
    this.#assign(page, key, value);
  }

  #assign(page: Map<string, number>, key: string, value: number | undefined): void {
    if (value === undefined) page.delete(key);
    else page.set(key, value);
    this.#dirty.add(key.slice(0, 1));
  }

  get(key: string): number | undefined {
    return this.#page(key).get(key);
  }
  put(key: string, value: number): void {
    this.#set(key, value);
  }
  delete(key: string): void {
    this.#set(key, undefined);
  }
  flush(writer: StoreWriter): void {
    for (const name of this.#dirty) {
      const page = this.#pages.get(name) as Map<string, number>;
      if (page.size === 0) writer.delete(name);
      else writer.put(name, Buffer.from(JSON.stringify([...page])));
    }
    this.#dirty.clear();
  }
  // Pages stay in memory, so what is being written need not be remembered apart.
  committed(): void {}
  mark(): void {
    this.#undo.length = 0;
  }
  rollBack(): void {
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) undo();
  }
}

customStoreContract((name, body) => t.test(`a store of pages: ${name}`, body), { open: (environment) => new PagedStore(environment), value: (n) => n });

/** The contract's verdict on a store that is wrong in one way. */
async function failures(open: OpenCustomStore<CustomKeyValueStore<number>>): Promise<number> {
  let count = 0;
  const bodies: Promise<void>[] = [];
  const verdict = (isRight: boolean): boolean => {
    if (!isRight) count++;
    return isRight;
  };
  const same = (a: unknown, b: unknown): boolean => verdict(JSON.stringify(a) === JSON.stringify(b));
  customStoreContract((_name, body) => bodies.push(body({ same, equal: (a: unknown, b: unknown) => verdict(a === b), ok: (a: unknown) => verdict(Boolean(a)) } as never)), { open, value: (n) => n });
  await Promise.all(bodies);
  return count;
}

t.test("the contract finds stores that are wrong", async (t) => {
  const wrong: readonly [string, (store: PagedStore) => Partial<CustomKeyValueStore<number>>][] = [
    ["forgets what it wrote", () => ({ flush: () => {} })],
    ["does not delete", (store) => ({ delete: (key) => void store.get(key) })],
    ["takes nothing back", () => ({ rollBack: () => {} })],
    ["takes too much back", () => ({ mark: () => {} })],
  ];
  const open = (change: (store: PagedStore) => Partial<CustomKeyValueStore<number>>): OpenCustomStore<CustomKeyValueStore<number>> => (environment) => {
    const store = new PagedStore(environment);
    const bound: CustomKeyValueStore<number> = {
      get: (key) => store.get(key),
      put: (key, value) => store.put(key, value),
      delete: (key) => store.delete(key),
      flush: (writer) => store.flush(writer),
      committed: () => store.committed(),
      mark: () => store.mark(),
      rollBack: () => store.rollBack(),
    };
    return { ...bound, ...change(store) };
  };
  t.equal(await failures(open(() => ({}))), 0, "and none in one that is right");
  for (const [what, change] of wrong) t.ok((await failures(open(change))) > 0, what);
});

t.test("a step keeps what it knows in a custom store, over crashes and calls that throw", async (t) => {
  const pages = customStore("pages", (environment) => new PagedStore(environment));
  const topology = defineTopology("custom", (b) =>
    b.source("in").decode(serde.json<number>()).process("count", {
      stores: [pages, keyValueStore("page", { value: serde.integer() })],
      output: carries<number>(),
      onError: "skip",
      process({ key, value }, { store, forward }) {
        const count = (store("pages").get(String(key)) ?? 0) + (value ?? 0);
        store("pages").put(String(key), count);
        if (value === 100) throw new Error("no");
        forward({ key, value: count });
      },
    }).sink(collect("out")));
  const driver = testDriver(topology);
  const pipe = (...values: number[]): void => driver.pipe("in", ...values.map((value) => ({ key: `k${value % 2}`, value, timestamp: value })));
  pipe(1, 2, 3, 100);
  await driver.commit();
  pipe(4, 5);
  driver.crash();
  pipe(4, 5, 100, 7);
  t.same(driver.values("out"), [1, 2, 4, 6, 9, 16]);
  t.equal(driver.counters().skipped, 2);
});

t.test("a store that cannot take changes back is refused where the step goes on after a throw", (t) => {
  const bare = customStore("bare", (): CustomStore => ({ flush: () => {}, committed: () => {} }));
  const open = (onError: "skip" | "fail") => () => testDriver(defineTopology("bare", (b) => b.source("in").process("step", { stores: [bare], onError, process: () => {} }).sink(collect("out"))));
  t.throws(open("skip"), { code: "USAGE", message: /cannot take back/, cure: /rollBack/ });
  t.doesNotThrow(open("fail"));
  t.end();
});
