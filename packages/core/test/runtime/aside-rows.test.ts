/** Rows of big batches stand in a file beside the store: through crashes at each step, with slow sinks, with damage, into a savepoint. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { armFailpoints, c, count, defineTopology, disarmFailpoints, type Instance, openInstance, openSavepoint, record, topic, TopologyError, verifyState, writeSavepoint } from "@iot-topology/core";
import { collect, type CollectConnector, collectConnector, memoryLog } from "@iot-topology/core/testing";

const Note = record("Note", { id: c.string(), text: c.string() });
const notes = defineTopology("notes", (b) => {
  const unique = b.source("notes").cast(Note).dedup("seen", { by: ["id"] });
  unique.sink(collect("notes"));
  unique.groupBy("id").aggregate("counts", { n: count() }).sink(collect("counts"));
});
/** The same rows to a topic of the log too: state that is damaged cannot be made again without doubling them. */
const copied = defineTopology("notes", (b) => {
  const unique = b.source("notes").cast(Note).dedup("seen", { by: ["id"] });
  unique.sink(collect("notes"));
  unique.sink(topic("copies", Note));
});

type Log = ReturnType<typeof memoryLog>;

function folder(t: { teardown(end: () => void): void }): string {
  const dir = mkdtempSync(join(tmpdir(), "iot-topology-aside-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const asideOf = (dir: string): string => join(dir, "notes", "notes_0", "aside.rows");

/** Notes of about 1 kB, each twice; 100 of them are more than the file's least. */
function append(log: Log, from: number, to: number): Promise<unknown> {
  const records = Array.from({ length: (to - from) * 2 }, (_, n) => {
    const id = from + (n >> 1);
    return { key: null, value: JSON.stringify({ id: `n${id}`, text: String.fromCodePoint(97 + (id % 26)).repeat(900 + (id % 200)) }), timestamp: id };
  });
  return log.append("notes", records);
}

const open = (log: Log, sink: CollectConnector, stateDir: string, more: object = {}, topology = notes): Promise<Instance> =>
  openInstance(topology, { log, connectors: [sink], stateDir, commitRecordsMax: 250, commitIntervalMs: 60_000, ...more });

function check(t: { same(a: unknown, b: unknown, name: string): unknown }, sink: CollectConnector, upTo: number, name: string): void {
  const ids = sink.values("notes").map((value) => (value as { id: string }).id);
  t.same(ids.toSorted(), Array.from({ length: upTo }, (_, id) => `n${id}`).toSorted(), `${name}: each note once`);
}

t.test("a crash at each step of a commit and of a delivery loses and doubles nothing", async (t) => {
  t.teardown(disarmFailpoints);
  for (const step of ["commit.before-write", "commit.after-aside", "commit.after-write", "commit.after-committed", "deliver.before-send", "deliver.after-send", "deliver.after-acknowledge"]) {
    const [dir, log, sink] = [folder(t), memoryLog(), collectConnector()];
    await (await open(log, sink, dir)).stop();
    await append(log, 0, 3_000);
    for (const passage of [1, 3, 4]) {
      armFailpoints(`${step}=${passage}`, (name) => {
        throw new TopologyError("TASK_FAILED", `crash at ${name}`);
      });
      const instance = await open(log, sink, dir);
      instance.run();
      await t.rejects(instance.drain(), { message: /crash at/ }, `${step}=${passage}`);
      disarmFailpoints();
      await instance.stop();
    }
    const last = await open(log, sink, dir);
    last.run();
    await last.drain();
    await last.stop();
    check(t, sink, 3_000, step);
    t.ok(existsSync(asideOf(dir)), "rows were set aside");
  }
});

t.test("places are used again: the file does not grow with what has gone through it", async (t) => {
  const [dir, log, sink] = [folder(t), memoryLog(), collectConnector()];
  const instance = await open(log, sink, dir, { outboxBatchesMax: 2 });
  await append(log, 0, 8_000);
  instance.run();
  await instance.drain();
  await instance.stop();
  check(t, sink, 8_000, "64 commits");
  const { size } = statSync(asideOf(dir));
  t.ok(size > 65_536 && size < 1_500_000, `8 MB of rows went through ${size} bytes`);
});

/** Leaves batches that no sink has taken. */
async function withWaiting(log: Log, dir: string, topology = notes): Promise<void> {
  const refusing = collectConnector({
    before: () => {
      throw new TopologyError("SINK_FAILED", "no such table");
    },
  });
  const instance = await open(log, refusing, dir, {}, topology);
  instance.run();
  await t.rejects(instance.drain(), { code: "SINK_FAILED" });
  await instance.stop();
}

t.test("damage to rows that wait is found: state is made again where it can be, and refused where it would double rows", async (t) => {
  const flip = (path: string) => {
    const bytes = readFileSync(path);
    bytes[20_000] = (bytes[20_000] as number) ^ 4;
    writeFileSync(path, bytes);
  };
  for (const [name, damage] of Object.entries({ "a flipped bit": flip, "a cut": (path: string) => truncateSync(path, 1_000), "no file": (path: string) => rmSync(path) })) {
    for (const topology of [notes, copied]) {
      const [dir, log, sink] = [folder(t), memoryLog(), collectConnector()];
      await log.ensureTopic("notes", { partitions: 1 });
      await append(log, 0, 300);
      await withWaiting(log, dir, topology);
      const task = join(dir, "notes", "notes_0");
      await t.resolves(verifyState(task), "it is sound");
      damage(asideOf(dir));
      await t.rejects(verifyState(task), { code: "STATE_CORRUPT", place: new RegExp(`${task}, outbox, bytes 0 to `) }, name);
      if (topology === copied) {
        await t.rejects(open(log, sink, dir, {}, topology), { code: "STATE_CORRUPT", message: /rows beside the store/ }, name);
        continue;
      }
      const instance = await open(log, sink, dir, {}, topology);
      instance.run();
      await instance.drain();
      await instance.stop();
      check(t, sink, 300, name);
      t.ok(readdirSync(join(dir, "notes")).includes("notes_0.damaged-1"), "the damaged state is kept");
    }
  }
});

t.test("a savepoint holds the rows that wait, and needs no file beside its own", async (t) => {
  const [root, log, sink] = [folder(t), memoryLog(), collectConnector()];
  await log.ensureTopic("notes", { partitions: 1 });
  await append(log, 0, 300);
  await withWaiting(log, join(root, "a"));
  await writeSavepoint(notes, { log, stateDir: join(root, "a"), dir: join(root, "friday") });
  rmSync(join(root, "a"), { recursive: true });
  await openSavepoint(notes, { log, stateDir: join(root, "b"), dir: join(root, "friday") });
  await append(log, 300, 600);
  const instance = await open(log, sink, join(root, "b"));
  instance.run();
  await instance.drain();
  await instance.stop();
  check(t, sink, 600, "behind the savepoint");
});
