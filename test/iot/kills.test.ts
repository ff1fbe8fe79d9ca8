/**
 * kill -9 of the program at every step of the commit (named failpoints) and at random moments, and of the ClickHouse server beneath it: at the end every
 * table, views included, must be what one quiet run gives. `KILLS_SEED` and `KILLS_ROUNDS` replay or lengthen a run.
 */
import { mkdtempSync, rmSync } from "node:fs";
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
const RANDOM_KILLS = 14;
const SERVER_KILLS = 10;
const COMMIT_RECORDS = "200";

t.setTimeout(300_000 * rounds);
const root = mkdtempSync(join(tmpdir(), "iot-topology-kills-"));
t.teardown(() => rmSync(root, { recursive: true, force: true }));
t.comment(`seed ${seed}, rounds ${rounds}`);

const file = join(root, "fleet.ndjson");
const data = join(root, "data");
const args = ["start", "iot", "--replay", file, "--until-end", "--data", data, "--port", "0"];
const start = (env: Record<string, string> = {}): CliRun => startCli(args, { IOT_TOPOLOGY_COMMIT_RECORDS_MAX: COMMIT_RECORDS, ...env });

async function until(condition: () => boolean, run: CliRun): Promise<void> {
  while (!condition() && run.child.exitCode === null && run.child.signalCode === null) await pause(5);
}

const isReady = (run: CliRun) => () => /clickhouseUrl/.test(run.stdout() + run.stderr());

t.test("at least 40 kills lose and double nothing", async (t) => {
  const generated = await runCli(["generate", "iot", "--count", String(60_000 * rounds), "--seed", String(seed), "--duplicates", "0.05", "--late", "0.05", "--malformed", "0.01", "--out", file]);
  t.equal(generated.code, 0, generated.stderr);
  let fired = 0;
  for (let round = 0; round < rounds; round++) {
    for (const step of STEPS) {
      for (const passage of step.startsWith("ingest") ? [1] : [1, 2 + random(8)]) {
        const run = start({ IOT_TOPOLOGY_FAILPOINT: `${step}=${passage}` });
        const { code, signal } = await run.exit;
        // Ingestion may be over by the time of its second failpoint; every other fault must have come before the work was done.
        if (step.startsWith("ingest") && code === 0) continue;
        t.equal(signal, "SIGKILL", `${step}=${passage} fired (exit ${code}) ${signal === null ? run.stderr().slice(-500) : ""}`);
        t.match(run.stderr(), `failpoint ${step}`);
        fired++;
      }
    }
    for (let kill = 0; kill < RANDOM_KILLS; kill++) {
      const run = start();
      await until(isReady(run), run);
      await pause(random(600));
      run.child.kill("SIGKILL");
      const { signal } = await run.exit;
      t.equal(signal, "SIGKILL", "the work was not over yet");
      fired++;
    }
    const run = start();
    for (let kill = 0; kill < SERVER_KILLS; kill++) {
      await until(isReady(run), run);
      await until(() => childrenOf(run.child.pid ?? 0).length > 0, run);
      await pause(150 + random(500));
      const [server] = childrenOf(run.child.pid ?? 0);
      if (server === undefined || run.child.exitCode !== null) break;
      process.kill(server, "SIGKILL");
      fired++;
      // The supervisor starts it again.
      await until(() => childrenOf(run.child.pid ?? 0).some((pid) => pid !== server), run);
    }
    run.child.kill("SIGKILL");
    await run.exit;
    fired++;
  }
  const last = await start().exit;
  t.equal(last.code, 0, "the last run ends well");
  t.ok(fired >= 40 * rounds, `${fired} kills`);
  t.comment(`${fired} kills fired`);
  await withClickHouse(data, (url) => checkTables(t, url, file, 1, `after ${fired} kills`));
});
