/** Daily snapshots against a model in JavaScript that knows nothing of the tables. */
import t from "tap";
import { c, record, type Sink } from "@iot-topology/core";
import { clickhouse } from "@iot-topology/connectors/clickhouse";
import { type OpenLab, type Placed, seal, startLab } from "./fixture.ts";

t.setTimeout(200_000);
const lab = await startLab();
t.teardown(() => lab.stop());

const DAY = 86_400_000;
const START = Date.UTC(2026, 0, 1);
const Fact = record("Fact", { id: c.string(), event_time: c.dateTime64(3, "UTC"), rank: c.int32(), value: c.float64(), labels: c.map(c.string(), c.string()) });
type Fact = { id: string; event_time: number; rank: number; value: number; labels: Record<string, string> };
const newest = { by: ["id"], newest: ["event_time", "rank"] } as const;
const facts = clickhouse.history("facts", Fact, { orderBy: ["id", "event_time", "rank"], asOfDaily: [{ table: "facts_daily", ...newest }], asOf: [{ view: "facts_as_of", ...newest }] });
const clock = clickhouse.history("clock", Fact, { orderBy: ["id", "event_time", "rank"] });

const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
t.comment(`SEED=${seed}`);
let state = seed;
const random = (below: number): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 4_294_967_296) * below);
};

let offset = 0;
function fact(loadTime: number): Placed<Fact> {
  offset++;
  const event_time = loadTime - random(4 * DAY);
  return { value: { id: `k${random(12)}`, event_time, rank: offset, value: random(1_000), labels: { at: String(offset) } }, offset, loadTime };
}

/** The newest row a key, as known at each midnight that load time has passed. */
function model(rows: readonly Placed<Fact>[], watermark: number): string[] {
  const out: string[] = [];
  for (let midnight = START; midnight <= watermark; midnight += DAY) {
    const known = new Map<string, Placed<Fact>>();
    for (const row of rows) {
      const best = known.get(row.value.id);
      if (row.loadTime >= midnight) continue;
      if (best === undefined || row.value.event_time > best.value.event_time || (row.value.event_time === best.value.event_time && row.value.rank > best.value.rank)) known.set(row.value.id, row);
    }
    for (const [id, row] of known) out.push(`${midnight} ${id} ${row.value.event_time} ${row.value.value} ${row.value.labels["at"]} ${row.loadTime}`);
  }
  return out.sort();
}

async function stored(db: OpenLab): Promise<string[]> {
  const rows = await db.rows<{ text: string }>(
    "SELECT concat(toString(toUnixTimestamp64Milli(as_of)), ' ', id, ' ', toString(toUnixTimestamp64Milli(event_time)), ' ', toString(value), ' ', labels['at'], ' ', toString(toUnixTimestamp64Milli(load_time))) AS text FROM facts_daily",
  );
  return rows.map((row) => row.text).sort();
}

const watermarkOf = (rows: readonly Placed<Fact>[]): number => rows.reduce((most, row) => Math.max(most, row.loadTime), 0);

t.test("snapshots are right under loads out of order, at every rest, and after a connector that was cut off", async (t) => {
  const db = await lab.open([facts]);
  t.teardown(() => db.close());
  let sink: Sink = db.sink;
  const rows: Placed<Fact>[] = [];
  let now = START + 3_600_000;
  let snapshots = 0;
  for (let round = 0; round < 25; round++) {
    now += random(3 * DAY);
    // Partitions deliver out of step: some rows were loaded days before the newest midnight that was made.
    const batch = Array.from({ length: 1 + random(30) }, () => fact(random(4) === 0 ? Math.max(START, now - random(10 * DAY)) : now - random(3_600_000)));
    rows.push(...batch);
    await sink.deliver(seal(facts, batch), { uncertain: random(3) === 0 });
    const fate = random(3);
    if (fate === 0) [sink] = (await db.reopen([facts])) as [Sink]; // As after a kill: nothing in memory survives.
    if (fate === 1) continue;
    await sink.settle();
    const want = model(rows, watermarkOf(rows));
    t.same(await stored(db), want, `round ${round}`);
    snapshots = want.length;
  }
  t.ok(snapshots > 200, "there was something to compare");
  const moment = now - 5 * DAY;
  const [asOf] = await db.rows<{ n: string; events: string }>(`SELECT count() AS n, sum(toUnixTimestamp64Milli(event_time)) AS events FROM facts_as_of(as_of = '${new Date(moment).toISOString().replace("T", " ").replace("Z", "")}')`);
  const known = new Map<string, number>();
  for (const row of rows) if (row.loadTime < moment) known.set(row.value.id, Math.max(known.get(row.value.id) ?? 0, row.value.event_time));
  t.same(asOf, { n: String(known.size), events: String([...known.values()].reduce((sum, each) => sum + each, 0)) });
});

t.test("a row loaded exactly at midnight is known from the next midnight on, and midnight itself counts as passed", async (t) => {
  const db = await lab.open([facts]);
  t.teardown(() => db.close());
  const at = (loadTime: number): Placed<Fact> => ({ ...fact(loadTime), loadTime });
  const rows = [at(START + DAY - 1), at(START + DAY), at(START + 2 * DAY)];
  await db.sink.deliver(seal(facts, rows), { uncertain: false });
  await db.sink.settle();
  t.same(await stored(db), model(rows, START + 2 * DAY));
  t.same(await db.rows("SELECT toUnixTimestamp64Milli(max(as_of)) AS last FROM facts_daily"), [{ last: String(START + 2 * DAY) }]);
});

t.test("another history's load time passes midnights too", async (t) => {
  const db = await lab.open([facts, clock]);
  t.teardown(() => db.close());
  const rows = [fact(START + 5)];
  await db.sink.deliver(seal(facts, rows), { uncertain: false });
  await db.sink.settle();
  t.same(await stored(db), []);
  await db.sinks[1]?.deliver(seal(clock, [fact(START + 3 * DAY + 7)]), { uncertain: false });
  await db.sinks[1]?.settle();
  t.same(await stored(db), model(rows, START + 3 * DAY));
});

t.test("hundreds of midnights are made at once", async (t) => {
  const db = await lab.open([facts]);
  t.teardown(() => db.close());
  const rows = Array.from({ length: 1_000 }, (_, index) => fact(START + index * 0.8 * DAY));
  await db.sink.deliver(seal(facts, rows), { uncertain: false });
  await db.sink.settle();
  t.same(await stored(db), model(rows, watermarkOf(rows)));
  await db.sink.settle();
  t.same(await db.rows("SELECT uniqExact(as_of, id) = count() AS once FROM facts_daily"), [{ once: true }].map(() => ({ once: 1 })));
});

t.test("snapshots that were never written, though the history has the rows, are found at the next start", async (t) => {
  const db = await lab.open([facts]);
  t.teardown(() => db.close());
  const rows = [fact(START + 5), fact(START + 4 * DAY)];
  await db.sink.deliver(seal(facts, rows), { uncertain: false });
  await db.sink.settle();
  const late = [fact(START + DAY + 3)];
  await db.sink.deliver(seal(facts, late), { uncertain: false });
  t.not((await stored(db)).join(), model([...rows, ...late], START + 4 * DAY).join(), "not yet");
  const [again] = await db.reopen([facts]);
  await again?.settle();
  t.same(await stored(db), model([...rows, ...late], START + 4 * DAY));
});
