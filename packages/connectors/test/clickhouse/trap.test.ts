/** The traps of exactly-once inserts, each shown to be real on this server, and then with its cure. */
import { Readable } from "node:stream";
import t from "tap";
import { clickhouse } from "@iot-topology/connectors/clickhouse";
import { plainSettings, tokenSettings } from "../../src/clickhouse/insert-settings.ts";
import { Reading, reading, readings, readingsFrom, seal, startLab, WINDOW_MISMATCHES } from "./fixture.ts";

t.setTimeout(200_000);
const lab = await startLab();
t.teardown(() => lab.stop());

t.test("a repeat is dropped in the table and in every view", async (t) => {
  const db = await lab.open([readings]);
  t.teardown(() => db.close());
  const batch = seal(readings, readingsFrom(0, 3_000));
  for (let repeat = 0; repeat < 3; repeat++) await db.sink.deliver(batch, { uncertain: false });
  t.same(await db.rows("SELECT count() AS n FROM readings"), [{ n: "3000" }]);
  t.same(await db.rows(WINDOW_MISMATCHES), []);
});

t.test("without a window of its own a view's table counts a repeat twice, while the source stays exact", async (t) => {
  const db = await lab.open([]);
  t.teardown(() => db.close());
  const make = async (name: string, viewWindow: number) => {
    await db.client.command({ query: `CREATE TABLE ${name} (k UInt8, v UInt64) ENGINE = MergeTree ORDER BY k SETTINGS non_replicated_deduplication_window = 100` });
    await db.client.command({ query: `CREATE TABLE ${name}_state (k UInt8, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k SETTINGS non_replicated_deduplication_window = ${viewWindow}` });
    await db.client.command({ query: `CREATE MATERIALIZED VIEW ${name}_mv TO ${name}_state AS SELECT k, count() AS n FROM ${name} GROUP BY k` });
    const clickhouse_settings = { async_insert: 0, insert_deduplicate: 1, insert_deduplication_token: "a", deduplicate_blocks_in_dependent_materialized_views: 1 } as const;
    for (let repeat = 0; repeat < 2; repeat++) await db.client.insert({ table: name, values: [{ k: 1, v: 1 }], format: "JSONEachRow", clickhouse_settings });
    return db.rows(`SELECT (SELECT count() FROM ${name}) AS source, sum(n) AS view FROM ${name}_state`);
  };
  t.same(await make("without", 0), [{ source: "1", view: "2" }], "the trap is real");
  t.same(await make("with_window", 100), [{ source: "1", view: "1" }]);
});

t.test("the window counts blocks a partition, so it is wide where a table is partitioned", async (t) => {
  const partitioned = clickhouse.history("partitioned", Reading, { orderBy: ["device_id", "event_time"], partitionBy: "toYYYYMMDD(event_time)" });
  const db = await lab.open([partitioned]);
  t.teardown(() => db.close());
  const rows = Array.from({ length: 24 }, (_, day) => reading(day, { event_time: Date.UTC(2026, 0, 1 + day) }));
  const batch = seal(partitioned, rows);
  const send = async () => {
    await db.sink.deliver(batch, { uncertain: false });
    return (await db.rows<{ n: string }>("SELECT count() AS n FROM partitioned"))[0]?.n;
  };
  t.equal(await send(), "24");
  t.equal(await send(), "24");
  await db.client.command({ query: "TRUNCATE TABLE partitioned" });
  await db.client.command({ query: "ALTER TABLE partitioned MODIFY SETTING non_replicated_deduplication_window = 3" });
  const other = seal(partitioned, rows);
  await db.sink.deliver(other, { uncertain: false });
  await db.sink.deliver(other, { uncertain: false });
  t.ok(Number((await db.rows<{ n: string }>("SELECT count() AS n FROM partitioned"))[0]?.n) > 24, "the trap is real: a window of 3 forgets");
  await t.rejects(db.reopen([partitioned]), { code: "CLICKHOUSE_SETTINGS" }, "so it is refused at the next start");
});

t.test("a batch may reach into more partitions than ClickHouse's default of 100", async (t) => {
  const partitioned = clickhouse.history("partitioned", Reading, { orderBy: ["device_id", "event_time"], partitionBy: "toYYYYMMDD(event_time)" });
  const db = await lab.open([partitioned]);
  t.teardown(() => db.close());
  await db.sink.deliver(seal(partitioned, Array.from({ length: 150 }, (_, day) => reading(day, { event_time: Date.UTC(2026, 0, 1 + day) }))), { uncertain: false });
  t.same(await db.rows("SELECT count() AS n, uniqExact(_partition_id) AS partitions FROM partitioned"), [{ n: "150", partitions: "150" }]);
});

t.test("other rows under a known token are lost without an error, hence the content's hash in the token", async (t) => {
  const db = await lab.open([readings]);
  t.teardown(() => db.close());
  await db.sink.deliver(seal(readings, readingsFrom(0, 10), "same"), { uncertain: false });
  await db.sink.deliver(seal(readings, readingsFrom(10, 10), "same"), { uncertain: false });
  t.same(await db.rows("SELECT count() AS n FROM readings"), [{ n: "10" }], "the trap is real");
  await db.sink.deliver(seal(readings, readingsFrom(10, 10)), { uncertain: false });
  t.same(await db.rows("SELECT count() AS n FROM readings"), [{ n: "20" }]);
});

t.test("the insert's summary tells a dropped repeat by nothing, so it is not asked", async (t) => {
  const db = await lab.open([]);
  t.teardown(() => db.close());
  await db.client.command({ query: "CREATE TABLE s (k UInt8) ENGINE = MergeTree ORDER BY k SETTINGS non_replicated_deduplication_window = 100" });
  const send = () =>
    db.client.insert({ table: "s", values: [{ k: 1 }], format: "JSONEachRow", clickhouse_settings: { async_insert: 0, insert_deduplicate: 1, insert_deduplication_token: "a", wait_end_of_query: 1 } });
  const written = [(await send()).summary?.written_rows, (await send()).summary?.written_rows];
  t.same(written, ["1", "1"]);
  t.same(await db.rows("SELECT count() AS n FROM s"), [{ n: "1" }]);
});

t.test("every setting that a guarantee rests on is sent, whatever the server's defaults and profiles are", async (t) => {
  const token = tokenSettings("x", false);
  t.match(token, { async_insert: 0, insert_deduplicate: 1, insert_deduplication_token: "x", deduplicate_blocks_in_dependent_materialized_views: 1, deduplicate_insert: "enable", optimize_on_insert: 0, materialized_views_ignore_errors: 0, input_format_parallel_parsing: 0 });
  t.match(plainSettings(true), { insert_deduplicate: 0, deduplicate_blocks_in_dependent_materialized_views: 0, insert_quorum: "auto", select_sequential_consistency: 1 });
  const db = await lab.open([readings]);
  t.teardown(() => db.close());
  const [defaults] = await db.rows<{ n: string }>("SELECT count() AS n FROM system.settings WHERE (name = 'async_insert' AND value = '1') OR (name = 'optimize_on_insert' AND value = '1')");
  t.equal(defaults?.n, "2", "this server's own defaults would not do");
  const known = await db.rows<{ name: string }>("SELECT name FROM system.settings");
  const names = new Set(known.map((row) => row.name));
  for (const name of ["insert_deduplication_token", "deduplicate_insert", "deduplicate_insert_select", "max_insert_block_size_rows"]) t.ok(names.has(name), `${name} is a setting`);
});

t.test("a batch of many rows is one block, so one token stands for all of it", async (t) => {
  const db = await lab.open([readings]);
  t.teardown(() => db.close());
  await db.client.command({ query: "SYSTEM STOP MERGES readings" });
  await db.sink.deliver(seal(readings, readingsFrom(0, 150_000)), { uncertain: false });
  t.same(await db.rows(`SELECT count() AS parts, sum(rows) AS rows FROM system.parts WHERE database = '${db.database}' AND table = 'readings' AND active`), [{ parts: "1", rows: "150000" }]);
});

t.test("names and values that look like SQL are data", async (t) => {
  const db = await lab.open([readings]);
  t.teardown(() => db.close());
  const evil = ["dev'); DROP TABLE readings; --", "`x`", "\\' OR 1=1", "{as_of:String}", "a\tb\nc\0d", "💥é"];
  const rows = evil.map((device_id, offset) => reading(offset, { device_id, metric: `${device_id}'` }));
  await db.sink.deliver(seal(readings, rows), { uncertain: false });
  await db.sink.deliver(seal(readings, rows.slice(1, 4)), { uncertain: true });
  await db.sink.settle();
  t.same((await db.rows<{ device_id: string }>("SELECT device_id FROM readings_latest")).map((row) => row.device_id).sort(), [...evil].sort());
  t.same(await db.rows(WINDOW_MISMATCHES), []);
  for (const name of ["a; DROP TABLE x", "a`b", "1a", "", "a.b", "a'b"]) {
    t.ok(clickhouse.history(name, Reading, { orderBy: ["device_id"] }).problems.length > 0, `${JSON.stringify(name)} is no table name`);
  }
});

t.test("bytes that are no text stay as they are", async (t) => {
  const dead = clickhouse.deadLetters("dead_letters");
  const db = await lab.open([dead]);
  t.teardown(() => db.close());
  const letter = { code: "INVALID_UTF8" as const, message: "no text", field: "a.b", step: "cast", topic: "t", partition: 0, timestamp: 1_700_000_000_123 };
  const bytes = Buffer.from([0xff, 0xfe, 0x00, 0x80, 0x27, 0x5c]);
  const rows = [
    { value: { ...letter, offset: 1, key: null, value: null }, offset: 1, loadTime: letter.timestamp },
    { value: { ...letter, offset: 2, key: Buffer.alloc(0), value: bytes }, offset: 2, loadTime: letter.timestamp },
    { value: { ...letter, offset: 2, step: "map", key: bytes, value: Buffer.alloc(1_048_576, 0xf5) }, offset: 2, index: 1, loadTime: letter.timestamp },
  ];
  await db.sink.deliver(seal(dead, rows), { uncertain: false });
  await db.sink.deliver(seal(dead, rows), { uncertain: true });
  t.same(await db.rows("SELECT code, field, step, offset, timestamp, hex(key) AS key, hex(substring(value, 1, 6)) AS head, length(value) AS size FROM dead_letters ORDER BY offset, _index"), [
    { code: "INVALID_UTF8", field: "a.b", step: "cast", offset: "1", timestamp: "2023-11-14 22:13:20.123", key: null, head: null, size: null },
    { code: "INVALID_UTF8", field: "a.b", step: "cast", offset: "2", timestamp: "2023-11-14 22:13:20.123", key: "", head: "FFFE0080275C", size: "6" },
    { code: "INVALID_UTF8", field: "a.b", step: "map", offset: "2", timestamp: "2023-11-14 22:13:20.123", key: "FFFE0080275C", head: "F5F5F5F5F5F5", size: "1048576" },
  ]);
});

t.test("a statement is in system.processes before its conditions are read, so a claim that was not seen can be waited for", async (t) => {
  const db = await lab.open([]);
  t.teardown(() => db.close());
  await db.client.command({ query: "CREATE TABLE s (k UInt8) ENGINE = MergeTree ORDER BY k" });
  await db.client.command({ query: "CREATE TABLE gate (open UInt8) ENGINE = MergeTree ORDER BY open" });
  // The subquery sleeps first and reads the gate afterwards: it is found running while the gate is still empty.
  const reading = db.client.exec({
    query: "INSERT INTO s SELECT k FROM input('k UInt8') WHERE (SELECT count() + sum(s) FROM (SELECT sleep(1) AS s) AS a LEFT JOIN gate ON 1) >= 0 FORMAT RowBinary",
    values: Readable.from([Buffer.from([1])], { objectMode: false }),
    query_id: "gated",
  });
  let seen = 0;
  const done = reading.then(({ stream }) => stream.resume(), (error: unknown) => t.fail(String(error))).finally(() => (seen = seen === 0 ? -1 : seen));
  while (seen === 0) seen = (await db.rows("SELECT 1 FROM system.processes WHERE query_id = 'gated'")).length;
  t.equal(seen, 1);
  t.same(await db.rows("SELECT count() AS n FROM s"), [{ n: "0" }]);
  await done;
});
