/** One former owner and one new one, at the moments that matter; and several processes that open the same tables at once. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { c, count, hours, record, silentLogger, type Sink } from "@iot-topology/core";
import { clickhouse, clickhouseConnector } from "@iot-topology/connectors/clickhouse";
import { startCuttingProxy } from "./cutting-proxy.ts";
import { type OpenLab, reading, readings, readingsFrom, Reading, seal, startLab, WINDOW_MISMATCHES } from "./fixture.ts";

t.setTimeout(240_000);
const lab = await startLab();
t.teardown(() => lab.stop());

async function assertExact(t: import("tap").Test, db: OpenLab, n: number): Promise<void> {
  t.same(await db.rows("SELECT count() AS n, uniqExact(_partition, _offset, _index) AS places FROM readings"), [{ n: String(n), places: String(n) }], "every row once");
  t.same(await db.rows(WINDOW_MISMATCHES), [], "the windows are those of the rows");
}

t.test("processes that open at once make every table once, and no row comes before its views", async (t) => {
  for (let round = 0; round < 2; round++) {
    const database = `race_${process.pid}_${round}`;
    const work = Array.from({ length: 6 }, async (_, partition) => {
      const connector = clickhouseConnector({ url: lab.url, database, embedded: true });
      const [sink] = await connector.open({ topology: "test", version: 1, logger: silentLogger }, [readings]);
      // At once: whoever is first must not be quicker than the views.
      await sink?.deliver(seal(readings, readingsFrom(partition * 100, 50).map((row) => ({ ...row, partition }))), { uncertain: false });
      return connector;
    });
    for (const connector of await Promise.all(work)) await connector.close();
    const db = await lab.open([]);
    t.same(await db.rows(`SELECT (SELECT count() FROM ${database}.readings) AS history, (SELECT sum(n) FROM ${database}.readings_1h) AS hours, (SELECT sum(n) FROM ${database}.readings_1d) AS days`), [{ history: "300", hours: "300", days: "300" }]);
    t.same(await db.rows(`SELECT count() AS n FROM (SELECT scope FROM ${database}._iot_topology_lock GROUP BY scope, holder HAVING max(ended) = 0)`), [{ n: "0" }], "every lock was given back");
    await db.close();
  }
});

t.test("a view that one process adds while another delivers holds every row once", async (t) => {
  const bare = clickhouse.history("readings", Reading, { orderBy: ["device_id", "metric", "event_time", "seq"] });
  const viewed = clickhouse.history("readings", Reading, {
    orderBy: ["device_id", "metric", "event_time", "seq"],
    windows: [{ view: "added", every: hours(1), time: "event_time", by: ["device_id"], aggregates: { n: count() } }],
  });
  const db = await lab.open([bare]);
  t.teardown(() => db.close());
  await db.sink.deliver(seal(bare, readingsFrom(0, 2_000)), { uncertain: false });
  let isDone = false;
  let sent = 2_000;
  const deliveries = (async () => {
    for (let uncertain = false; !isDone || uncertain; ) {
      const batch = seal(bare, readingsFrom(sent, 20));
      uncertain = await db.sink.deliver(batch, { uncertain }).then(() => false, () => true);
      if (!uncertain) sent += 20;
    }
  })();
  await sleep(100);
  const [before] = [sent];
  await db.reopen([viewed]);
  isDone = true;
  await deliveries;
  t.ok(sent > before, "rows came meanwhile");
  t.same(await db.rows("SELECT (SELECT count() FROM readings) AS history, sum(n) AS view FROM added"), [{ history: String(sent), view: String(sent) }]);
});

t.test("an insert that a stopped process had on its way is refused, whatever part of it was sent", async (t) => {
  const db = await lab.open([readings]);
  const proxy = await startCuttingProxy(lab.server.httpPort);
  t.teardown(async () => {
    await db.close();
    await proxy.close();
  });
  const [former] = await db.reopen([readings], { url: proxy.url });
  let rows = 0;
  for (const at of [1, 3_000, 20_000]) {
    await former?.deliver(seal(readings, readingsFrom(rows, 100)), { uncertain: false });
    const batch = seal(readings, readingsFrom(rows + 100, 400));
    t.ok(batch.bytes.length > 20_000);
    proxy.arm({ match: /INSERT INTO/, at, hold: true });
    const sending = (former as Sink).deliver(batch, { uncertain: false });
    sending.catch(() => {});
    while (proxy.fired === 0 || !proxy.isHolding) await sleep(5);
    await db.sink.deliver(batch, { uncertain: true });
    await db.sink.deliver(seal(readings, readingsFrom(rows + 500, 50)), { uncertain: false });
    // Also after the tokens were forgotten.
    await db.client.command({ query: "ALTER TABLE readings MODIFY SETTING non_replicated_deduplication_window = 0" });
    proxy.resume();
    await t.rejects(sending, { code: "SINK_FENCED", retriable: true });
    await assertExact(t, db, rows + 550);
    await (former as Sink).deliver(batch, { uncertain: true });
    await assertExact(t, db, rows + 550);
    rows += 550;
  }
});

t.test("without the claim the views would count the late insert (so the test above can fail)", async (t) => {
  const db = await lab.open([readings]);
  t.teardown(() => db.close());
  await db.sink.deliver(seal(readings, readingsFrom(0, 100)), { uncertain: true });
  await db.client.command({ query: "INSERT INTO readings SELECT * FROM readings", clickhouse_settings: { insert_deduplicate: 0 } });
  t.same(await db.rows("SELECT sum(n) AS n, (SELECT count() FROM readings FINAL) AS history FROM readings_1h"), [{ n: "200", history: "100" }]);
});

t.test("an insert of the former owner that the server still works on is killed, and what it left is completed", async (t) => {
  const db = await lab.open([readings]);
  t.teardown(() => db.close());
  const [former] = await db.reopen([readings]);
  await former?.deliver(seal(readings, readingsFrom(0, 100)), { uncertain: false });
  for (const name of ["slow_1", "slow_2"]) {
    await db.client.command({ query: `CREATE TABLE ${name} (n UInt64, s UInt8) ENGINE = Memory` });
    await db.client.command({ query: `CREATE MATERIALIZED VIEW ${name}_mv TO ${name} AS SELECT count() AS n, sleep(2.9) AS s FROM readings` });
  }
  const batch = seal(readings, readingsFrom(100, 300));
  const sending = (former as Sink).deliver(batch, { uncertain: false }).then(
    () => "delivered",
    (error: { code: string }) => error.code,
  );
  while ((await db.rows("SELECT 1 FROM system.processes WHERE query_id LIKE 'iot-topology:%:rows:readings:%'")).length === 0) await sleep(5);
  await db.sink.deliver(batch, { uncertain: true });
  t.equal(await sending, "SINK_FAILED", "it was killed");
  await assertExact(t, db, 400);
});

t.test("an old batch of an upsert does not come behind a newer one of the same version", async (t) => {
  const Small = record("Small", { id: c.string(), at: c.dateTime64(3, "UTC"), value: c.float64() });
  const up = clickhouse.upsert("up", Small, { key: ["id"], version: "at" });
  const db = await lab.open([up]);
  const proxy = await startCuttingProxy(lab.server.httpPort);
  t.teardown(async () => {
    await db.close();
    await proxy.close();
  });
  const [former] = await db.reopen([up], { url: proxy.url });
  const batch = (value: number) => seal(up, [{ value: { id: "a", at: 1_000, value }, offset: value, loadTime: 1 }]);
  await former?.deliver(batch(1), { uncertain: false });
  proxy.hold();
  const sending = (former as Sink).deliver(batch(2), { uncertain: false });
  sending.catch(() => {});
  await db.sink.deliver(batch(2), { uncertain: true });
  await db.sink.deliver(batch(3), { uncertain: false });
  proxy.resume();
  await t.rejects(sending, { code: "SINK_FENCED" });
  t.same(await db.rows("SELECT id, value FROM up"), [{ id: "a", value: 3 }]);
});

t.test("a process that takes its claim again does not take for new what its successor delivered", async (t) => {
  const db = await lab.open([readings]);
  t.teardown(() => db.close());
  const [former] = await db.reopen([readings]);
  const batches = Array.from({ length: 6 }, (_, index) => seal(readings, readingsFrom(index * 50, 50)));
  await former?.deliver(batches[0]!, { uncertain: false });
  for (const batch of batches.slice(1, 5)) await db.sink.deliver(batch, { uncertain: batch === batches[1] });
  await db.client.command({ query: "ALTER TABLE readings MODIFY SETTING non_replicated_deduplication_window = 0" });
  // It had sealed them all and sent none. The first is refused; then it believes that it may go on.
  await t.rejects((former as Sink).deliver(batches[1]!, { uncertain: false }), { code: "SINK_FENCED" });
  for (const batch of batches.slice(1)) await former?.deliver(batch, { uncertain: batch === batches[1] });
  await assertExact(t, db, 300);
});

t.test("a task that comes back to a process goes on there", async (t) => {
  const db = await lab.open([readings]);
  t.teardown(() => db.close());
  const [other] = await db.reopen([readings]);
  for (let turn = 0; turn < 6; turn++) {
    const sink = (turn % 2 === 0 ? db.sink : other) as Sink;
    // What is sealed by the new owner after it took over is certain for it, though another one's claim is the newest.
    await sink.deliver(seal(readings, readingsFrom(turn * 20, 10)), { uncertain: true });
    await sink.deliver(seal(readings, readingsFrom(turn * 20 + 10, 10)), { uncertain: false });
  }
  await assertExact(t, db, 120);
});

interface Child {
  readonly process: ChildProcess;
  delivered: number;
  readonly codes: string[];
}

async function startChild(database: string): Promise<Child> {
  const child: Child = { process: fork(new URL("./delivering-child.ts", import.meta.url), [lab.url, database], { execArgv: ["--conditions=@iot-topology/source"] }), delivered: 0, codes: [] };
  child.process.on("message", (message: { delivered?: number; code?: string }) => {
    if (message.delivered !== undefined) child.delivered = message.delivered;
    if (message.code !== undefined) child.codes.push(message.code);
  });
  while (child.delivered === 0) await Promise.race([once(child.process, "message"), once(child.process, "exit").then(() => Promise.reject(new Error("the child ended")))]);
  return child;
}

t.test("a process that is stopped in mid-delivery and wakes up when its task is another's changes nothing", async (t) => {
  const db = await lab.open([readings]);
  t.teardown(() => db.close());
  const child = await startChild(db.database);
  t.teardown(() => child.process.kill("SIGKILL"));
  let fenced = 0;
  for (let round = 0; round < 5; round++) {
    const before = child.delivered;
    while (child.delivered < before + 2) await sleep(2);
    await sleep(round * 7);
    child.process.kill("SIGSTOP");
    // Everything that the child may have sealed: it seals one batch ahead of what it says.
    const sealed = child.delivered + 2;
    for (let index = 0; index <= sealed; index++) {
      if (index < child.delivered - 1) continue;
      await db.sink.deliver(childBatch(index), { uncertain: true });
    }
    child.process.kill("SIGCONT");
    const codes = child.codes.length;
    while (child.codes.length === codes && child.delivered < sealed + 4) await sleep(5);
    fenced = child.codes.filter((code) => code === "SINK_FENCED").length;
  }
  child.process.send({ stop: true });
  await once(child.process, "exit");
  t.ok(fenced > 0, "it was refused, and took its task back after a check");
  const [row] = await db.rows<{ n: string }>("SELECT count() AS n FROM readings");
  t.ok(Number(row?.n) >= child.delivered * 200);
  await assertExact(t, db, Number(row?.n));
});

/** The batch that the child delivers as its n-th. */
function childBatch(index: number): ReturnType<typeof seal> {
  return seal(readings, Array.from({ length: 200 }, (_, n) => reading(index * 200 + n)), `child:${index}`);
}
