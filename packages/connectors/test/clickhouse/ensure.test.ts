/** What is made, what is compared, what is cured. */
import t from "tap";
import { c, count, hours, max, record, silentLogger, sum } from "@iot-topology/core";
import { clickhouse, clickhouseConnector } from "@iot-topology/connectors/clickhouse";
import { createTable, createTrigger, qualifier } from "../../src/clickhouse/ddl.ts";
import { historyObjects } from "../../src/clickhouse/history-objects.ts";
import type { HistoryDeclaration } from "../../src/clickhouse/declaration.ts";
import { Reading, readings, readingsFrom, seal, startLab, WINDOW_MISMATCHES } from "./fixture.ts";

t.setTimeout(200_000);
const lab = await startLab();
t.teardown(() => lab.stop());

const Small = record("Small", { id: c.string(), at: c.dateTime64(3, "UTC"), value: c.float64() });
const Wider = record("Wider", { id: c.string(), at: c.dateTime64(3, "UTC"), value: c.float64(), note: c.string() });
const Other = record("Other", { id: c.string(), at: c.dateTime64(3, "UTC"), value: c.float32() });
const latest = [{ view: "small_latest", by: ["id"], newest: ["at"] }] as const;
const small = clickhouse.history("small", Small, { orderBy: ["id", "at"], latest });
const wider = clickhouse.history("small", Wider, { orderBy: ["id", "at"], latest });
const row = { value: { id: "a", at: 1_000, value: 2 }, offset: 0, loadTime: 5_000 };

t.test("a second open of the same declaration changes nothing", async (t) => {
  const db = await lab.open([readings]);
  t.teardown(() => db.close());
  await db.sink.deliver(seal(readings, readingsFrom(0, 100)), { uncertain: false });
  const state = () => db.rows(`SELECT name, uuid, metadata_modification_time FROM system.tables WHERE database = '${db.database}' ORDER BY name`);
  const before = await state();
  await db.reopen([readings]);
  t.same(await state(), before);
  t.ok(before.length > 10);
});

t.test("a new column is an error whose ALTER cures it, and is added with migrate", async (t) => {
  const db = await lab.open([small]);
  t.teardown(() => db.close());
  await db.sink.deliver(seal(small, [row]), { uncertain: false });
  const alter = /ALTER TABLE `\w+`\.`small` ADD COLUMN `note` String AFTER `value`/;
  await t.rejects(db.reopen([wider]), { code: "CLICKHOUSE_SCHEMA", cure: alter });
  const [sink] = await db.reopen([wider], { migrate: true });
  await sink?.deliver(seal(wider, [{ value: { id: "b", at: 1_000, value: 3, note: "new" }, offset: 1, loadTime: 6_000 }]), { uncertain: false });
  t.same(await db.rows("SELECT id, value, note FROM small_latest ORDER BY id"), [{ id: "a", value: 2, note: "" }, { id: "b", value: 3, note: "new" }], "views were made again from the history");
  await db.reopen([wider]);
});

t.test("the ALTER in the error is the cure", async (t) => {
  const plain = clickhouse.history("small", Small, { orderBy: ["id", "at"] });
  const plainWider = clickhouse.history("small", Wider, { orderBy: ["id", "at"] });
  const db = await lab.open([plain]);
  t.teardown(() => db.close());
  const error = await db.reopen([plainWider]).then(
    () => undefined,
    (reason: { cure: string }) => reason,
  );
  await db.client.command({ query: /ALTER TABLE.*$/.exec(error?.cure ?? "")?.[0] ?? "" });
  await db.reopen([plainWider]);
});

t.test("another type, key, engine or version is an error, also with migrate", async (t) => {
  const db = await lab.open([small, clickhouse.upsert("up", Small, { key: ["id"], version: "at" })]);
  t.teardown(() => db.close());
  const cases = [
    { spec: clickhouse.history("small", Other, { orderBy: ["id", "at"], latest }), message: /value is Float64, not Float32/ },
    { spec: clickhouse.history("small", Small, { orderBy: ["at", "id"], latest }), message: /ordered by \(id, at\)/ },
    { spec: clickhouse.history("small", Small, { orderBy: ["id", "at"], latest, partitionBy: "toYYYYMM(at)" }), message: /partitioned by/ },
    { spec: clickhouse.history("small_latest", Small, { orderBy: ["id", "at"] }), message: /engine is View/ },
    { spec: clickhouse.upsert("small_new", Small, { key: ["id"], version: "at" }), message: undefined },
  ];
  for (const { spec, message } of cases) {
    if (message === undefined) await db.reopen([spec], { migrate: true });
    else await t.rejects(db.reopen([spec], { migrate: true }), { code: "CLICKHOUSE_SCHEMA", message });
  }
});

t.test("a changed view is named, and made again with migrate", async (t) => {
  const view = (select: string) => clickhouse.history("small", Small, { orderBy: ["id", "at"], views: [{ view: "big", select }] });
  const db = await lab.open([view("SELECT id FROM {small} WHERE value > 10")]);
  t.teardown(() => db.close());
  const changed = view("SELECT id, value FROM {small} WHERE value > 1");
  await t.rejects(db.reopen([changed]), { code: "CLICKHOUSE_SCHEMA", place: /\.big$/, cure: /CREATE OR REPLACE VIEW/ });
  const [sink] = await db.reopen([changed], { migrate: true });
  await sink?.deliver(seal(changed, [row]), { uncertain: false });
  t.same(await db.rows("SELECT * FROM big"), [{ id: "a", value: 2 }]);
});

t.test("a window view that is added later, changed, or lost its trigger, is filled from the history", async (t) => {
  const bare = clickhouse.history("readings", Reading, { orderBy: ["device_id", "metric", "event_time", "seq"] });
  const db = await lab.open([bare]);
  t.teardown(() => db.close());
  await db.sink.deliver(seal(bare, readingsFrom(0, 2_000)), { uncertain: false });
  const [sink] = await db.reopen([readings]);
  t.same(await db.rows(WINDOW_MISMATCHES), []);
  await sink?.deliver(seal(readings, readingsFrom(2_000, 500)), { uncertain: false });
  await db.client.command({ query: "DROP VIEW readings_1h_mv" });
  await db.client.command({ query: "INSERT INTO readings_1h_state SELECT * FROM readings_1h_state" });
  await db.reopen([readings]);
  t.same(await db.rows(WINDOW_MISMATCHES), []);
  const changed = clickhouse.history("readings", Reading, {
    orderBy: ["device_id", "metric", "event_time", "seq"],
    windows: [{ view: "readings_1h", every: hours(2), time: "event_time", by: ["device_id"], aggregates: { n: count(), most: max("value"), all: sum("value") } }],
  });
  await t.rejects(db.reopen([changed]), { code: "CLICKHOUSE_SCHEMA" });
  await db.reopen([changed], { migrate: true });
  t.same(await db.rows("SELECT sum(n) AS n, sum(all) = (SELECT sum(value) FROM readings) AS same FROM readings_1h"), [{ n: "2500", same: 1 }]);
});

t.test("where a TTL removes rows, views keep what they hold", async (t) => {
  const make = (every: number) =>
    clickhouse.history("small", Small, { orderBy: ["id", "at"], ttl: "at + INTERVAL 1 DAY", windows: [{ view: "small_1h", every, time: "at", by: ["id"], aggregates: { n: count() } }] });
  const spec = make(hours(1));
  const db = await lab.open([spec]);
  t.teardown(() => db.close());
  const now = Date.now();
  const fresh = seal(spec, [{ value: { id: "a", at: now, value: 1 }, offset: 0, loadTime: now }]);
  const old = seal(spec, [{ value: { id: "a", at: 1_000, value: 1 }, offset: 1, loadTime: now }]);
  for (const batch of [fresh, old]) await db.sink.deliver(batch, { uncertain: false });
  await db.client.command({ query: "OPTIMIZE TABLE small FINAL" });
  t.same(await db.rows("SELECT count() AS n FROM small"), [{ n: "1" }], "the old row is gone");
  await db.sink.deliver(fresh, { uncertain: true });
  t.same(await db.rows("SELECT sum(n) AS n FROM small_1h"), [{ n: "2" }]);
  await t.rejects(db.reopen([make(hours(2))], { migrate: true }), { code: "CLICKHOUSE_SCHEMA", cure: /TTL/ });
});

t.test("reset drops what was made, and nothing else", async (t) => {
  const db = await lab.open([readings, clickhouse.deadLetters("dead_letters")]);
  t.teardown(() => db.close());
  await db.client.command({ query: "CREATE TABLE mine (a UInt8) ENGINE = Memory" });
  await db.client.command({ query: "CREATE TABLE small (id String, at DateTime64(3, 'UTC'), value Float64) ENGINE = MergeTree ORDER BY id" });
  const connector = clickhouseConnector({ url: lab.url, database: db.database });
  await connector.reset({ topology: "test", version: 1, logger: silentLogger }, [readings, clickhouse.deadLetters("dead_letters"), small]);
  await connector.close();
  t.same(await db.rows(`SELECT name FROM system.tables WHERE database = '${db.database}' ORDER BY name`), [{ name: "mine" }, { name: "small" }]);
});

t.test("all problems of a declaration are told", async (t) => {
  const wrong = clickhouse.history("a-b", Reading, {
    orderBy: ["device_id", "extra"],
    partitionBy: "toYYYYMM(event_time)",
    latest: [{ view: "x y", by: [], newest: ["nope" as "seq"] }],
    windows: [{ view: "w", every: 0, time: "device_id", by: ["device_id", "device_id"], aggregates: { "n n": count(), m: max("missing") as never } }],
    views: [{ view: "w", select: " " }],
  });
  const text = wrong.problems.join("\n");
  for (const part of ["a-b", "extra is JSON", "event_time is not part of orderBy", "x y", "by names no field", "no field nope", "positive whole", "must be a DateTime", "declared twice", "n n", "missing", "select is empty"]) {
    t.match(text, part);
  }
  t.same(clickhouse.upsert("u", Small, { key: ["id"], version: "value" }).problems, ["version: value is Float64, and must be an integer or a time"]);
});

t.test("replicated and ON CLUSTER are in every statement", async (t) => {
  const placement = { database: "db", cluster: "main", replicated: true };
  const { base, derived } = historyObjects(readings.declaration as HistoryDeclaration, qualifier(placement));
  const text = createTable(base, placement);
  t.match(text, "CREATE TABLE IF NOT EXISTS `db`.`readings` ON CLUSTER `main`");
  t.match(text, "ReplicatedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')");
  t.match(text, /SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = \d+/);
  const window = derived.find(({ table }) => table.name === "readings_1h_state");
  t.ok(window?.trigger);
  if (window?.trigger === null || window === undefined) return;
  t.match(createTable(window.table, placement), "ReplicatedAggregatingMergeTree");
  t.match(createTrigger(window.trigger, window.table, placement), "CREATE MATERIALIZED VIEW IF NOT EXISTS `db`.`readings_1h_mv` ON CLUSTER `main` TO `db`.`readings_1h_state`");
});

t.test("errors name the place and the cure, and never the password", async (t) => {
  t.throws(() => clickhouseConnector({ url: "ftp://x", database: "iot" }), { code: "CONFIG_INVALID" });
  t.throws(() => clickhouseConnector({ url: lab.url, database: "a;b" }), { code: "CONFIG_INVALID" });
  const secret = "pa55/w0rd";
  const down = clickhouseConnector({ url: `http://user:${encodeURIComponent(secret)}@127.0.0.1:9`, database: "iot", startTimeoutMs: 300 });
  const unreachable = await down.open({ topology: "test", version: 1, logger: silentLogger }, []).then(() => undefined, (error: { code: string; message: string; cure: string }) => error);
  t.match(unreachable, { code: "CLICKHOUSE_UNREACHABLE", message: "127.0.0.1:9", cure: "check that the server runs" });
  t.notMatch(unreachable?.message ?? "pa55", "pa55");
  await down.close();
  const denied = clickhouseConnector({ url: lab.url, database: "iot", username: "nobody", password: secret });
  const reason = await denied.open({ topology: "test", version: 1, logger: silentLogger }, []).then(() => undefined, (error: { code: string; message: string }) => error);
  t.equal(reason?.code, "CLICKHOUSE_REFUSED");
  t.notMatch(reason?.message ?? secret, secret);
  await denied.close();
});

t.test("an upsert shows the greatest version of each key, however often and in whatever order rows come", async (t) => {
  const up = clickhouse.upsert("up", Small, { key: ["id"], version: "at" });
  const db = await lab.open([up]);
  t.teardown(() => db.close());
  const batch = (at: number, value: number) => seal(up, [{ value: { id: "a", at, value }, offset: at, loadTime: 1 }, { value: { id: `b${at}`, at, value }, offset: at, loadTime: 1 }]);
  for (const [at, value] of [[1, 10], [3, 30], [2, 20], [3, 30]] as const) {
    const sealed = batch(at, value);
    await db.sink.deliver(sealed, { uncertain: false });
    await db.sink.deliver(sealed, { uncertain: true });
  }
  t.same(await db.rows("SELECT id, value FROM up ORDER BY id"), [{ id: "a", value: 30 }, { id: "b1", value: 10 }, { id: "b2", value: 20 }, { id: "b3", value: 30 }]);
});
