/** `start --threads`: exactly once over kills in the threads' commits and in the delivery, whatever the number of threads of the next start. */
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { jsonLines, type Running, runCli, startCli } from "./run-cli.ts";

// Processes are started and killed, on a machine that may do other work: a bound, not an expectation.
t.setTimeout(180_000);
const cwd = realpathSync(mkdtempSync(join(tmpdir(), "iot-topology-threads-")));
const running = new Set<Running>();
t.teardown(async () => {
  for (const cli of running) cli.kill("SIGKILL");
  await Promise.all([...running].map((cli) => cli.ended));
  rmSync(cwd, { recursive: true, force: true, maxRetries: 20, retryDelay: 250 });
});

const FLEET = { IOT_TOPOLOGY_GENERATOR_RATE: "1500", IOT_TOPOLOGY_GENERATOR_DEVICES: "40", IOT_TOPOLOGY_GENERATOR_MALFORMED: "0.02" };
const start = (args: readonly string[], failpoint?: string): Running => {
  const started = startCli(["start", "--partitions", "4", ...args], { cwd, env: { ...FLEET, ...(failpoint === undefined ? {} : { IOT_TOPOLOGY_FAILPOINT: failpoint }) } });
  running.add(started);
  void started.ended.then(() => running.delete(started));
  return started;
};

t.test("a fleet is loaded exactly once by threads that are killed", async (t) => {
  for (const [threads, failpoint] of [["3", "commit.before-write=9"], ["2", "commit.after-write=12"], ["4", "deliver.after-send=15"]] as const) {
    const killed = start(["--threads", threads], failpoint);
    t.equal((await killed.ended).signal, "SIGKILL", `${failpoint} with ${threads} threads`);
  }
  const last = await start(["--threads", "2", "--until-end"]).ended;
  t.equal(last.code, 0, last.stdout + last.stderr);
  const summary = jsonLines(last.stdout).find((line) => line["msg"] === "summary") ?? {};
  t.match(summary, { balanced: true });
  const rows = summary["rows"] as Record<string, number>;
  const ran = await runCli(
    ["sql", "SELECT (SELECT count() FROM readings) AS readings, (SELECT uniqExact(device_id, metric, seq) FROM readings) AS identities, (SELECT sum(c) FROM (SELECT max(seq) + 1 AS c FROM readings GROUP BY device_id, metric)) AS up_to_the_last, (SELECT sum(n) FROM windows_1h) AS in_windows, (SELECT count() FROM dead_letters) AS dead SETTINGS output_format_json_quote_64bit_integers = 0", "--json"],
    { cwd },
  );
  t.strictSame(jsonLines(ran.stdout)[0], { readings: rows["readings"], identities: rows["readings"], up_to_the_last: rows["readings"], in_windows: rows["readings"], dead: summary["deadLetters"] });
  t.ok(Number(rows["readings"]) > 1_000, `${rows["readings"]} readings`);
});

t.test("threads on Kafka and half threads are refused", async (t) => {
  const kafka = await runCli(["start", "--threads", "2", "--kafka", "127.0.0.1:1"], { cwd });
  t.not(kafka.code, 0);
  t.match(kafka.stderr, /CONFIG_INVALID: threads are for the embedded log/);
  const half = await runCli(["start", "--threads", "1.5"], { cwd });
  t.not(half.code, 0);
  t.match(half.stderr, /CONFIG_INVALID: .*whole number from 1 to 64/);
});
