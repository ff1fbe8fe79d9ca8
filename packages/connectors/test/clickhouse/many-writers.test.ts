/** Many writers on one set of tables, tasks that move between them, and former owners that go on sending: all tables end as an independent model says. */
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { type Placed, type ReadingInput, readings, seal, startLab } from "./fixture.ts";
import { asOfModel, latestModel, stored, windowModel } from "./readings-model.ts";
import { type FleetTask, Writer } from "./writer-fleet.ts";

t.setTimeout(300_000);
const lab = await startLab();
t.teardown(() => lab.stop());

const DAY = 86_400_000;
const START = Date.UTC(2026, 0, 1);
const WRITERS = 4;
const TASKS = 6;
/** The first faults, so that each kind is there whatever the seed; then they come at random. */
const FIRST_FAULTS = ["move", "freeze", "cut", "kill", "move", "freeze", "cut", "thaw", "move", "freeze", "cut"] as const;
const FAULTS = ["cut", "cut", "cut", "cut", "move", "move", "freeze", "freeze", "kill", "thaw"] as const;

const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
t.comment(`SEED=${seed}`);
let state = seed;
const random = (below: number): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 4_294_967_296) * below);
};

/** Rows of one task. All tasks share devices, so they add to the same windows; their load times run at different speeds, so some are days late for the snapshots. */
function makeRows(partition: number, first: number, n: number, dayMs: number): Placed<ReadingInput>[] {
  return Array.from({ length: n }, (_, index) => {
    const offset = first + index;
    const value = { device_id: `device-${random(4)}`, metric: random(3) === 0 ? "humidity" : "temperature", seq: BigInt(partition * 1_000_000 + offset), event_time: START + random(5 * DAY), value: random(1_000) - 300, extra: {} };
    return { value, offset, partition, loadTime: START + Math.floor(offset * dayMs) + random(1_000) };
  });
}

t.test("writers that come, go, stand still and come back leave every table as the model says", async (t) => {
  const database = `many_${process.pid}`;
  const batchesPerTask = Number(process.env["BATCHES"] ?? 10);
  const errors = new Map<string, number>();
  const tasks: FleetTask[] = Array.from({ length: TASKS }, (_, partition) => ({ id: `0_${partition}`, batches: [], acknowledged: 0, epoch: 0 }));
  const rows: Placed<ReadingInput>[] = [];
  const rowCounts = tasks.map(() => 0);
  const zombies: Writer[] = [];
  const counts = { moves: 0, freezes: 0, kills: 0, cuts: 0 };
  let names = 0;
  const start = (): Promise<Writer> => Writer.start(`w${++names}`, lab.server.httpPort, database, readings, errors);
  // All at once: they race for the making of the tables too.
  const writers = await Promise.all(Array.from({ length: WRITERS }, start));
  const pick = (): Writer => writers[random(writers.length)] as Writer;
  const ownerOf = (task: FleetTask): Writer => writers.find((writer) => writer.tasks.includes(task)) as Writer;
  for (const task of tasks) pick().take(task);
  for (const writer of writers) writer.run();

  const replace = async (writer: Writer): Promise<void> => {
    writers.splice(writers.indexOf(writer), 1);
    for (const task of writer.tasks) pick().take(task);
    const next = await start();
    writers.push(next);
    next.run();
  };
  const makeBatch = (partition: number): void => {
    const more = makeRows(partition, rowCounts[partition] as number, 20 + random(60), (12 * DAY) / (900 + partition * 120));
    rowCounts[partition] = (rowCounts[partition] as number) + more.length;
    rows.push(...more);
    const task = tasks[partition] as FleetTask;
    ownerOf(task).seal(task, seal(readings, more));
  };
  const freeze = async (): Promise<void> => {
    counts.freezes++;
    const partition = random(TASKS);
    const writer = ownerOf(tasks[partition] as FleetTask);
    // It stands still with something sealed and not sent, at least.
    makeBatch(partition);
    writer.freeze();
    zombies.push(writer);
    await replace(writer);
  };
  const kill = async (): Promise<void> => {
    counts.kills++;
    const writer = pick();
    const killed = writer.kill();
    await replace(writer);
    await killed;
  };
  let faults = 0;
  const act = async (): Promise<void> => {
    const fault = FIRST_FAULTS[faults++] ?? FAULTS[random(FAULTS.length)];
    if (fault === "cut") {
      pick().proxy.arm({ match: random(3) === 0 ? /query_id=iot-topology/ : /INSERT INTO/, at: random(2) === 0 ? "reply" : 2_000 + random(6_000) });
      counts.cuts++;
    } else if (fault === "move") {
      pick().take(tasks[random(TASKS)] as FleetTask);
      counts.moves++;
    } else if (fault === "freeze") await freeze();
    else if (fault === "kill") await kill();
    // The last one sleeps to the end.
    else zombies[random(Math.max(1, zombies.length - 1))]?.thaw();
  };

  const done = (): number => tasks.reduce((sum, task) => sum + task.acknowledged, 0);
  while (tasks.some((task) => task.batches.length < batchesPerTask)) {
    for (const [partition, task] of tasks.entries()) {
      if (task.batches.length - task.acknowledged > 2 || task.batches.length >= batchesPerTask || random(3) === 0) continue;
      makeBatch(partition);
    }
    // Faults come by progress, not by time: a slow machine has as many as a fast one. A few come while nothing has moved since the last.
    const before = done();
    await act();
    for (let wait = random(5) === 0 ? 0 : 2 + random(3); done() < before + wait && !writers.every((writer) => writer.isIdle); ) await sleep(5);
  }
  while (!writers.every((writer) => writer.isIdle)) await sleep(20);
  t.ok(tasks.every((task) => task.acknowledged === task.batches.length), "all is delivered");
  // The last of the dead wake up when all is done, with batches that were delivered long ago.
  for (const zombie of zombies) zombie.thaw();
  for (const zombie of zombies) await zombie.ended();
  for (const writer of writers) await writer.settle();
  for (const writer of writers) await writer.kill();

  const lost = [...writers, ...zombies].reduce((sum, writer) => sum + writer.proxy.fired, 0);
  t.comment(`${rows.length} rows, ${JSON.stringify(counts)}, ${lost} lost replies and torn requests, errors ${JSON.stringify(Object.fromEntries(errors))}`);
  t.ok(counts.freezes > 2 && counts.kills > 0 && counts.moves > 2, "there were faults");
  t.ok((errors.get("SINK_FENCED") ?? 0) > 0, "and some of the dead tried");
  const db = await lab.open([], {});
  t.teardown(() => db.close());
  const got = await stored(db, database);
  t.same(got.history, [{ n: String(rows.length), places: String(rows.length) }], "every row once");
  t.strictSame(got.windows("readings_1m"), windowModel(rows, 60_000, true), "minutes");
  t.strictSame(got.windows("readings_1h"), windowModel(rows, 3_600_000, true), "hours");
  t.strictSame(got.windows("readings_1d"), windowModel(rows, DAY, false), "days");
  t.strictSame(got.latest, latestModel(rows), "latest values");
  t.strictSame(got.asOf, asOfModel(rows, START), "snapshots");
  t.ok(got.asOf.length > 30, "there were snapshots");
});
