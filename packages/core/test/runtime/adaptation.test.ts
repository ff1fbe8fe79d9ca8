/** A state is compared with the topology that opens it, and brought to its shape: once, whatever happens in between. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { armFailpoints, type ClusterLog, disarmFailpoints, type Instance, openInstance, openSavepoint, TopologyError, writeSavepoint } from "@iot-topology/core";
import { collectConnector, memoryCluster } from "@iot-topology/core/testing";
import { KEYS, logOf, plant, records, runPlant, type Version } from "./migrated-plant.ts";

t.setTimeout(120_000);

function folder(t: { teardown(end: () => void): void }): string {
  const dir = mkdtempSync(join(tmpdir(), "iot-topology-adaptation-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

type Total = { readonly n: number | bigint; readonly cents?: bigint };

/** Every key has the count of all rounds, and hundredths that a migration made of the first and the second version of the others. */
function checkTotals(t: { ok(value: unknown, message: string): void; equal(a: unknown, b: unknown, message: string): void }, totals: ReadonlyMap<string, unknown>, n: bigint): void {
  t.equal(totals.size, KEYS, "each key has a total");
  const wrong = [...totals].filter(([, total]) => (total as Total).n !== n || (total as Total).cents !== n * 100n);
  t.equal(wrong.length, 0, `and each is ${n}${wrong[0] === undefined ? "" : `, not ${JSON.stringify(wrong[0], (_, value: unknown) => (typeof value === "bigint" ? String(value) : value))}`}`);
}

t.test("values of an earlier form are made over before the first record is processed", async (t) => {
  const dir = folder(t);
  t.equal((await runPlant("1", dir, 1)).size, KEYS);
  checkTotals(t, await runPlant("2", dir, 2), 2n);
  checkTotals(t, await runPlant("2", dir, 3), 3n);
});

t.test("without a way from what is stored nothing is opened, and nothing is changed", async (t) => {
  const dir = folder(t);
  await runPlant("1", dir, 1);
  await t.rejects(runPlant("2-without", dir, 2), { code: "STATE_MISMATCH", message: /store totals: its values were binary Total.* and are json Total.*cannot be read/ });
  await t.rejects(runPlant("3", dir, 2), { code: "STATE_MISMATCH" });
  t.equal((await runPlant("1", dir, 2)).size, KEYS, "the former version goes on");
});

t.test("a migration that fails at some entry changes nothing, and names it", async (t) => {
  const failing = folder(t);
  await runPlant("1", failing, 2, "empty");
  await t.rejects(runPlant("2-failing", failing, 3, "empty"), { code: "STATE_MISMATCH", message: /the migration of store totals fails at the entry "k\d+": no note/ });
  t.equal((await runPlant("1", failing, 3, "empty")).size, KEYS, "the former version goes on");
});

t.test("a migration that is killed goes on where it was, in each of its steps", async (t) => {
  const child = fileURLToPath(new URL("migrated-plant.ts", import.meta.url));
  const migrate = (dir: string, failpoint: string): string | null =>
    spawnSync(process.execPath, ["--conditions=@iot-topology/source", child, dir, "2"], { env: { ...process.env, FAILPOINT: failpoint }, timeout: 60_000 }).signal;
  for (const failpoints of [["migration.before-commit=1"], ["migration.after-commit=1", "migration.after-commit=1"], ["commit.before-write=2"], ["commit.after-write=2", "migration.before-commit=1"]]) {
    const dir = folder(t);
    await runPlant("1", dir, 1);
    for (const failpoint of failpoints) t.equal(migrate(dir, failpoint), "SIGKILL", `${failpoint} fired`);
    if (failpoints[0] !== "migration.before-commit=1") {
      await t.rejects(runPlant("1", dir, 2), { code: "STATE_MISMATCH", message: /being made over.*start the version that began it/ }, "half made over, it is read by no other version");
    }
    checkTotals(t, await runPlant("2", dir, 2), 2n);
  }
});

t.test("a store that a version had left out lacks what came since, and is not taken up again", async (t) => {
  const dir = folder(t);
  await runPlant("1", dir, 1);
  await runPlant("none", dir, 2);
  await runPlant("none", dir, 3);
  await t.rejects(runPlant("1", dir, 4), { code: "STATE_MISMATCH", message: /store totals: a version in between had left it out/ });
});

t.test("a source of another name has other tasks, and does not leave the stores of the former behind unseen", async (t) => {
  const dir = folder(t);
  await runPlant("1", dir, 1);
  await t.rejects(runPlant("renamed", dir, 2), { code: "STATE_MISMATCH", message: /store totals stands in the state of task events_0, which this topology does not have: it keeps it in orders/ });
  t.equal((await runPlant("1", dir, 2)).size, KEYS, "nothing was changed");
  t.equal((await runPlant("renamed", folder(t), 2)).size, KEYS);
});

async function follow(log: ClusterLog, version: Version, stateDir: string | null): Promise<{ readonly instance: Instance; readonly totals: () => ReadonlyMap<string, unknown> }> {
  const sink = collectConnector();
  const instance = await openInstance(plant(version), { log, connectors: [sink], stateDir, createTopics: true, partitions: 2, sessionTimeoutMs: 1_000 });
  instance.run();
  return { instance, totals: () => new Map(sink.rows("totals").map(({ key, value }) => [String(key), value])) };
}

t.test("on a cluster it is made over in the changelog too, and goes on after a crash on whatever machine the task is opened", async (t) => {
  const cluster = memoryCluster();
  t.teardown(() => cluster.close());
  const feeder = cluster.connect();
  await feeder.createTopics([{ topic: "events", partitions: 2 }]);
  await feeder.append("events", records(1));
  const first = await follow(cluster.connect(), "1", folder(t));
  await first.instance.drain();
  await first.instance.stop();
  await feeder.append("events", records(1));

  let fired = 0;
  armFailpoints("migration.after-commit=1", (name) => {
    fired++;
    throw new TopologyError("TASK_FAILED", `crash at ${name}`);
  });
  const crashed = await follow(cluster.connect(), "2", folder(t));
  await t.rejects(crashed.instance.drain(), /crash at migration\.after-commit/);
  disarmFailpoints();
  await crashed.instance.stop();
  t.equal(fired, 1);

  const second = await follow(cluster.connect(), "2", null);
  await second.instance.drain();
  checkTotals(t, second.totals(), 2n);
  await second.instance.stop();
  await feeder.append("events", records(1));
  const third = await follow(cluster.connect(), "2", folder(t));
  await third.instance.drain();
  checkTotals(t, third.totals(), 3n);
  await third.instance.stop();

  const old = await follow(cluster.connect(), "1", folder(t));
  await t.rejects(old.instance.drain(), { code: "STATE_MISMATCH" }, "the former version cannot read it any more");
  await old.instance.stop();
});

t.test("a savepoint carries what its stores are, so that another version is held against it", async (t) => {
  const [dir, saved] = [folder(t), join(folder(t), "saved")];
  await runPlant("1", dir, 1);
  const log = await logOf(1);
  await writeSavepoint(plant("1"), { log, stateDir: dir, dir: saved });
  for (const [version, outcome] of [["2", undefined], ["3", "STATE_MISMATCH"]] as const) {
    const next = folder(t);
    await openSavepoint(plant(version), { log, stateDir: next, dir: saved });
    if (outcome === undefined) checkTotals(t, await runPlant(version, next, 2), 2n);
    else await t.rejects(runPlant(version, next, 2), { code: outcome });
  }
});
