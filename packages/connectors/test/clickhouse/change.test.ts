import t from "tap";
import { c, changesSince, defineTopology, hours, lockOf, max, type Plan, record, type SinkSpec, type TopologyLock, validate } from "@iot-topology/core";
import { clickhouse } from "@iot-topology/connectors/clickhouse";

const fields = { device: c.string(), at: c.dateTime64(3, "UTC"), value: c.float64() };
const Reading = record("Reading", fields);

function planned(sink: SinkSpec<never>): Plan {
  const plan = validate(defineTopology("x", (b) => b.source("in").cast(Reading).sink(sink as SinkSpec<unknown>)));
  if (plan._tag === "Left") throw new Error(JSON.stringify(plan.left));
  return plan.right;
}

function told(before: SinkSpec<never>, after: SinkSpec<never>): readonly string[] {
  const lock = JSON.parse(JSON.stringify(lockOf(planned(before)))) as TopologyLock;
  t.same(changesSince(lock, planned(before)), []);
  return changesSince(lock, planned(after)).map(({ kind, message, effect }) => `${kind}: ${message} -> ${effect}`);
}

const key = { orderBy: ["device", "at"] } as const;
const latest = (view: string, newest: "at" | "device" = "at") => [{ view, by: ["device"], newest: [newest] }] as const;

t.test("a table takes new columns by --migrate, keeps those that are gone, and refuses others of a name", (t) => {
  const first = clickhouse.history("r", Reading, key);
  t.same(told(first, clickhouse.history("r", record("Reading", { ...fields, unit: c.string() }), key)), ["compatible: column unit String is new -> start with --migrate, which applies it; rows that are there have the type's default"]);
  t.same(told(first, clickhouse.history("r", record("Reading", { device: c.string(), at: c.dateTime64(3, "UTC"), value: c.float32() }), key)), [
    "breaking: column value was Float64 and is Float32 -> the table is refused at the next start: check that every value fits, and alter the column by hand",
  ]);
  t.same(told(first, clickhouse.history("r", record("Reading", { device: c.string(), at: c.dateTime64(3, "UTC") }), key)), ["compatible: column value is gone -> the table keeps it; new rows have its default"]);
  t.end();
});

t.test("keys cannot be altered, a TTL is altered by hand", (t) => {
  const first = clickhouse.history("r", Reading, key);
  t.match(told(first, clickhouse.history("r", Reading, { orderBy: ["at", "device"] })), [/^breaking: orderBy was \(device, at\) and is \(at, device\)/]);
  t.match(told(first, clickhouse.history("r", Reading, { ...key, partitionBy: "toYYYYMM(at)" })), [/^breaking: partitionBy was \(\) and is \(toYYYYMM\(at\)\)/]);
  t.match(told(first, clickhouse.history("r", Reading, { ...key, ttl: "at + INTERVAL 1 DAY" })), [/^compatible: ttl was none.*MODIFY TTL/]);
  const upsert = (version: "at" | "device") => clickhouse.upsert("u", record("Reading", { device: c.uint32(), at: c.dateTime64(3, "UTC") }), { key: ["device"], version });
  t.match(told(upsert("at"), upsert("device")), [/^breaking: version was \(at\) and is \(device\)/]);
  t.end();
});

t.test("views are made again from their history, unless some of it is gone by a TTL", (t) => {
  const withViews = (name: string, newest: "at" | "device", ttl?: string) => clickhouse.history("r", Reading, { ...key, latest: latest(name, newest), ...(ttl === undefined ? {} : { ttl }) });
  t.match(told(clickhouse.history("r", Reading, key), withViews("newest", "at")), [/^compatible: view newest is new -> it is filled from the history/]);
  t.match(told(withViews("newest", "at"), withViews("newest", "device")), [/^compatible: view newest has changed -> start with --migrate/]);
  t.match(told(withViews("newest", "at", "at + INTERVAL 1 DAY"), withViews("newest", "device", "at + INTERVAL 1 DAY")), [/^breaking: view newest has changed/]);
  t.match(told(withViews("newest", "at"), clickhouse.history("r", Reading, key)), [/^compatible: view newest is gone -> it stays/]);
  const hourly = (every: number) => clickhouse.history("r", Reading, { ...key, windows: [{ view: "w", every, time: "at", by: ["device"], aggregates: { most: max("value") } }] });
  t.match(told(hourly(hours(1)), hourly(hours(2))), [/^compatible: view w has changed/]);
  t.end();
});

t.test("a history is no upsert", (t) => {
  const upsert = clickhouse.upsert("r", Reading, { key: ["device"], version: "at" });
  t.match(told(upsert, clickhouse.history("r", Reading, key)), [/^breaking: it was upsert and is history/]);
  t.end();
});
