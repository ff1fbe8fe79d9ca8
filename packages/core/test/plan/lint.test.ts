import { isLeft } from "fp-ts/lib/Either.js";
import t from "tap";
import { c, count, days, defineTopology, describe, hours, minutes, type PlanWarning, record, type RowFacts, seconds, serde, type SinkSpec, sum, type TopologyBuilder, type TopologyOptions, tumbling, validate, WARNING_RULES, warningsOf } from "@iot-topology/core";
import { collect } from "@iot-topology/core/testing";

const Event = record("Event", { id: c.string(), at: c.dateTime64(3, "UTC"), seq: c.int64(), n: c.float64() });

function warned(build: (b: TopologyBuilder) => void, options: TopologyOptions = {}): readonly PlanWarning[] {
  const plan = validate(defineTopology("x", options, build));
  if (isLeft(plan)) throw new Error(JSON.stringify(plan.left));
  return warningsOf(plan.right);
}

function rules(build: (b: TopologyBuilder) => void, options?: TopologyOptions): readonly (readonly [string, string])[] {
  return warned(build, options).map(({ rule, step }) => [rule, step] as const);
}

const source = (b: TopologyBuilder, redelivery?: number) => b.source("in", redelivery === undefined ? {} : { redelivery }).cast(Event, { timestamp: "at" });

t.test("a dedup that remembers every identity for ever is an unbounded state, one within a time or by sequences is not", (t) => {
  t.same(rules((b) => source(b).dedup("seen", { by: ["id"] }).sink(collect("o"))), [["STATE_UNBOUNDED", "seen"]]);
  t.same(rules((b) => source(b).dedup("seen", { by: ["id"], within: days(1) }).sink(collect("o"))), []);
  t.same(rules((b) => source(b).dedup("seen", { by: ["id"], sequence: "seq" }).sink(collect("o"))), []);
  t.end();
});

t.test("a dedup must remember for as long as a producer may send again", (t) => {
  t.same(rules((b) => source(b).dedup("seen", { by: ["id"], within: seconds(119) }).sink(collect("o"))), [["DEDUP_WINDOW_SMALL", "seen"]]);
  t.same(rules((b) => source(b).dedup("seen", { by: ["id"], within: minutes(2) }).sink(collect("o"))), []);
  t.same(rules((b) => source(b, hours(6)).repartition("r", { by: ["id"] }).dedup("seen", { by: ["id"], within: hours(5) }).sink(collect("o"))), [["DEDUP_WINDOW_SMALL", "seen"]], "through a repartition");
  t.same(rules((b) => source(b, 0).dedup("seen", { by: ["id"], within: 1 }).sink(collect("o"))), []);
  t.end();
});

t.test("a dedup must not be stricter than the grace of the windows behind it", (t) => {
  const hourly = (within: number) => rules((b) => source(b).dedup("seen", { by: ["id"], within }).filter(() => true).groupBy("id").windowed(tumbling(hours(1), { grace: days(2) })).count("hourly").sink(collect("o")));
  t.same(hourly(days(2)), [["DEDUP_WINDOW_BELOW_GRACE", "seen"]]);
  t.same(hourly(days(2) + hours(1)), []);
  t.same(rules((b) => source(b).dedup("seen", { by: ["id"], within: days(1) }).late.groupBy("id").windowed(tumbling(1, { grace: days(2) })).count("hourly").sink(collect("o"))), [], "what is late is not held back");
  t.end();
});

t.test("windows that never close and groups of which every record brings another are unbounded states", (t) => {
  t.same(rules((b) => source(b).groupBy("id").windowed(tumbling(hours(1), { grace: "unbounded" })).count("hourly").sink(collect("o"))), [["STATE_UNBOUNDED", "hourly"]]);
  t.same(rules((b) => source(b).groupBy("id", "at").count("moments").sink(collect("o"))), [["STATE_UNBOUNDED", "moments"]]);
  t.same(rules((b) => source(b).dedup("seen", { by: ["id"], sequence: "seq" }).groupBy("seq").count("numbers").sink(collect("o"))), [["STATE_UNBOUNDED", "numbers"]]);
  t.same(rules((b) => source(b).groupBy("id").count("ids").sink(collect("o"))), []);
  t.end();
});

t.test("an aggregate of an aggregate's rows counts every version of them", (t) => {
  t.same(rules((b) => source(b).groupBy("id").aggregate("first", { n: sum("n") }).groupBy("id").count("second").sink(collect("o"))), [["AGGREGATE_OF_UPDATES", "second"]]);
  t.same(rules((b) => source(b).groupBy("id").windowed(tumbling(1, { grace: 0 })).aggregate("first", { n: sum("n") }).late.groupBy("id").count("second").sink(collect("o"))), [], "what came late is no update");
  t.end();
});

t.test("a sink is told what is known of the rows that come to it", (t) => {
  const seen: RowFacts[] = [];
  const spy = (name: string): SinkSpec<unknown> => ({ ...collect(name), warnings: (rows) => (seen.push(rows), []) });
  warned((b) => {
    const events = source(b);
    events.sink(spy("raw"));
    const unique = events.dedup("seen", { by: ["id"], sequence: "seq" });
    unique.filter(() => true).repartition("r", { by: ["id"] }).sink(spy("unique"));
    unique.map((value) => value).sink(spy("mapped"));
    events.merge(unique).sink(spy("merged"));
    unique.groupBy("id").windowed(tumbling(1, { grace: 0 })).aggregate("hourly", { n: count() }).sink(spy("grouped"));
    unique.late.sink(spy("late"));
  });
  const raw = { mayRepeat: true, isUpdated: false, group: undefined, identity: undefined };
  t.same(seen, [
    raw,
    { ...raw, mayRepeat: false, identity: ["id", "seq"] },
    { ...raw, mayRepeat: false },
    raw,
    { mayRepeat: false, isUpdated: true, group: ["id", "window_start"], identity: undefined },
    raw,
  ]);
  t.end();
});

t.test("a table's changes and aggregates a key are updates", (t) => {
  const seen: boolean[] = [];
  const spy = (name: string): SinkSpec<unknown> => ({ ...collect(name), warnings: ({ isUpdated }) => (seen.push(isUpdated), []) });
  warned((b) => {
    b.table("users", { store: "users", value: serde.string() }).toStream().sink(spy("users"));
    const clicks = b.source("clicks").decode(serde.string());
    clicks.sink(spy("clicks"));
    clicks.groupByKey().count("clicks-a-user").toStream().map((n) => n).sink(spy("counts"));
  });
  t.same(seen, [true, false, true]);
  t.end();
});

t.test("rows of a table that are looked up do not make updates of a stream", (t) => {
  const seen: RowFacts[] = [];
  const spy = (name: string): SinkSpec<unknown> => ({ ...collect(name), warnings: (rows) => (seen.push(rows), []) });
  warned((b) => {
    const users = b.table("users", { store: "users", value: serde.string() });
    const clicks = b.source("clicks", { redelivery: 0 }).decode(serde.string());
    clicks.join(users, (click, user) => `${click} by ${user}`).sink(spy("joined"));
  });
  t.match(seen, [{ isUpdated: false, mayRepeat: false }]);
  t.end();
});

t.test("what the topology accepts is not shown, step by step and rule by rule", (t) => {
  const build = (b: TopologyBuilder): void => source(b).dedup("seen", { by: ["id"] }).groupBy("id").windowed(tumbling(1, { grace: "unbounded" })).count("n").sink(collect("o"));
  t.same(rules(build, { accepts: { seen: ["STATE_UNBOUNDED"], n: ["DEDUP_WINDOW_SMALL"] } }), [["STATE_UNBOUNDED", "n"]]);
  t.end();
});

t.test("describe shows each warning with its cure, as text and in a drawing's comments", (t) => {
  const plan = validate(defineTopology("x", (b) => source(b).dedup("seen", { by: ["id"] }).sink(collect("o"))));
  if (isLeft(plan)) return void t.fail("no plan");
  t.match(describe(plan.right), /\nwarning STATE_UNBOUNDED at seen: .+\n {2}cure: .+$/);
  t.match(describe(plan.right, "mermaid"), /\n {2}%% warning STATE_UNBOUNDED at seen: /);
  for (const { rule, message, cure } of warned((b) => source(b).dedup("seen", { by: ["id"], within: 1 }).groupBy("at").count("n").sink(collect("o")))) {
    t.ok(rule in WARNING_RULES && message.length > 20 && cure.length > 10, rule);
  }
  t.end();
});

t.test("a redelivery that is no length of time is refused", (t) => {
  const plan = validate(defineTopology("x", (b) => source(b, -1).sink(collect("o"))));
  t.match(isLeft(plan) ? plan.left : [], [{ rule: "SOURCE_INVALID", step: "in" }]);
  t.end();
});
