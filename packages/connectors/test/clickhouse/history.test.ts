import t from "tap";


import { readings, readingsFrom, seal, startLab, WINDOW_MISMATCHES } from "./fixture.ts";

t.setTimeout(200_000);
const lab = await startLab();
t.teardown(() => lab.stop());

t.test("a delivered batch shows in the history, the latest values, the windows, the as-of views", async (t) => {
  const db = await lab.open([readings]);
  t.teardown(() => db.close());
  await db.sink.deliver(seal(readings, readingsFrom(0, 5_000)), { uncertain: false });
  await db.sink.deliver(seal(readings, readingsFrom(5_000, 5_000)), { uncertain: false });
  await db.sink.settle();
  t.same(await db.rows("SELECT count() AS n, uniqExact(_offset) AS offsets, max(load_time) AS last FROM readings"), [{ n: "10000", offsets: "10000", last: "2026-01-04 11:19:30.500" }]);
  t.same(await db.rows(WINDOW_MISMATCHES), []);
  t.same(await db.rows("SELECT device_id, seq, value FROM readings_latest ORDER BY device_id"), [
    { device_id: "device-0", seq: "9999", value: 0 },
    { device_id: "device-1", seq: "9997", value: 99 },
    { device_id: "device-2", seq: "9998", value: 100 },
  ]);
  t.same(await db.rows("SELECT as_of, count() AS n, max(seq) AS seq FROM readings_as_of_daily GROUP BY as_of ORDER BY as_of"), [
    { as_of: "2026-01-02 00:00:00.000", n: "3", seq: "2879" },
    { as_of: "2026-01-03 00:00:00.000", n: "3", seq: "5759" },
    { as_of: "2026-01-04 00:00:00.000", n: "3", seq: "8639" },
  ]);
  t.same(await db.rows("SELECT max(seq) AS seq, count() AS n FROM readings_as_of(as_of = '2026-01-01 00:10:00')"), [{ seq: "19", n: "3" }]);
  t.same(await db.rows("SELECT device_id FROM hot ORDER BY device_id"), [{ device_id: "device-1" }, { device_id: "device-2" }]);
  const held = (topic: string, partition: number, firstOffset: number) => db.sink.mayHold?.([{ topic, partition, firstOffset, lastOffset: Number.MAX_SAFE_INTEGER }]);
  t.same([await held("t", 0, 0), await held("t", 0, 9_999), await held("t", 0, 10_000), await held("t", 1, 0), await held("other", 0, 0)], [true, true, false, false, false], "it says what it holds");
});
