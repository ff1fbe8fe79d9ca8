/** What a change of a topology means: compatible, and how it migrates; or breaking, and what is lost. */
import { isLeft } from "fp-ts/lib/Either.js";
import t from "tap";
import { type Change, c, changesSince, count, days, defineTopology, hours, lockOf, max, min, type Plan, record, serde, type SinkSpec, type Stream, topic, type TopologyBuilder, type TopologyLock, tumbling, validate } from "@iot-topology/core";
import { collect } from "@iot-topology/core/testing";

const columns = { id: c.string(), at: c.dateTime64(3, "UTC"), n: c.int32() };
const Event = record("Event", columns);
interface Row {
  readonly id: string;
  readonly at: number;
  readonly n: number;
}

function planned(build: (b: TopologyBuilder) => void, version = 1): Plan {
  const plan = validate(defineTopology("x", { version }, build));
  if (isLeft(plan)) throw new Error(JSON.stringify(plan.left));
  return plan.right;
}

/** A lock as it comes back from its file. */
function locked(build: (b: TopologyBuilder) => void, version?: number): TopologyLock {
  return JSON.parse(JSON.stringify(lockOf(planned(build, version)))) as TopologyLock;
}

function changes(before: (b: TopologyBuilder) => void, after: (b: TopologyBuilder) => void): readonly Change[] {
  t.same(changesSince(locked(before), planned(before)), [], "a topology has not changed since its own lock");
  t.same(changesSince(locked(after), planned(after)), []);
  return changesSince(locked(before), planned(after));
}

const told = (found: readonly Change[]): readonly string[] => found.map(({ kind, what, name, message }) => `${kind} ${what} ${name}: ${message}`);
const events = (use: (stream: Stream<Row>) => void) => (b: TopologyBuilder) => use(b.source("in").cast(Event, { timestamp: "at" }));
const end = (stream: { sink(spec: SinkSpec<unknown>): void }) => stream.sink(collect("out"));

t.test("a store that is gone is lost, one that is new begins empty", (t) => {
  const found = changes(events((s) => end(s.dedup("a", { by: ["id"] }))), events((s) => end(s.dedup("b", { by: ["id"] }))));
  t.same(told(found), ["breaking store a: it is gone", "compatible store b: it is new"]);
  t.match(found[0]?.effect, /what it holds is lost/);
  t.end();
});

t.test("what a dedup remembers is bound to its form, its fields and its time", (t) => {
  const dedup = (options: Parameters<Stream<Row>["dedup"]>[1]) => events((s) => end(s.dedup("seen", options)));
  const first = dedup({ by: ["id"] });
  t.same(told(changes(first, dedup({ by: ["id"], within: days(1) }))), ["breaking store seen: it was kept by dedup, identities and is by dedup, moments"]);
  t.same(told(changes(first, dedup({ by: ["id", "n"] }))), ["breaking store seen: its entries were found by id and are by id, n"]);
  t.same(told(changes(first, dedup({ by: ["id"], sequence: "n" }))), ["breaking store seen: it was kept by dedup, identities and is by dedup, sequences of n"]);
  t.same(told(changes(dedup({ by: ["id"], within: days(1) }), dedup({ by: ["id"], within: days(2) }))), ["breaking store seen: withinMs was 1 d and is 2 d"]);
  t.end();
});

t.test("a window's size is what its entries are made of; its grace is only how long they stay", (t) => {
  const hourly = (size: number, grace: number | "unbounded") => events((s) => end(s.groupBy("id").windowed(tumbling(size, { grace })).aggregate("w", { n: count() })));
  t.same(told(changes(hourly(hours(1), 0), hourly(hours(2), 0))), ["breaking store w: sizeMs was 1 h and is 2 h"]);
  const longer = changes(hourly(hours(1), hours(1)), hourly(hours(1), "unbounded"));
  t.match(longer, [{ kind: "compatible", message: "graceMs was 1 h and is unbounded", effect: /stay longer/ }]);
  t.match(changes(hourly(hours(1), hours(2)), hourly(hours(1), hours(1))), [{ kind: "compatible", effect: /is dropped/ }]);
  t.same(told(changes(hourly(hours(1), 0), events((s) => end(s.groupBy("id").aggregate("w", { n: count() }))))), ["breaking store w: window was tumbling and is none", "breaking store w: sizeMs was 1 h and is none", "compatible store w: graceMs was 0 ms and is none"]);
  t.end();
});

t.test("aggregates are kept by their kinds in order; their names are not stored", (t) => {
  const aggregated = (form: "lowest" | "least" | "both") =>
    events((s) => end(form === "both" ? s.groupBy("id").aggregate("a", { lowest: min("n"), most: max("n") }) : form === "least" ? s.groupBy("id").aggregate("a", { least: min("n") }) : s.groupBy("id").aggregate("a", { lowest: min("n") })));
  t.same(changes(aggregated("lowest"), aggregated("least")), []);
  t.same(told(changes(aggregated("lowest"), aggregated("both"))), ["breaking store a: it was kept by aggregate of min(n) and is by aggregate of min(n), max(n)"]);
  t.end();
});

t.test("stored JSON of a schema may gain what may be absent, lose fields, and have wider types", (t) => {
  const kept = (fields: Parameters<typeof record>[1]) => (b: TopologyBuilder) => end(b.table("in", { store: "rows", value: serde.json(record("Row", fields)) }).toStream());
  const first = kept({ id: c.string(), n: c.int32(), gone: c.string() });
  t.same(told(changes(first, kept({ id: c.lowCardinality(c.string()), n: c.int64(), more: c.nullable(c.string()) }))), [
    "compatible store rows: n was Int32 and is Int64",
    "compatible store rows: more is new",
    "compatible store rows: gone is gone",
  ]);
  t.same(told(changes(first, kept({ id: c.string(), n: c.int16(), gone: c.nullable(c.string()), more: c.string() }))), [
    "breaking store rows: n was Int32 and is Int16",
    "compatible store rows: gone may be absent now",
    "breaking store rows: more is new and must be there",
  ]);
  t.end();
});

t.test("stored bytes of a schema are read by the place of their columns, so every other list is another form", (t) => {
  const kept = (fields: Parameters<typeof record>[1]) => (b: TopologyBuilder) => end(b.table("in", { store: "rows", value: serde.binary(record("Row", fields)) }).toStream());
  t.same(changes(kept({ id: c.string() }), kept({ id: c.string({ default: "" }) })), [], "a default changes no byte");
  t.match(changes(kept({ id: c.string() }), kept({ id: c.string(), n: c.nullable(c.int8()) })), [{ kind: "breaking", what: "store", effect: "what is stored cannot be read" }]);
  t.match(changes(kept({ a: c.string(), b: c.string() }), kept({ b: c.string(), a: c.string() })), [{ kind: "breaking" }]);
  t.end();
});

t.test("a serde that has a way from what is stored migrates it", (t) => {
  const One = record("One", { id: c.string() });
  const Two = record("Two", { id: c.string(), n: c.int32() });
  const Three = record("Three", { id: c.string(), n: c.int64() });
  const from = { one: serde.from(serde.binary(One), ({ id }) => ({ id, n: 0n })), two: serde.from(serde.binary(Two), ({ id, n }) => ({ id, n: BigInt(n) })) };
  const now = (b: TopologyBuilder) => end(b.table("in", { store: "rows", value: serde.migrating(serde.binary(Three), from.one, from.two) }).toStream());
  const earlier = [(b: TopologyBuilder) => end(b.table("in", { store: "rows", value: serde.binary(One) }).toStream()), (b: TopologyBuilder) => end(b.table("in", { store: "rows", value: serde.binary(Two) }).toStream())];
  for (const before of earlier) {
    t.match(changes(before, now), [{ kind: "compatible", what: "store", effect: /made over by the serde's migration/ }]);
  }
  t.match(changes((b) => end(b.table("in", { store: "rows", value: serde.string() }).toStream()), now), [{ kind: "breaking" }], "from nothing else");
  t.end();
});

t.test("a reduce's totals are bytes of its schema, and migrate by its option", (t) => {
  const Total = record("Total", { ...columns, more: c.int32() });
  const reduced = events((s) => end(s.groupBy("id").reduce("last", Event, (_, value) => value)));
  const after = (migrates: boolean) =>
    events((s) =>
      end(
        s
          .map((value) => ({ ...value, more: 1 }))
          .groupBy("id")
          .reduce("last", Total, (_, value) => value, migrates ? { migrations: [serde.from(serde.binary(Event), (old) => ({ ...old, more: 0 }))] } : {}),
      ),
    );
  t.match(changes(reduced, after(false)), [{ kind: "breaking", what: "store", name: "last" }]);
  t.match(changes(reduced, after(true)), [{ kind: "compatible", what: "store", name: "last" }]);
  t.end();
});

t.test("a part is named by its sources, and its tasks' state goes with the name", (t) => {
  const found = changes(
    events((s) => end(s.dedup("seen", { by: ["id"] }))),
    (b) => end(b.source(["in", "more"]).cast(Event, { timestamp: "at", name: "cast-Event" }).dedup("seen", { by: ["id"] })),
  );
  t.same(told(found), ["breaking part in: it is gone", "compatible part in+more: it is new", "breaking source in: it is gone", "compatible source in+more: it is new", "breaking store seen: it was kept by the tasks of in and is by those of in+more"]);
  const named = (topics: readonly [string, ...string[]]) => (b: TopologyBuilder) => end(b.source(topics, { name: "events" }).cast(Event));
  t.same(told(changes(named(["a", "b"]), named(["a", "c"]))), ["breaking source events: it no longer reads b", "compatible source events: it reads c too"], "with a name of its own it stays");
  t.end();
});

t.test("a cast's columns decide what is refused, its event time what rows are made", (t) => {
  const cast = (fields: Parameters<typeof record>[1]) => (b: TopologyBuilder) => end(b.source("in").cast(record("Event", fields)));
  t.same(told(changes(cast({ id: c.string() }), cast({ id: c.string(), n: c.int8() }))), ["breaking cast cast-Event: n is new and must be there"]);
  t.same(told(changes(cast({ state: c.enum8({ on: 1 }) }), cast({ state: c.enum8({ on: 1, off: 2 }), price: c.decimal(10, 2, { default: "0" }) }))), [
    "compatible cast cast-Event: state was Enum8('on' = 1) and is Enum8('on' = 1, 'off' = 2)",
    "compatible cast cast-Event: price is new",
  ]);
  t.same(told(changes(cast({ price: c.decimal(10, 2) }), cast({ price: c.decimal(10, 4) }))), ["breaking cast cast-Event: price was Decimal(10, 2) and is Decimal(10, 4)"], "two digits less before the point");
  t.same(told(changes(events(end), (b) => end(b.source("in").cast(Event)))), ["breaking cast cast-Event: event time was at and is the log's"]);
  t.end();
});

t.test("what is on its way between two parts is bound to its key and its form", (t) => {
  const through = (by: "id" | "n", partitions?: number) => events((s) => end(s.repartition<Row, Row>("r", { by: [by], ...(partitions === undefined ? {} : { partitions }) })));
  t.same(told(changes(through("id"), through("n"))), ["breaking repartition r: it was by id and is by n"]);
  t.same(told(changes(through("id", 2), through("id", 3))), ["breaking repartition r: its partitions were 2 and are 3"]);
  t.match(changes(through("id"), events((s) => end(s.repartition("r", { by: ["id"], schema: record("Event", { ...columns, n: c.int64() }) })))), [{ kind: "breaking", what: "repartition", effect: /drain/ }]);
  t.end();
});

t.test("readers of a topic may see a field more, never one less or another type", (t) => {
  const sunk = (fields: Parameters<typeof record>[1]) => events((s) => s.sink(topic("out", record("Out", fields)) as SinkSpec<unknown>));
  t.same(told(changes(sunk({ id: c.string() }), sunk({ id: c.string(), n: c.int32() }))), ["compatible sink log:out: n is new"]);
  t.same(told(changes(sunk({ id: c.string(), n: c.int32() }), sunk({ id: c.nullable(c.string()) }))), ["breaking sink log:out: id was String and is Nullable(String)", "breaking sink log:out: n is gone"]);
  t.same(told(changes(events(end), events((s) => s.sink(collect("elsewhere"))))), ["breaking sink collect:out: it is gone", "compatible sink collect:elsewhere: it is new"]);
  t.end();
});

t.test("a version may only be raised", (t) => {
  t.match(changesSince(locked(events(end), 2), planned(events(end), 3)), [{ kind: "compatible", what: "version" }]);
  t.match(changesSince(locked(events(end), 2), planned(events(end), 1)), [{ kind: "breaking", what: "version" }]);
  t.end();
});
