/**
 * kill -9 of the program at every step of the commit (named failpoints) and at random moments, and of the ClickHouse server beneath it: at the end every
 * table, views included, must be what one quiet run gives. `KILLS_SEED` and `KILLS_ROUNDS` replay or lengthen a run.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { checkTables, withClickHouse } from "./check.ts";
import { childrenOf, type CliRun, pause, runCli, startCli } from "./cli.ts";

const seed = Number(process.env["KILLS_SEED"] ?? 4_711);
const rounds = Number(process.env["KILLS_ROUNDS"] ?? 1);
let state = seed;
const random = (below: number): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
};

const STEPS = [
  "ingest.before-append",
  "ingest.after-append",
  "commit.before-seal",
  "commit.before-write",
  "commit.after-write",
  "commit.after-committed",
  "deliver.before-send",
  "clickhouse.after-insert",
  "deliver.after-send",
  "clickhouse.after-verify",
  "deliver.after-acknowledge",
];
const RANDOM_KILLS = 10;
const SERVER_KILLS = 10;
const COMMIT_RECORDS = "200";
/** So many that a commit's rows stand beside the store. */
const BIG_COMMIT_RECORDS = "2000";
const BIG_STEPS = ["commit.after-aside", "deliver.before-send"];
const RECORDS = 75_000;

t.setTimeout(300_000 * rounds);
const root = mkdtempSync(join(tmpdir(), "iot-topology-kills-"));
t.teardown(() => rmSync(root, { recursive: true, force: true }));
t.comment(`seed ${seed}, rounds ${rounds}`);

const startOn = (file: string, data: string, env: Record<string, string> = {}): CliRun =>
  startCli(["start", "iot", "--replay", file, "--until-end", "--data", data, "--port", "0"], { IOT_TOPOLOGY_COMMIT_RECORDS_MAX: COMMIT_RECORDS, ...env });

async function until(condition: () => boolean, run: CliRun): Promise<void> {
  while (!condition() && run.child.exitCode === null && run.child.signalCode === null) await pause(5);
}

const isReady = (run: CliRun) => () => /clickhouseUrl/.test(run.stdout() + run.stderr());

for (let round = 1; round <= rounds; round++) {
  void t.test(`round ${round}: at least 40 kills lose and double nothing`, async (t) => {
    const file = join(root, `fleet-${round}.ndjson`);
    const data = join(root, `data-${round}`);
    const start = (env: Record<string, string> = {}): CliRun => startOn(file, data, env);
    const fleet = ["--count", String(RECORDS), "--seed", String(seed + round), "--duplicates", "0.05", "--late", "0.05", "--malformed", "0.01"];
    const generated = await runCli(["generate", "iot", ...fleet, "--out", file]);
    t.equal(generated.code, 0, generated.stderr);
    let fired = 0;
    for (const step of STEPS) {
      for (const passage of step.startsWith("ingest") ? [1] : [1, 2 + random(8)]) {
        const run = start({ IOT_TOPOLOGY_FAILPOINT: `${step}=${passage}` });
        const { code, signal } = await run.exit;
        t.equal(signal, "SIGKILL", `${step}=${passage} fired (exit ${code}) ${signal === null ? run.stderr().slice(-500) : ""}`);
        t.match(run.stderr(), `failpoint ${step}`);
        fired++;
      }
    }
    for (const step of BIG_STEPS) {
      const run = start({ IOT_TOPOLOGY_FAILPOINT: `${step}=${1 + random(2)}`, IOT_TOPOLOGY_COMMIT_RECORDS_MAX: BIG_COMMIT_RECORDS });
      t.equal((await run.exit).signal, "SIGKILL", `${step} fired in a big commit`);
      fired++;
    }
    const state = join(data, "state", "iot");
    t.ok(readdirSync(state).some((task) => existsSync(join(state, task, "aside.rows"))), "rows were set aside");
    for (let kill = 0; kill < RANDOM_KILLS; kill++) {
      const run = start();
      await until(isReady(run), run);
      await pause(random(400));
      run.child.kill("SIGKILL");
      t.equal((await run.exit).signal, "SIGKILL", "the work was not over yet");
      fired++;
    }
    fired += await killServers(start());
    t.equal((await start().exit).code, 0, "the last run ends well");
    t.ok(fired >= 40, `${fired} kills`);
    t.comment(`${fired} kills fired`);
    await withClickHouse(data, (url) => checkTables(t, url, file, 1, `after ${fired} kills`));
  });
}

/** Kills the ClickHouse server beneath a run again and again, then the run itself. Tells how many kills fired before the work was over. */
async function killServers(run: CliRun): Promise<number> {
  let fired = 0;
  for (let kill = 0; kill < SERVER_KILLS; kill++) {
    await until(isReady(run), run);
    await until(() => childrenOf(run.child.pid ?? 0).length > 0, run);
    await pause(150 + random(350));
    const [server] = childrenOf(run.child.pid ?? 0);
    if (server === undefined || run.child.exitCode !== null) return fired;
    process.kill(server, "SIGKILL");
    fired++;
    // The supervisor starts it again.
    await until(() => childrenOf(run.child.pid ?? 0).some((pid) => pid !== server), run);
  }
  run.child.kill("SIGKILL");
  await run.exit;
  return fired + 1;
}
