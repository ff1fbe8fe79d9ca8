import t from "tap";
import { c, count, defineTopology, hours, max, record, sum, type TopologyBuilder, tumbling, validate, warningsOf } from "@iot-topology/core";
import { clickhouse } from "@iot-topology/connectors/clickhouse";

const Reading = record("Reading", { device: c.string(), metric: c.string(), at: c.dateTime64(3, "UTC"), seq: c.uint64(), value: c.float64() });
const Hour = record("Hour", { device: c.string(), window_start: c.dateTime64(3, "UTC"), window_end: c.dateTime64(3, "UTC"), n: c.float64(), updates: c.uint64() });

function rules(build: (b: TopologyBuilder) => void): readonly string[] {
  const plan = validate(defineTopology("x", { accepts: { seen: ["STATE_UNBOUNDED"] } }, build));
  if (plan._tag === "Left") throw new Error(JSON.stringify(plan.left));
  return warningsOf(plan.right).map(({ rule, step }) => `${rule} at ${step}`);
}

const readings = (b: TopologyBuilder, redelivery?: number) => b.source("in", redelivery === undefined ? {} : { redelivery }).cast(Reading, { timestamp: "at" });
const key = ["device", "at", "seq"] as const;
const hourly = { view: "hourly", every: hours(1), time: "at", by: ["device"] } as const;

t.test("a view that counts needs a stream in which nothing comes twice; one of extremes and newest rows does not", (t) => {
  const counting = { orderBy: key, windows: [{ ...hourly, aggregates: { n: count(), most: max("value") } }] } as const;
  t.same(rules((b) => readings(b).sink(clickhouse.history("r", Reading, counting))), ["VIEW_COUNTS_REPEATS at clickhouse:r"]);
  t.same(rules((b) => readings(b).dedup("seen", { by: ["device"], sequence: "seq" }).sink(clickhouse.history("r", Reading, counting))), []);
  t.same(rules((b) => readings(b, 0).sink(clickhouse.history("r", Reading, counting))), []);
  t.same(rules((b) => readings(b).sink(clickhouse.history("r", Reading, { orderBy: key, windows: [{ ...hourly, aggregates: { most: max("value") } }], latest: [{ view: "newest", by: ["device"], newest: ["at"] }] }))), []);
  t.end();
});

t.test("rows that replace earlier ones belong in an upsert, not in a history or under an aggregate", (t) => {
  const grouped = (b: TopologyBuilder) => readings(b, 0).groupBy("device").windowed(tumbling(hours(1), { grace: 0 })).count("hours");
  const time = { every: hours(2), time: "window_start", by: ["device"] } as const;
  t.same(rules((b) => grouped(b).sink(clickhouse.history("h", Hour, { orderBy: ["device", "window_start"], windows: [{ ...time, view: "v", aggregates: { all: sum("n") } }] }))), ["AGGREGATE_OF_UPDATES at clickhouse:h", "HISTORY_OF_UPDATES at clickhouse:h"]);
  t.same(rules((b) => grouped(b).sink(clickhouse.history("h", Hour, { orderBy: ["device", "window_start", "updates"] }))), []);
  t.same(rules((b) => grouped(b).sink(clickhouse.upsert("h", Hour, { key: ["device", "window_start"], version: "updates" }))), []);
  t.same(rules((b) => grouped(b).sink(clickhouse.upsert("h", Hour, { key: ["device", "window_end"], version: "updates" }))), [], "a window's end tells it too");
  t.end();
});

t.test("an upsert's key is what its rows are grouped by", (t) => {
  const sunk = (key: readonly ("device" | "window_start" | "n")[]) =>
    rules((b) => readings(b).groupBy("device").windowed(tumbling(hours(1), { grace: 0 })).count("hours").sink(clickhouse.upsert("h", Hour, { key, version: "updates" })));
  t.same(sunk(["window_start"]), ["ORDER_BY_AGAINST_GROUP_BY at clickhouse:h"]);
  t.same(sunk(["device", "window_start", "n"]), ["ORDER_BY_AGAINST_GROUP_BY at clickhouse:h"]);
  t.same(sunk(["device", "window_start"]), []);
  t.end();
});

t.test("a sorting key holds what views are grouped by, and what the dedup tells records apart by", (t) => {
  const latest = [{ view: "newest", by: ["device", "metric"], newest: ["at"] }] as const;
  t.same(rules((b) => readings(b).sink(clickhouse.history("r", Reading, { orderBy: key, latest }))), ["ORDER_BY_AGAINST_GROUP_BY at clickhouse:r"]);
  t.same(rules((b) => readings(b).sink(clickhouse.history("r", Reading, { orderBy: [...key, "metric"], latest }))), []);
  const unique = (b: TopologyBuilder) => readings(b).dedup("seen", { by: ["device", "metric"], sequence: "seq" });
  t.same(rules((b) => unique(b).sink(clickhouse.history("r", Reading, { orderBy: ["device", "at"] }))), ["ORDER_BY_COLLAPSES_ROWS at clickhouse:r"]);
  t.same(rules((b) => unique(b).map((v) => v).sink(clickhouse.history("r", Reading, { orderBy: ["device", "at"] }))), [], "nothing is known of what was mapped");
  t.end();
});

t.test("a partition for each value is too fine, and one outside the sorting key is an error of the plan", (t) => {
  t.same(rules((b) => readings(b).sink(clickhouse.history("r", Reading, { orderBy: key, partitionBy: "at" }))), ["PARTITION_TOO_FINE at clickhouse:r"]);
  t.same(rules((b) => readings(b).sink(clickhouse.history("r", Reading, { orderBy: key, partitionBy: "toYYYYMM(at)" }))), []);
  const outside = validate(defineTopology("x", (b) => readings(b).sink(clickhouse.history("r", Reading, { orderBy: key, partitionBy: "metric" }))));
  t.match(outside._tag === "Left" ? outside.left : [], [{ rule: "SINK_INVALID", message: /metric is not part of orderBy/ }]);
  t.end();
});
