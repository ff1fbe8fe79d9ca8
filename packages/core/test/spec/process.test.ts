/** The Processor API: stores, named children, punctuators, and calls that throw. */
import t from "tap";
import { carries, defineTopology, keyValueStore, orderedStore, type ProcessOptions, serde, sessionStore, type StoreDeclaration, type StreamRecord, type Topology, versionedStore, windowStore } from "@iot-topology/core";
import { collect, testDriver } from "@iot-topology/core/testing";

const integer = serde.json<number>();
type Piped = readonly [key: string | null, value: unknown, timestamp: number];
const piped = (records: readonly Piped[]) => records.map(([key, value, timestamp]) => ({ key, value, timestamp }));
const rows = (driver: ReturnType<typeof testDriver>, target = "out") => driver.rows(target).map(({ key, value, timestamp }) => [key, value, timestamp]);

/** A topology of one step that answers each record with what its store says. */
function asking<const S extends StoreDeclaration>(store: S, ask: ProcessOptions<number | null, unknown, readonly [S], unknown>["process"]): Topology {
  return defineTopology("asking", (b) => b.source("in").decode(integer).process("ask", { stores: [store], output: carries<unknown>(), process: ask }).sink(collect("out")));
}

function run(topology: Topology, records: readonly Piped[]): unknown[] {
  const driver = testDriver(topology);
  driver.pipe("in", ...piped(records));
  return rows(driver).map(([, value]) => value);
}

t.test("a step keeps what it knows in a store, and forwards keys, values, times and headers of its own", async (t) => {
  const sums = keyValueStore("sums", { value: serde.float64() });
  const topology = defineTopology("sum", (b) =>
    b.source("in").decode(integer).process("sum", {
      stores: [sums],
      output: carries<number>(),
      process({ key, value }, context) {
        const sum = (context.store("sums").get(String(key)) ?? 0) + (value ?? 0);
        context.store("sums").put(String(key), sum);
        context.forward({ key, value: sum });
        if (sum > 2) context.forward({ key: `${String(key)}!`, value: sum, timestamp: 99, headers: [{ key: "h", value: Buffer.from(`${context.meta.topic}@${context.meta.offset}`) }] });
      },
    }).sink(collect("out")));
  const driver = testDriver(topology);
  driver.pipe("in", ...piped([["a", 1, 10], ["b", 1, 11], ["a", 2, 12]]));
  await driver.commit();
  driver.crash();
  driver.pipe("in", ...piped([["a", 1, 9]]));
  t.same(rows(driver), [["a", 1, 10], ["b", 1, 11], ["a", 3, 12], ["a!", 3, 99], ["a", 4, 9], ["a!", 4, 99]]);
});

t.test("records go to the main stream or to a named child, each with its type", (t) => {
  const topology = defineTopology("children", (b) => {
    const split = b.source("in").decode(integer).process("split", {
      output: carries<string>(),
      children: { even: carries<number>(), odd: carries<{ readonly odd: number }>() },
      process({ key, value }, context) {
        if (value === null) context.forward({ key, value: "none" });
        else if (value % 2 === 0) context.forward({ key, value }, "even");
        else context.forward({ key, value: { odd: value } }, "odd");
      },
    });
    split.sink(collect("out"));
    split.child("even").map((value) => value * 10).sink(collect("even"));
    split.child("odd").map(({ odd }) => odd).sink(collect("odd"));
  });
  const driver = testDriver(topology);
  driver.pipe("in", ...piped([["a", 1, 1], ["a", 2, 2], ["a", null, 3]]));
  t.same([driver.values("out"), driver.values("even"), driver.values("odd")], [["none"], [20], [1]]);
  t.end();
});

t.test("two steps that declare a store by the same declaration share it, in one task, also over several topics", (t) => {
  const seen = keyValueStore("seen", { value: serde.integer() });
  const topology = defineTopology("shared", (b) => {
    b.source("in").decode(integer).process("write", { stores: [seen], process: ({ key, value }, context) => context.store("seen").put(String(key), value) });
    b.source("questions").decode(integer).process("read", { stores: [seen], output: carries<number | undefined>(), process: ({ key }, context) => context.forward({ key, value: context.store("seen").get(String(key)) }) }).sink(collect("out"));
  });
  const driver = testDriver(topology);
  driver.pipe("in", ...piped([["a", 7, 1]]));
  driver.pipe("questions", ...piped([["a", 0, 1], ["b", 0, 1]]));
  t.same(rows(driver), [["a", 7, 1], ["b", undefined, 1]]);
  t.end();
});

t.test("a call that throws leaves neither records nor changes of stores behind, and goes by the step's policy", async (t) => {
  const kept = keyValueStore("kept", { value: serde.integer(), ttl: 1_000 });
  const ordered = orderedStore("ordered", { value: serde.integer() });
  const windows = windowStore("windows", { value: serde.integer(), retention: 1_000 });
  const sessions = sessionStore("sessions", { value: serde.integer(), retention: 1_000 });
  const versions = versionedStore("versions", { value: serde.integer(), history: 1_000 });
  const topology = defineTopology("throwing", (b) => {
    const dead = b.deadLetter("dead");
    dead.map(({ step, message, key }) => [step, message, String(key)]).sink(collect("dead"));
    b.source("in").decode(integer).process("throws", {
      stores: [kept, ordered, windows, sessions, versions],
      output: carries<unknown>(),
      onError: dead,
      process({ key, value, timestamp }, context) {
        const [k, o, w, s, v] = [context.store("kept"), context.store("ordered"), context.store("windows"), context.store("sessions"), context.store("versions")];
        for (const name of ["a", "b"]) {
          if (value === 9) [k, o].forEach((store) => store.delete(name));
          k.put(name, value);
          o.put(name, value);
          w.put(name, 10, value);
          s.put(name, 10, 20, value);
          v.put(name, value, timestamp);
        }
        context.forward({ key, value: "half" });
        if (value !== null && value > 1) throw new Error(`no ${value}`);
        context.forward({ key, value: [k.get("a"), [...o.range()], [...w.all(0, 100)].length, [...s.find("b", 0, 100)].map((found) => found.value), v.get("a")?.value, v.get("b", 1)?.value] });
      },
    }).sink(collect("out"));
  });
  const driver = testDriver(topology);
  driver.pipe("in", ...piped([["x", 5, 1], ["x", 1, 2], ["y", 9, 3], ["y", 3, 4]]));
  const probe = (): void => driver.pipe("in", ...piped([["x", 0, 5]]));
  await driver.commit();
  probe();
  const half = ["x", "half"];
  t.same(driver.rows("out").map(({ key, value }) => [key, value]), [half, ["x", [1, [["a", 1], ["b", 1]], 2, [1], 1, undefined]], half, ["x", [0, [["a", 0], ["b", 0]], 2, [0], 0, undefined]]]);
  t.same(driver.values("dead"), [["throws", "no 5", "x"], ["throws", "no 9", "y"], ["throws", "no 3", "y"]]);
});

t.test("what a call that throws changed is what it was before, in every kind of store", (t) => {
  const stores = [
    keyValueStore("s", { value: serde.integer() }),
    keyValueStore("s", { value: serde.integer(), ttl: 10_000 }),
    orderedStore("s", { value: serde.integer() }),
    orderedStore("s", { value: serde.integer(), ttl: 10_000 }),
  ];
  for (const store of stores) {
    const topology = defineTopology("undo", (b) =>
      b.source("in").decode(integer).process("undo", {
        stores: [store],
        output: carries<unknown>(),
        onError: "skip",
        process({ key, value, timestamp }, context) {
          const held = context.store("s");
          const all = ["a", "b", "c"].map((name) => held.get(name) ?? null);
          context.forward({ key, value: all });
          held.put(String(key), value);
          held.put("c", timestamp);
          held.delete("b");
          if (value === 13) throw new Error("no");
        },
      }).sink(collect("out")));
    t.same(run(topology, [["a", 1, 1], ["b", 13, 2], ["a", 13, 3], ["b", 2, 4], ["a", null, 5], ["a", 3, 6]]), [[null, null, null], [1, null, 1], [1, null, 4], [null, null, 5]]);
  }
  t.end();
});

t.test("processValues keeps keys, and with them the partitioning", (t) => {
  const store = keyValueStore("n", { value: serde.integer() });
  const topology = defineTopology("values", (b) =>
    b.source("in").decode(integer).processValues("double", { stores: [store], process: ({ value }, context) => context.forward({ value: (value ?? 0) * 2 }) }).toTable("doubled", { value: integer }).toStream().sink(collect("out")));
  const driver = testDriver(topology);
  driver.pipe("in", ...piped([["a", 1, 1], ["b", 2, 2]]));
  t.same(rows(driver), [["a", 2, 1], ["b", 4, 2]]);
  t.end();
});

t.test("an entry with a TTL lives that long in stream time after it was put, each for itself", async (t) => {
  for (const declare of [keyValueStore, orderedStore]) {
    const store = declare("s", { value: serde.integer(), ttl: 100 });
    const topology = defineTopology("ttl", (b) =>
      b.source("in").decode(integer).process("ttl", {
        stores: [store],
        output: carries<unknown>(),
        process({ key, value }, context) {
          const held = context.store("s");
          if (value === null) return context.forward({ key, value: [held.get("a"), held.get("b")] });
          held.put(String(key), value, value > 100 ? { ttl: value } : {});
        },
      }).sink(collect("out")));
    const driver = testDriver(topology);
    driver.pipe("in", ...piped([["a", 1, 1_000], ["b", 250, 1_000], ["q", null, 1_099], ["q", null, 1_100]]));
    await driver.commit();
    driver.crash();
    driver.pipe("in", ...piped([["q", null, 1_000], ["q", null, 1_249], ["a", 2, 1_250], ["q", null, 1_250], ["a", 3, 1_300], ["q", null, 1_399], ["q", null, 1_400]]));
    t.same(driver.values("out"), [[1, 250], [undefined, 250], [undefined, 250], [undefined, 250], [2, undefined], [3, undefined], [undefined, undefined]]);
  }
});

t.test("an ordered store walks its keys from either end, by range and by prefix", (t) => {
  const topology = asking(orderedStore("s", { value: serde.integer() }), ({ key, value }, context) => {
    const store = context.store("s");
    if (value !== null) return store.put(String(key), value);
    context.forward({ key, value: [[...store.range()], [...store.range({ from: "ab", below: "c" })].map(([name]) => name), [...store.prefix("a", { reverse: true })].map(([name]) => name)] });
  });
  t.same(run(topology, [["b", 1, 1], ["a", 2, 2], ["ab", 3, 3], ["c", 4, 4], ["?", null, 5]]), [[[["a", 2], ["ab", 3], ["b", 1], ["c", 4]], ["ab", "b"], ["ab", "a"]]]);
  t.end();
});

t.test("a plain store has no order to walk in, and says so", (t) => {
  const topology = asking(keyValueStore("s", { value: serde.integer() }), (_record, context) => [...(context.store("s") as unknown as { range(): Iterable<unknown> }).range()] as unknown as void);
  t.throws(() => run(topology, [["a", 1, 1]]), { code: "USAGE", message: /no order/ });
  t.end();
});

t.test("a window store finds the windows of a key between two starts, and forgets them behind the retention", (t) => {
  const topology = asking(windowStore("s", { value: serde.integer(), retention: 50 }), ({ key, value, timestamp }, context) => {
    const store = context.store("s");
    if (value !== null) return store.put(String(key), timestamp, value);
    const plain = (entries: Iterable<{ key: string; start: number; value: number }>) => [...entries].map((entry) => `${entry.key}@${entry.start}=${entry.value}`).join(" ");
    context.forward({ key, value: [plain(store.fetch("a", -5, 20)), plain(store.fetch("a", 0, 100, { reverse: true })), plain(store.all(10, 60)), store.get("a", 0) ?? null] });
  });
  const records: Piped[] = [["a", 1, -5], ["a", 2, 0], ["a\0", 3, 10], ["b", 4, 10], ["a", 5, 20], ["?", null, 30], ["a", 6, 60], ["a", 7, 9], ["a", 8, 10], ["?", null, 60]];
  const driver = testDriver(topology);
  driver.pipe("in", ...piped(records));
  t.same(driver.values("out"), [["a@-5=1 a@0=2 a@20=5", "a@20=5 a@0=2", "a\0@10=3 b@10=4 a@20=5", 2], ["a@10=8 a@20=5", "a@60=6 a@20=5 a@10=8", "a\0@10=3 a@10=8 b@10=4 a@20=5 a@60=6", null]]);
  t.same(driver.counters().dropped, { expired: 1 });
  t.end();
});

t.test("a session store finds the sessions that a record could be merged with", (t) => {
  const topology = asking(sessionStore("s", { value: serde.integer(), retention: 100 }), ({ key, value, timestamp }, context) => {
    const store = context.store("s");
    if (value !== null && value > 0) return store.put(String(key), timestamp - value, timestamp, value);
    if (value !== null) return store.put(String(key), timestamp + value, timestamp, null);
    context.forward({ key, value: [...store.find("a", timestamp - 10, timestamp + 10)].map(({ start, end }) => [start, end]) });
  });
  t.same(run(topology, [["a", 5, 20], ["a", 10, 35], ["b", 1, 36], ["a", 3, 50], ["?", null, 40], ["?", null, 20], ["a", -10, 35], ["?", null, 40], ["?", null, 200], ["?", null, 50]]), [
    [[25, 35], [47, 50]], [[15, 20], [25, 35]], [[47, 50]], [], [],
  ]);
  t.end();
});

t.test("a versioned store answers as of a moment, within its history", (t) => {
  const topology = asking(versionedStore("s", { value: serde.integer(), history: 20 }), ({ key, value, timestamp }, context) => {
    const store = context.store("s");
    if (key === "?") return context.forward({ key, value: [store.get("a"), ...[timestamp, timestamp - 5, timestamp - 20, timestamp - 21].map((asOf) => store.get("a", asOf)?.value ?? null)] });
    store.put(String(key), value, timestamp);
  });
  const driver = testDriver(topology);
  driver.pipe("in", ...piped([["a", 1, 10], ["a", 2, 20], ["a", 3, 15], ["?", 0, 30], ["a", null, 36], ["?", 0, 40], ["a", 4, 19], ["a", 5, 20], ["?", 0, 40], ["?", 0, 100]]));
  t.same(driver.values("out"), [
    [{ value: 2, timestamp: 20 }, 2, 2, 1, null], [undefined, null, 2, 2, null], [undefined, null, 5, 5, null], [undefined, null, null, null, null],
  ]);
  t.same(driver.counters().dropped, { expired: 1 });
  t.end();
});

t.test("values that a store holds cannot be changed in place", (t) => {
  const topology = asking(keyValueStore("s", { value: serde.json<{ n: number }>() }), ({ key }, context) => {
    const store = context.store("s");
    store.put("a", { n: 1 });
    (store.get("a") as { n: number }).n++;
    context.forward({ key, value: store.get("a") });
  });
  t.throws(() => run(topology, [["a", 1, 1]]), { code: "TASK_FAILED" });
  t.end();
});

t.test("what a context is asked for that was not declared is an error of the topology, whatever the policy", (t) => {
  const wrong: [string, (record: StreamRecord<unknown>, context: { store(name: string): unknown; forward(record: unknown, child?: string): void }) => void][] = [
    ["no store", (_record, context) => context.store("nothing") as void],
    ["no child", ({ key }, context) => context.forward({ key, value: 1 }, "nothing")],
  ];
  for (const [message, call] of wrong) {
    const topology = defineTopology("misuse", (b) => b.source("in").process("misuse", { onError: "skip", process: call }).sink(collect("out")));
    t.throws(() => run(topology, [["a", 1, 1]]), { code: "USAGE", message: new RegExp(message), cure: /declare it/ });
  }
  t.end();
});

t.test("stores whose names clash, and lengths of time below 1, are errors of the plan", (t) => {
  const declare = () => keyValueStore("s", { value: serde.integer() });
  const build = (first: StoreDeclaration, second: StoreDeclaration, step = "two") => () =>
    testDriver(defineTopology("clash", (b) => {
      const source = b.source("in");
      source.process("one", { stores: [first], process: () => {} });
      source.process(step, { stores: [second], process: () => {} });
    }));
  t.throws(build(declare(), declare()), { message: /two declarations name a store "s"/ });
  t.throws(build(declare(), windowStore("w", { value: serde.integer(), retention: 0 })), { message: /for 0 ms/ });
  t.throws(build(declare(), windowStore("w", { value: serde.integer(), retention: 5 }), "s"), { message: /a store and a step have the name "s"/ });
  const shared = declare();
  t.doesNotThrow(build(shared, shared));
  t.end();
});
