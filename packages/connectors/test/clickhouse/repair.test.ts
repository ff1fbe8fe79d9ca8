/** Uncertain batches: what may have arrived, or in part, or under other tokens, ends up there once, views included. */
import t, { type Test } from "tap";
import { type SealedBatch, type Sink, TopologyError } from "@iot-topology/core";
import { startCuttingProxy } from "./cutting-proxy.ts";
import { type OpenLab, type Placed, type ReadingInput, reading, readings, readingsFrom, seal, startLab, WINDOW_MISMATCHES } from "./fixture.ts";

t.setTimeout(240_000);
const lab = await startLab();
t.teardown(() => lab.stop());

/** Delivers as a lane does, until it is acknowledged. */
async function deliverAll(sink: Sink, batch: SealedBatch): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    try {
      await sink.deliver(batch, { uncertain: attempt > 0 });
      return attempt;
    } catch (error) {
      if (!(error instanceof TopologyError) || !error.retriable || attempt > 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function assertExact(t: Test, db: OpenLab, n: number): Promise<void> {
  t.same(await db.rows("SELECT count() AS n, uniqExact(_partition, _offset, _index) AS places FROM readings"), [{ n: String(n), places: String(n) }], "every row once");
  t.same(await db.rows(WINDOW_MISMATCHES), [], "the windows are those of the rows");
  const latest = "SELECT device_id, metric, argMax(tuple(seq, value), tuple(event_time, seq)) AS row FROM readings GROUP BY device_id, metric ORDER BY device_id, metric";
  t.same(await db.rows("SELECT device_id, metric, tuple(seq, value) AS row FROM readings_latest ORDER BY device_id, metric"), await db.rows(latest), "the latest rows are those of the rows");
}

t.test("rows that exist under other batch boundaries are not added again", async (t) => {
  const db = await lab.open([readings]);
  t.teardown(() => db.close());
  await db.sink.deliver(seal(readings, readingsFrom(0, 1_000)), { uncertain: false });
  await db.sink.deliver(seal(readings, readingsFrom(1_000, 1_000)), { uncertain: false });
  for (const [first, n, total] of [[500, 1_000, 2_000], [0, 2_000, 2_000], [1_900, 700, 2_600], [0, 3_000, 3_000], [5_000, 10, 3_010]] as const) {
    await db.sink.deliver(seal(readings, readingsFrom(first, n)), { uncertain: true });
    await assertExact(t, db, total);
  }
});

t.test("without the check a batch under another token is counted twice (so the test above can fail)", async (t) => {
  const db = await lab.open([readings]);
  t.teardown(() => db.close());
  await db.sink.deliver(seal(readings, readingsFrom(0, 100)), { uncertain: false });
  await db.sink.deliver(seal(readings, readingsFrom(0, 100), "another"), { uncertain: false });
  t.not((await db.rows(WINDOW_MISMATCHES)).length + Number((await db.rows<{ n: string }>("SELECT count() AS n FROM readings"))[0]?.n), 100);
});

t.test("rows that the server lost while it kept their token come again, and the views are put right", async (t) => {
  const db = await lab.open([readings]);
  t.teardown(() => db.close());
  const batch = seal(readings, readingsFrom(0, 2_000));
  await db.sink.deliver(batch, { uncertain: false });
  await db.client.command({ query: "DELETE FROM readings WHERE _offset >= 1500 SETTINGS lightweight_deletes_sync = 2" });
  await db.sink.deliver(batch, { uncertain: false });
  t.same(await db.rows("SELECT count() AS n FROM readings"), [{ n: "1500" }], "the trap is real: by the token alone they stay lost");
  await db.sink.deliver(batch, { uncertain: true });
  await assertExact(t, db, 2_000);
  await db.client.command({ query: "DELETE FROM readings WHERE 1 SETTINGS lightweight_deletes_sync = 2" });
  await db.sink.deliver(batch, { uncertain: true });
  await assertExact(t, db, 2_000);
});

t.test("views that lost or doubled a batch are put right, also when the correction is cut short", async (t) => {
  const db = await lab.open([readings]);
  t.teardown(() => db.close());
  await db.sink.deliver(seal(readings, readingsFrom(0, 500)), { uncertain: false });
  const batch = seal(readings, readingsFrom(500, 500));
  await db.sink.deliver(batch, { uncertain: false });
  await db.client.command({ query: "DELETE FROM readings_1m_state WHERE window_start >= '2026-01-01 06:00:00' SETTINGS lightweight_deletes_sync = 2" });
  await db.client.command({ query: "INSERT INTO readings_1h_state SELECT * FROM readings_1h_state", clickhouse_settings: { insert_deduplicate: 0 } });
  await db.client.command({ query: "TRUNCATE TABLE readings_latest_state" });
  t.ok((await db.rows(WINDOW_MISMATCHES)).length > 5, "the views are wrong now");
  for (let repeat = 0; repeat < 2; repeat++) await db.sink.deliver(batch, { uncertain: true });
  const left = await db.rows<{ view: string }>(WINDOW_MISMATCHES);
  t.same(left.filter((row) => row.view !== "readings_1h"), [], "all windows of the batch are right");
  await db.sink.deliver(seal(readings, readingsFrom(0, 1_000)), { uncertain: true });
  await assertExact(t, db, 1_000);
});

t.test("a reply that is lost after the server did its work changes nothing", async (t) => {
  const proxy = await startCuttingProxy(lab.server.httpPort);
  const db = await lab.open([readings]);
  t.teardown(async () => {
    await db.close();
    await proxy.close();
  });
  const [sink] = await db.reopen([readings], { url: proxy.url });
  for (let round = 0; round < 5; round++) {
    proxy.arm({ match: /INSERT INTO/, at: "reply" });
    t.equal(await deliverAll(sink as Sink, seal(readings, readingsFrom(round * 400, 400))), 1);
    t.equal(proxy.fired, round + 1, "the reply was lost");
  }
  await assertExact(t, db, 2_000);
});

t.test("a request that is torn, also at the end of a row, leaves no half batch", async (t) => {
  const proxy = await startCuttingProxy(lab.server.httpPort);
  const db = await lab.open([readings]);
  t.teardown(async () => {
    await db.close();
    await proxy.close();
  });
  const [sink] = await db.reopen([readings], { url: proxy.url });
  const rows = readingsFrom(0, 3_000);
  const half = seal(readings, rows.slice(0, 1_500)).bytes.length;
  const batch = seal(readings, rows);
  let fired = 0;
  // The head of the request and of its chunk is about 2 to 4 kB, so around the middle some of these end at, before and behind a row's end.
  for (const at of [half, half + 2_500, half + 2_900, batch.bytes.length]) {
    proxy.arm({ match: /INSERT INTO/, at });
    await deliverAll(sink as Sink, batch);
    t.equal(proxy.fired, ++fired, "the request was torn");
    await assertExact(t, db, 3_000);
    await db.client.command({ query: "TRUNCATE TABLE readings" });
    for (const view of ["readings_1m", "readings_1h", "readings_1d", "readings_latest"]) await db.client.command({ query: `TRUNCATE TABLE ${view}_state` });
  }
});

t.test("an insert that the server still works on is waited for, not sent beside itself", async (t) => {
  const db = await lab.open([readings]);
  t.teardown(() => db.close());
  await db.client.command({ query: "CREATE TABLE slow (n UInt64, s UInt8) ENGINE = Memory" });
  await db.client.command({ query: "CREATE MATERIALIZED VIEW slow_mv TO slow AS SELECT count() AS n, sleep(1.5) AS s FROM readings" });
  const [impatient] = await db.reopen([readings], { requestTimeoutMs: 300 });
  const batch = seal(readings, readingsFrom(0, 200));
  await t.rejects((impatient as Sink).deliver(batch, { uncertain: false }), { code: "CLICKHOUSE_UNREACHABLE", retriable: true });
  t.same(await db.rows("SELECT count() AS n FROM system.processes WHERE query_id LIKE 'iot-topology:%'"), [{ n: "1" }], "the server goes on");
  await db.sink.deliver(batch, { uncertain: true });
  await assertExact(t, db, 200);
  t.same(await db.rows("SELECT sum(n) AS n FROM slow"), [{ n: "200" }], "it was inserted once");
});

t.test("a view that throws is a final error that names it, and nothing is lost once it is gone", async (t) => {
  const db = await lab.open([readings]);
  t.teardown(() => db.close());
  await db.client.command({ query: "CREATE TABLE bad (v Float64) ENGINE = Memory" });
  await db.client.command({ query: "CREATE MATERIALIZED VIEW bad_mv TO bad AS SELECT value + throwIf(value = 77) AS v FROM readings" });
  const batch = seal(readings, readingsFrom(0, 300));
  await t.rejects(db.sink.deliver(batch, { uncertain: false }), { code: "SINK_FAILED", retriable: false, message: /bad_mv/ });
  await db.client.command({ query: "DROP VIEW bad_mv" });
  await db.sink.deliver(batch, { uncertain: true });
  await assertExact(t, db, 300);
});

t.test("too many parts is tried again, and passes", async (t) => {
  const db = await lab.open([readings]);
  t.teardown(() => db.close());
  await db.client.command({ query: "SYSTEM STOP MERGES readings" });
  await db.client.command({ query: "ALTER TABLE readings MODIFY SETTING parts_to_throw_insert = 2, parts_to_delay_insert = 2" });
  for (let offset = 0; offset < 2; offset++) await db.sink.deliver(seal(readings, [reading(offset)]), { uncertain: false });
  await t.rejects(db.sink.deliver(seal(readings, [reading(2)]), { uncertain: false }), { code: "SINK_FAILED", retriable: true, message: /252/ });
  await db.client.command({ query: "ALTER TABLE readings RESET SETTING parts_to_throw_insert, parts_to_delay_insert" });
  await db.sink.deliver(seal(readings, [reading(2)]), { uncertain: true });
  await assertExact(t, db, 3);
});

t.test("the server killed in mid-insert loses and doubles nothing", { timeout: 200_000 }, async (t) => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
  t.comment(`SEED=${seed}`);
  const random = mulberry(seed);
  const db = await lab.open([readings]);
  t.teardown(() => db.close());
  const kills = 12;
  const before = lab.server.restarts;
  let failures = 0;
  let offset = 0;
  for (let round = 0; round < kills; round++) {
    const rows: Placed<ReadingInput>[] = Array.from({ length: 4_000 }, () => reading(offset++, {}, { partition: offset % 4 }));
    const pid = lab.server.pid;
    const killAfterMs = random() * 60;
    const killed = new Promise<void>((resolve) => setTimeout(() => resolve(void (pid !== undefined && process.kill(pid, "SIGKILL"))), killAfterMs));
    failures += (await deliverAll(db.sink, seal(readings, rows))) > 0 ? 1 : 0;
    await killed;
    // The kill may have come after the answer; the next round must find a server.
    while (lab.server.restarts < before + round + 1) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  t.equal(lab.server.restarts - before, kills, "every kill was one");
  t.ok(failures > 0, "some came in mid-insert");
  await assertExact(t, db, offset);
});

function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
