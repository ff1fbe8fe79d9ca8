import type { CustomStore, OpenCustomStore } from "../topology/index.ts";
import type { ContractTest } from "./source-log-contract.ts";

/** A custom store as the contract drives it. Steps may use whatever else it has. */
export interface CustomKeyValueStore<V> extends CustomStore {
  get(key: string): V | undefined;
  put(key: string, value: V): void;
  delete(key: string): void;
  /** Entries by key, from `from` (included) to `below` (excluded); where the store has an order. */
  range?(from: string, below: string): Iterable<readonly [string, V]>;
}

/** What the contract needs of a store. */
export interface CustomStoreCase<V> {
  readonly open: OpenCustomStore<CustomKeyValueStore<V>>;
  /** Makes a value; other numbers give other values. */
  readonly value: (n: number) => V;
}

type RunTest = (name: string, body: (t: ContractTest) => Promise<void>) => unknown;

const SEED = 20_261_121;

/** What stands behind a store: entries as the last commit left them, and the store over them. */
class StoreLife<V> {
  readonly #case: CustomStoreCase<V>;
  readonly #entries = new Map<string, Uint8Array>();
  store: CustomKeyValueStore<V>;

  constructor(given: CustomStoreCase<V>) {
    this.#case = given;
    this.store = this.#open();
  }

  #open(): CustomKeyValueStore<V> {
    return this.#case.open({ name: "custom", taskId: "contract_0", read: (key) => this.#entries.get(key) });
  }

  /** A commit, as an instance makes it: records go on while it is written. Tells how many entries it wrote. */
  commit(meanwhile: () => void = () => {}): number {
    const writes = new Map<string, Uint8Array | undefined>();
    this.store.flush({ put: (key, value) => void writes.set(key, Uint8Array.from(value)), delete: (key) => void writes.set(key, undefined) });
    meanwhile();
    for (const [key, value] of writes) {
      if (value === undefined) this.#entries.delete(key);
      else this.#entries.set(key, value);
    }
    this.store.committed();
    return writes.size;
  }

  /** Forgets memory, as a crash would. */
  crash(): void {
    this.store = this.#open();
  }
}

function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function entries<V>(store: CustomKeyValueStore<V>, keys: readonly string[]): (V | null)[] {
  return keys.map((key) => store.get(key) ?? null);
}

/** Puts, deletes, commits, crashes and calls that are taken back, from a seed, against a map. */
function playRandom<V>(t: ContractTest, given: CustomStoreCase<V>, seed: number): void {
  const random = randomFrom(seed);
  const life = new StoreLife(given);
  const keys = Array.from({ length: 12 }, (_, n) => `k${n}`);
  let model = new Map<string, V>();
  let committed = new Map<string, V>();
  const change = (): void => {
    const key = keys[random(keys.length)] as string;
    const value = given.value(random(1_000));
    if (random(4) === 0) {
      life.store.delete(key);
      model.delete(key);
    } else {
      life.store.put(key, value);
      model.set(key, value);
    }
  };
  for (let step = 0; step < 400; step++) {
    const dice = random(20);
    if (dice < 2) {
      committed = new Map(model);
      life.commit(() => {
        for (let left = random(4); left > 0; left--) change();
      });
    } else if (dice === 2) {
      life.crash();
      model = new Map(committed);
    } else if (dice < 6 && life.store.rollBack !== undefined) {
      const before = new Map(model);
      life.store.mark?.();
      for (let left = random(5); left > 0; left--) change();
      if (random(2) === 0) {
        life.store.rollBack();
        model = before;
      }
    } else change();
    t.same(entries(life.store, keys), keys.map((key) => model.get(key) ?? null), `seed ${seed}, step ${step}`);
  }
}

/**
 * What every store of a user's own making must do, so that what steps keep in it counts exactly once.
 *
 * @example customStoreContract(t.test, { open: (environment) => new CountingStore(environment), value: (n) => n });
 */
export function customStoreContract<V>(test: RunTest, given: CustomStoreCase<V>): void {
  const { value } = given;
  void test("a store reads its own writes before, while and after they are committed", async (t) => {
    const life = new StoreLife(given);
    life.store.put("a", value(1));
    life.store.put("b", value(2));
    t.same(entries(life.store, ["a", "b", "c"]), [value(1), value(2), null]);
    life.commit(() => {
      life.store.put("a", value(3));
      life.store.delete("b");
      t.same(entries(life.store, ["a", "b"]), [value(3), null], "while the commit is written");
    });
    t.same(entries(life.store, ["a", "b"]), [value(3), null]);
    await Promise.resolve();
  });

  void test("after a crash a store is what the last commit left", async (t) => {
    const life = new StoreLife(given);
    life.store.put("a", value(1));
    life.store.put("b", value(2));
    life.commit(() => life.store.put("a", value(3)));
    life.crash();
    t.same(entries(life.store, ["a", "b"]), [value(1), value(2)], "what was put while the commit was written is not part of it");
    life.store.delete("b");
    life.commit();
    life.crash();
    t.same(entries(life.store, ["a", "b"]), [value(1), null]);
    await Promise.resolve();
  });

  void test("what was changed while a commit was written is in the next one, and a commit without changes writes nothing", async (t) => {
    const life = new StoreLife(given);
    life.store.put("a", value(1));
    life.commit(() => life.store.put("b", value(2)));
    t.ok(life.commit() > 0, "the next commit writes it");
    life.crash();
    t.same(entries(life.store, ["a", "b"]), [value(1), value(2)]);
    t.equal(life.commit(), 0);
    await Promise.resolve();
  });

  void test("what a call that threw has changed is taken back, where the store can", async (t) => {
    const life = new StoreLife(given);
    if (life.store.rollBack === undefined) return;
    life.store.put("a", value(1));
    life.store.mark?.();
    life.store.put("a", value(2));
    life.store.put("a", value(3));
    life.store.put("b", value(4));
    life.store.rollBack();
    t.same(entries(life.store, ["a", "b"]), [value(1), null]);
    life.store.mark?.();
    life.store.delete("a");
    life.store.mark?.();
    life.store.put("b", value(5));
    life.store.rollBack();
    t.same(entries(life.store, ["a", "b"]), [null, null], "changes before the last mark stay");
    life.commit();
    life.crash();
    t.same(entries(life.store, ["a", "b"]), [null, null]);
    await Promise.resolve();
  });

  void test("a range holds what get gives, in order", async (t) => {
    const life = new StoreLife(given);
    if (life.store.range === undefined) return;
    for (const [n, key] of ["b", "a", "ab", "c"].entries()) life.store.put(key, value(n));
    life.commit();
    life.crash();
    life.store.delete("ab");
    t.same([...life.store.range("a", "c")].map(([key]) => key), ["a", "b"]);
    await Promise.resolve();
  });

  void test(`any sequence of changes, commits, crashes and calls that are taken back leaves what a map would hold, seeds ${SEED} to ${SEED + 4}`, async (t) => {
    for (let seed = SEED; seed < SEED + 5; seed++) playRandom(t, given, seed);
    await Promise.resolve();
  });
}
