/** Interactive queries by key on running instances: every kind of store, over partitions and processes. */
import t from "tap";
import { type Instance, keyValueStore, openInstance } from "@iot-topology/core";
import { collectConnector, memoryCluster, memoryLog } from "@iot-topology/core/testing";
import topology, { counts, doubled, integer, places, prices, stores, unkept } from "./asked-topology.ts";

const records = Array.from({ length: 40 }, (_, n) => ({ key: `k${n % 8}`, value: String(n), timestamp: 1_000 + n * 10 }));
const all = async <T>(rows: AsyncIterable<T>): Promise<T[]> => {
  const found: T[] = [];
  for await (const row of rows) found.push(row);
  return found;
};

/** What every instance that has all tasks answers. */
async function check(t: { same: typeof import("tap").t.same; rejects: typeof import("tap").t.rejects; throws: typeof import("tap").t.throws }, instance: Instance): Promise<void> {
  const { store } = instance;
  t.same(await Promise.all([store(counts).get("k3"), store(counts).get("none"), store(doubled).get("k3")]), [5, undefined, 10]);
  t.same(await store(counts).row("k3"), { key: "k3", value: 5, timestamp: 1_350 });
  t.same(await all(store(counts).range()), Array.from({ length: 8 }, (_, n) => [`k${n}`, 5]), "over all partitions, in order");
  t.same((await all(store(counts).range({ from: "k2", below: "k6", reverse: true, limit: 3 }))).map(([key]) => key), ["k5", "k4", "k3"]);
  t.same(await all(store(counts).prefix("k7")), [["k7", 5]]);
  t.same(await all(store(stores.ordered).prefix("k", { limit: 2 })), [["k0", 32], ["k1", 33]]);
  t.same(await store(stores.plain).get("k0"), 32);
  t.same(await Promise.all(["k0", "k7"].map((key) => store(stores.mortal).get(key))), [32, 39]);
  t.same(await all(store(stores.windows).fetch("k7", 0, 9_999)), [{ key: "k7", start: 1_310, value: 31 }, { key: "k7", start: 1_390, value: 39 }], "within the retention");
  t.same(await all(store(stores.windows).fetch("k7", 1_320, 1_390)), [{ key: "k7", start: 1_390, value: 39 }]);
  t.same(await all(store(stores.sessions).fetch("k7", 1_300, 1_380)), [{ key: "k7", start: 1_305, end: 1_310, value: 31 }]);
  t.same(await store(stores.versions).get("k7"), { value: 39, timestamp: 1_390 });
  t.same(await Promise.all([1_389, 1_310, 1_289].map((asOf) => store(stores.versions).get("k7", asOf))), [{ value: 31, timestamp: 1_310 }, { value: 31, timestamp: 1_310 }, undefined]);
  t.same(await Promise.all([undefined, 2_000, 1_999, 1_000, 900].map((asOf) => store(prices).get("apple", asOf))), [3, 3, 1, 1, undefined]);
  t.same(await Promise.all([store(places).get("a"), store(places).get("z")]), ["here", undefined]);
  t.same(await all(store(places).range()), [["a", "here"], ["b", "there"]], "each row once, though every task has it");
  t.same(await store("n").row("k1"), { key: "k1", value: 5, timestamp: 1_330 });
  t.same((await all(store("sessions").rows({ from: "k7", limit: 1 }))).map(({ key, start }) => [key, start]), [["k7", 1_305]]);
  await t.rejects(store("n").row("k1", 5), { code: "USAGE", message: /former versions/ });
  await t.rejects(store("windows").row("k1"), { code: "USAGE", message: /single row/ });
  t.throws(() => store("n").windows("k1", 0, 1), { code: "USAGE", message: /no windows/ });
  t.throws(() => store("nothing"), { code: "STORE_NOT_FOUND", cure: /plain/ });
  t.throws(() => store(unkept), { code: "STORE_NOT_FOUND", message: /keeps no rows/ });
  t.throws(() => store(keyValueStore("plain", { value: integer })), { code: "STORE_NOT_FOUND", message: /no step of this topology/ });
  t.throws(() => instance.query("n", { key: "k1" }), { code: "STORE_NOT_FOUND", cure: /instance\.store/ });
  t.same(instance.stores().map(({ name, kind, askedBy }) => `${name} ${kind} ${askedBy}`).sort(), [
    "doubled key-value key", "mortal key-value key", "n key-value key", "ordered ordered key", "place key-value key", "plain key-value key", "price versioned key", "sessions session key", "versions versioned key", "windows window key",
  ]);
}

async function feed(log: { append: ReturnType<typeof memoryLog>["append"] }): Promise<void> {
  await log.append("prices", [{ key: "apple", value: "1", timestamp: 1_000 }, { key: "apple", value: "3", timestamp: 2_000 }]);
  await log.append("places", [{ key: "a", value: "here", timestamp: 1 }, { key: "b", value: "there", timestamp: 1 }]);
  // Event times of one partition go on by themselves: a store's time is that of its task.
  await log.append("in", records);
}

t.test("alone, over three partitions or one", async (t) => {
  const log = memoryLog();
  const instance = await openInstance(topology, { log, connectors: [collectConnector()], stateDir: null, partitions: 1, commitIntervalMs: 5 });
  instance.run();
  await feed(log);
  await instance.drain();
  await check(t, instance);
  await instance.stop();
  const wide = memoryLog();
  const three = await openInstance(topology, { log: wide, connectors: [collectConnector()], stateDir: null, partitions: 3, commitIntervalMs: 5 });
  three.run();
  await feed(wide);
  await three.drain();
  t.same(await all(three.store(counts).range()), Array.from({ length: 8 }, (_, n) => [`k${n}`, 5]), "merged in order");
  t.same((await all(three.store(counts).range({ reverse: true, limit: 2 }))).map(([key]) => key), ["k7", "k6"]);
  t.same(await Promise.all(Array.from({ length: 8 }, (_, n) => three.store(counts).get(`k${n}`))), Array.from({ length: 8 }, () => 5));
  t.same(await three.store(places).get("b"), "there");
  await three.stop();
});

t.test("over threads, page by page", async (t) => {
  const log = memoryLog();
  const instance = await openInstance(topology, { log, connectors: [collectConnector()], stateDir: null, partitions: 3, commitIntervalMs: 5, threads: { count: 2, module: new URL("./asked-topology.ts", import.meta.url) } });
  instance.run();
  await feed(log);
  await log.append("in", Array.from({ length: 2_000 }, (_, n) => ({ key: `many-${String(n).padStart(4, "0")}`, value: String(n), timestamp: 1_400 })));
  await instance.drain();
  const { store } = instance;
  t.same(await Promise.all([store(counts).get("k3"), store(counts).get("none"), store(doubled).get("k3")]), [5, undefined, 10]);
  t.same((await all(store(counts).prefix("many-"))).map(([key]) => Number(key.slice(5))), Array.from({ length: 2_000 }, (_, n) => n), "pages of all partitions, in order");
  t.same((await all(store(counts).prefix("many-", { reverse: true, limit: 3 }))).map(([key]) => key), ["many-1999", "many-1998", "many-1997"]);
  t.same(await all(store(stores.windows).fetch("k7", 1_320, 1_390)), [{ key: "k7", start: 1_390, value: 39 }]);
  t.same(await store(stores.versions).get("k7"), { value: 39, timestamp: 1_390 });
  t.same(await store(prices).get("apple", 1_999), 1);
  t.same(await all(store(places).range()), [["a", "here"], ["b", "there"]]);
  await instance.stop();
  await t.rejects(store(counts).get("k3"), { code: "STORE_ELSEWHERE" }, "what has ended does not answer");
});

t.test("in a group: each process answers what it has, and tells who has the rest", async (t) => {
  const cluster = memoryCluster();
  t.teardown(() => cluster.close());
  const open = (advertisedUrl: string) => openInstance(topology, { log: cluster.connect(), connectors: [collectConnector()], stateDir: null, createTopics: true, partitions: 4, commitIntervalMs: 5, sessionTimeoutMs: 2_000, advertisedUrl });
  const first = await open("http://first");
  first.run();
  const feeder = cluster.connect();
  await feed(feeder);
  const second = await open("http://second");
  second.run();
  while (first.status().tasks.length !== second.status().tasks.length || first.status().tasks.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  await first.drain();
  await second.drain();
  const answers: Record<string, number> = { first: 0, second: 0, refused: 0 };
  for (const { key } of records.slice(0, 8)) {
    for (const [name, instance] of Object.entries({ first, second })) {
      try {
        t.equal(await instance.store(counts).get(key), 5, `${key} of ${name}`);
        answers[name] = (answers[name] ?? 0) + 1;
        t.ok(instance.locate("n", { key }).some(({ isLocal }) => isLocal));
      } catch (error) {
        t.match(error, { code: "STORE_ELSEWHERE", place: name === "first" ? "http://second" : "http://first" });
        answers["refused"] = (answers["refused"] ?? 0) + 1;
      }
    }
  }
  t.equal((answers["first"] ?? 0) + (answers["second"] ?? 0), 8, "each key is answered by one of them");
  t.equal(answers["refused"], 8);
  await t.rejects(all(first.store(counts).range()), { code: "STORE_ELSEWHERE", place: "http://second" });
  await first.stop();
  await second.stop();
});
