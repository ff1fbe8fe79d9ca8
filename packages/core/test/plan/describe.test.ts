import { isLeft } from "fp-ts/lib/Either.js";
import t from "tap";
import { c, count, days, defineTopology, describe, hours, type Plan, record, stepsBoundToOnePartition, topic, type Topology, type TopologyBuilder, tumbling, validate } from "@iot-topology/core";
import { collect } from "@iot-topology/core/testing";

const Event = record("Event", { id: c.string(), at: c.dateTime64(3, "UTC") });

function planned(topology: Topology): Plan {
  const result = validate(topology);
  if (isLeft(result)) throw new Error(JSON.stringify(result.left));
  return result.right;
}

const plan = planned(
  defineTopology("shop", { version: 3 }, (b) => {
    const dead = b.deadLetter("dead");
    dead.sink(collect("dead"));
    const events = b.source("events").cast(Event, { timestamp: "at", partitionedBy: "id", onError: dead }).dedup("seen", { by: ["id"], within: days(2) });
    events.sink(topic("clean", Event));
    events.groupBy("id").windowed(tumbling(hours(1), { grace: "unbounded" })).aggregate("hourly", { n: count() }).sink(collect("hourly"));
    b.source("orders").cast(Event, { name: "cast-orders", onError: dead }).sink(collect("orders"));
  }),
);

t.test("describe draws every step, its state, its policy and each sink's guarantee as text", (t) => {
  t.equal(
    describe(plan),
    [
      "topology shop, version 3",
      "sub-topology events: a task for each partition of events",
      "  dead: dead-letter",
      "    -> sink collect dead [exactly-once: tokens in memory]",
      "  source events",
      "    -> cast-Event: cast to Event, event time at, partitioned by id, errors to dead",
      "      -> seen: dedup by id, within 2 d; store seen",
      "        -> sink topic clean, Event as JSON [exactly-once: the log drops a producer sequence it has seen]",
      "        -> hourly: group by id, tumbling 1 h, grace unbounded: n = count(); store hourly",
      "          -> sink collect hourly [exactly-once: tokens in memory]",
      "sub-topology orders: a task for each partition of orders",
      "  dead: dead-letter",
      "    -> sink collect dead [exactly-once: tokens in memory]",
      "  source orders",
      "    -> cast-orders: cast to Event, errors to dead",
      "      -> sink collect orders [exactly-once: tokens in memory]",
      "warning DEDUP_WINDOW_BELOW_GRACE at seen: records more than 2 d late are refused here, and the windows of hourly would take them for ever (size and grace)",
      "  cure: raise `within` to the window's size and grace, or lower the grace",
      "warning STATE_UNBOUNDED at hourly: windows whose grace is unbounded are never forgotten",
      "  cure: give a grace; or accept it where windows are few ({ accepts } of the topology)",
    ].join("\n"),
  );
  t.end();
});

t.test("as Mermaid it names each node once and draws error routes dotted", (t) => {
  const drawing = describe(plan, "mermaid");
  t.match(drawing, /^flowchart LR\n {2}subgraph s0\["events"\]/);
  t.match(drawing, /s0n\d+ -\. errors \.-> s0n0/);
  const nodes = drawing.split("\n").flatMap((line) => /^ {4}(s\dn\d+)[[(]/.exec(line)?.[1] ?? []);
  t.equal(new Set(nodes).size, nodes.length);
  t.equal(nodes.length, 13);
  t.end();
});

t.test("unrelated topics are parts of their own although their dead letters go to one place", (t) => {
  t.same(plan.subTopologies.map((part) => [part.name, part.topics, part.sinks.map((sink) => sink.spec.target)]), [
    ["events", ["events"], ["dead", "clean", "hourly"]],
    ["orders", ["orders"], ["dead", "orders"]],
  ]);
  t.end();
});

t.test("state is bound to one partition unless its fields hold what the topic is keyed by", (t) => {
  const bound = (build: (b: TopologyBuilder) => void): readonly string[] => planned(defineTopology("x", build)).subTopologies.flatMap(stepsBoundToOnePartition);
  t.same(bound((b) => b.source("in").cast(Event, { partitionedBy: "id" }).filter(() => true).dedup("a", { by: ["id", "at"] }).sink(collect("o"))), []);
  t.same(bound((b) => b.source("in").cast(Event, { partitionedBy: "id" }).dedup("a", { by: ["at"] }).sink(collect("o"))), ["a"]);
  t.same(bound((b) => b.source("in").cast(Event, { partitionedBy: "id" }).map((v) => v).groupBy("id").count("b").sink(collect("o"))), ["b"], "a map may change the field");
  t.same(bound((b) => b.source("in").cast(Event, { partitionedBy: "id" }).rekey((v) => v.id).groupBy("id").count("c").sink(collect("o"))), ["c"]);
  t.end();
});

t.test("every error of a plan names its step and its cure", (t) => {
  const result = validate(
    defineTopology("x", { version: 0 }, (b) => {
      const dead = b.deadLetter("dead");
      const events = b.source("in").cast(Event, { timestamp: "nowhere" as never, onError: dead });
      events.map((v) => v, { onError: dead }).sink(collect("out"));
      events.dedup("seen", { by: ["none" as never], within: -1 }).groupBy("id").windowed(tumbling(0, { grace: 0 })).count("hourly").sink(collect("out2"));
      b.source("in").cast(Event, { name: "second" }).sink(collect("out3"));
    }),
  );
  t.ok(isLeft(result));
  const rules = isLeft(result) ? result.left.map((error) => error.rule) : [];
  t.same(new Set(rules), new Set(["VERSION_INVALID", "NAME_REQUIRED", "TOPIC_DUPLICATE", "FIELD_UNKNOWN", "DEDUP_INVALID", "WINDOW_INVALID", "DEAD_LETTERS_LOST"]));
  t.ok(isLeft(result) && result.left.every((error) => error.cure.length > 5 && error.step.length > 0));
  t.end();
});
