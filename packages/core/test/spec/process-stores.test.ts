/** Stores of process steps, as the test driver reads them: what the last commit left, of each kind. */
import t from "tap";
import { customStore, defineTopology, keyValueStore, orderedStore, serde, sessionStore, type StoreDeclaration, type Topology, versionedStore, windowStore } from "@iot-topology/core";
import { collect, testDriver } from "@iot-topology/core/testing";

const integer = serde.integer();
const stores = {
  plain: keyValueStore("plain", { value: integer }),
  mortal: keyValueStore("mortal", { value: integer, ttl: 100 }),
  ordered: orderedStore("ordered", { value: integer }),
  fleeting: orderedStore("fleeting", { value: integer, ttl: 50 }),
  windows: windowStore("windows", { value: integer, retention: 100 }),
  sessions: sessionStore("sessions", { value: integer, retention: 100 }),
  versions: versionedStore("versions", { value: integer, history: 100 }),
};
/** Each record goes into every store: a window that starts with it, a session of the 5 ms up to it. */
const topology: Topology = defineTopology("kept", (b) => {
  b.source("in").decode(serde.json<number>()).processValues("keep", {
    stores: Object.values(stores),
    process({ key, value, timestamp }, { store }) {
      const name = String(key);
      for (const keyed of ["plain", "mortal", "ordered", "fleeting"] as const) store(keyed).put(name, value);
      store("windows").put(name, timestamp, value);
      store("sessions").put(name, timestamp - 5, timestamp, value);
      store("versions").put(name, value, timestamp);
    },
  }).sink(collect("out"));
});
const piped = (...records: readonly (readonly [key: string, value: number | null, timestamp: number])[]) => records.map(([key, value, timestamp]) => ({ key, value: JSON.stringify(value), timestamp }));
const entry = (key: string, value: number) => ({ key, value });

t.test("a value a key is read by key and by range, in the order of the keys' bytes", (t) => {
  const driver = testDriver(topology);
  driver.pipe("in", ...piped(["b", 1, 1_000], ["a", 2, 1_000], ["ä", 3, 1_000], ["a\0", 4, 1_000], ["gone", 5, 1_000], ["gone", null, 1_000]), { event: "commit" });
  for (const name of ["plain", "ordered", "mortal", "fleeting"]) {
    const store = driver.store(name);
    t.strictSame(store.range(), [entry("a", 2), entry("a\0", 4), entry("b", 1), entry("ä", 3)], name);
    t.strictSame(store.range("a\0", "c"), [entry("a\0", 4), entry("b", 1)]);
    t.strictSame([store.get("a"), store.get("gone"), store.get("")], [entry("a", 2), undefined, undefined]);
    t.strictSame(store.windows("a"), []);
  }
  t.equal(driver.store(stores.ordered).get("b")?.value, 1, "by its declaration");
  t.end();
});

t.test("a store is read as the last commit left it", (t) => {
  const driver = testDriver(topology);
  driver.pipe("in", ...piped(["a", 1, 1_000]));
  const values = () => [driver.store("plain").get("a")?.value, driver.store("windows").range().length, driver.store("versions").get("a")?.value];
  t.strictSame(values(), [undefined, 0, undefined], "nothing is committed");
  driver.pipe("in", { event: "commit" }, ...piped(["a", 2, 1_010]));
  t.strictSame(values(), [1, 1, 1]);
  driver.pipe("in", { event: "crash" });
  t.strictSame(values(), [1, 1, 1]);
  driver.pipe("in", ...piped(["a", 3, 1_010]), { event: "commit" });
  t.strictSame(values(), [3, 2, 3]);
  t.end();
});

t.test("an entry whose TTL has passed is not there, also where it has not been deleted yet", (t) => {
  const driver = testDriver(topology);
  // More than are deleted at once.
  driver.pipe("in", ...piped(...Array.from({ length: 600 }, (_, n) => [`k${n}`, n, 1_000] as const), ["late", 1, 1_060], ["last", 2, 1_149]), { event: "commit" });
  t.strictSame(driver.store("fleeting").range(), [entry("last", 2)]);
  t.strictSame(driver.store("mortal").range(), [entry("last", 2), entry("late", 1)]);
  t.equal(driver.store("plain").range().length, 602);
  t.end();
});

t.test("windows and sessions of a key are read by start, within the retention", (t) => {
  const driver = testDriver(topology);
  driver.pipe("in", ...piped(["a", 1, 1_000], ["b", 2, 1_050], ["a", 3, 1_070], ["a", 4, 1_060], ["a\0", 5, 1_070], ["b", 6, 1_105]), { event: "commit" });
  const windows = driver.store(stores.windows);
  const sessions = driver.store(stores.sessions);
  t.strictSame(windows.windows("a"), [{ key: "a", value: 4, start: 1_060 }, { key: "a", value: 3, start: 1_070 }], "that of 1,000 is behind the retention");
  t.strictSame(windows.windows("a", 1_061, 1_070), [{ key: "a", value: 3, start: 1_070 }]);
  t.strictSame(windows.range().map(({ key, start }) => [key, start]), [["a", 1_060], ["a", 1_070], ["a\0", 1_070], ["b", 1_050], ["b", 1_105]]);
  t.strictSame(windows.range("a\0", "b").map(({ value }) => value), [5]);
  t.equal(windows.get("b")?.value, 6, "the newest");
  t.strictSame(sessions.windows("a", 1_065, 1_065), [{ key: "a", value: 3, start: 1_065, end: 1_070 }], "those that reach into the time");
  t.strictSame(sessions.windows("a", 1_000, 1_064), [{ key: "a", value: 4, start: 1_055, end: 1_060 }]);
  t.strictSame(sessions.range().map(({ key, start, end }) => [key, start, end]), [["a", 1_055, 1_060], ["a", 1_065, 1_070], ["a\0", 1_065, 1_070], ["b", 1_045, 1_050], ["b", 1_100, 1_105]]);
  t.end();
});

t.test("versions are read as of a moment within the history, with the time up to which they were valid", (t) => {
  const driver = testDriver(topology);
  driver.pipe("in", ...piped(["a", 1, 1_000], ["a", 2, 1_050], ["a", null, 1_080], ["a", 3, 1_120], ["b", 9, 1_110], ["b", null, 1_130]), { event: "commit" });
  const store = driver.store(stores.versions);
  const asOf = (moment: number) => store.get("a", moment);
  t.strictSame(store.get("a"), { key: "a", value: 3, timestamp: 1_120 });
  t.strictSame([asOf(1_120), asOf(9_999)], [store.get("a"), store.get("a")]);
  t.strictSame([asOf(1_119), asOf(1_080)], [undefined, undefined], "deleted");
  t.strictSame(asOf(1_079), { key: "a", value: 2, timestamp: 1_050, validTo: 1_080 });
  t.strictSame(asOf(1_030), { key: "a", value: 1, timestamp: 1_000, validTo: 1_050 });
  t.strictSame([asOf(1_029), store.get("b"), store.get("none")], [undefined, undefined, undefined], "behind the history, deleted, never there");
  t.strictSame(store.range(), [{ key: "a", value: 3, timestamp: 1_120 }]);
  t.end();
});

t.test("a store that two steps share has the later of their times", (t) => {
  const shared = keyValueStore("shared", { value: integer, ttl: 10 });
  const driver = testDriver(defineTopology("shared", (b) => {
    b.source("in").decode(serde.json<number>()).processValues("put", { stores: [shared], process: ({ key, value }, { store }) => store("shared").put(String(key), value) }).sink(collect("out"));
    b.source("other").processValues("look", { stores: [shared], process: () => {} }).sink(collect("other"));
  }));
  driver.pipe("in", ...piped(["a", 1, 100]), { event: "commit" });
  t.equal(driver.store(shared).get("a")?.value, 1);
  driver.pipe("other", { key: "a", value: "", timestamp: 110 }, { event: "commit" });
  t.equal(driver.store(shared).get("a"), undefined);
  t.end();
});

t.test("what no step declares, and what only the store itself can read, is named", (t) => {
  const own = customStore("own", () => ({ flush: () => {}, committed: () => {} }));
  const driver = testDriver(defineTopology("own", (b) => b.source("in").processValues("step", { stores: [own], process: () => {} }).sink(collect("out"))));
  const wrong: readonly [string | StoreDeclaration, RegExp][] = [["nothing", /no store "nothing"/], ["step", /no store "step"/], ["own", /custom store/], [own, /custom store/], [keyValueStore("own", { value: integer }), /no step of this topology declares/]];
  for (const [wanted, message] of wrong) t.throws(() => driver.store(wanted as string), { code: "STORE_NOT_FOUND", message });
  t.end();
});
