import { mkdtempSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import type { InstanceStatus } from "@iot-topology/core";
import { jsonLines, type Running, runCli, startCli } from "./run-cli.ts";

// Processes are started and killed, on a machine that may do other work: a bound, not an expectation.
t.setTimeout(180_000);
const cwd = realpathSync(mkdtempSync(join(tmpdir(), "iot-topology-start-")));
const running = new Set<Running>();
t.teardown(async () => {
  for (const cli of running) cli.kill("SIGKILL");
  await Promise.all([...running].map((cli) => cli.ended));
  rmSync(cwd, { recursive: true, force: true, maxRetries: 20, retryDelay: 250 });
});

const FLEET = { IOT_TOPOLOGY_GENERATOR_RATE: "1500", IOT_TOPOLOGY_GENERATOR_DEVICES: "10", IOT_TOPOLOGY_GENERATOR_MALFORMED: "0.05" };
const cli = (...args: string[]) => runCli(args, { cwd });
const start = (...args: string[]): Running => {
  const started = startCli(["start", ...args], { cwd, env: FLEET });
  running.add(started);
  void started.ended.then(() => running.delete(started));
  return started;
};
const sql = async (query: string): Promise<Record<string, unknown>> => {
  const ran = await cli("sql", query, "--json");
  if (ran.code !== 0) throw new Error(ran.stderr);
  return jsonLines(ran.stdout)[0] ?? {};
};
type Status = InstanceStatus & { readonly clickhouse: { readonly restarts: number } };
const statusOf = async (url: unknown): Promise<Status> => (await (await fetch(`${String(url)}/status`)).json()) as Status;
const until = async (url: unknown, holds: (status: Status) => boolean): Promise<Status> => {
  for (;;) {
    const status = await statusOf(url);
    if (holds(status)) return status;
    await sleep(20);
  }
};
const record = (): Record<string, unknown> => JSON.parse(readFileSync(join(cwd, ".iot-topology", "instance.json"), "utf8")) as Record<string, unknown>;

/** Every table must say the same, and no reading may be missing between the first and the last of its series. */
const EXACT = `
  SELECT (SELECT count() FROM readings) AS readings, (SELECT uniqExact(device_id, metric, seq) FROM readings) AS identities,
         (SELECT sum(c) FROM (SELECT max(seq) + 1 AS c FROM readings GROUP BY device_id, metric)) AS up_to_the_last,
         (SELECT sum(n) FROM readings_1m) AS in_minutes, (SELECT sum(n) FROM readings_1h) AS in_hours, (SELECT sum(n) FROM windows_1h) AS in_windows,
         (SELECT count() FROM entities) AS entities, (SELECT count() FROM dead_letters) AS dead
  SETTINGS output_format_json_quote_64bit_integers = 0`;

t.test("a fleet is loaded exactly once, though ClickHouse and the program are killed", async (t) => {
  const first = start();
  const ready = await first.line("ready");
  t.match(ready, { topology: "iot", clickhouseUrl: /^http:\/\/127\.0\.0\.1:\d+$/, playUrl: /\/play$/, command: /^npx iot-topology sql "SELECT \* FROM iot\.readings_latest/ });
  t.equal(statSync(join(cwd, ".iot-topology", "instance.json")).mode & 0o777, 0o600, "the token is for this user only");
  t.match((await fetch(`${String(ready["clickhouseUrl"])}/play`)).status, 200);
  await until(ready["statusUrl"], ({ counters }) => counters.read > 1_500);

  await t.test("other commands attach to it", async (t) => {
    const [asked, shown, second, reset, listed, tables] = await Promise.all([
      sql("SELECT count() > 0 AS many FROM iot.readings"),
      cli("status", "--json"),
      cli("start"),
      cli("reset", "--yes"),
      cli("dlq", "list"),
      cli("status"),
    ]);
    t.match(asked, { many: 1 });
    t.match(JSON.parse(shown.stdout), { state: "running", topology: "iot", pid: first.pid });
    t.match(tables.stdout, /^sink readings +\d+ batches wait/m);
    t.match([second.code, second.stderr], [1, `error FOLDER_IN_USE: the topology iot runs in this folder already (process ${first.pid}`]);
    t.match([reset.code, reset.stderr], [1, `FOLDER_IN_USE: the topology iot runs in this folder (process ${first.pid})`]);
    t.match(listed.stdout, /^code +step +records/);
    t.match(listed.stdout, /^CAST_FAILED +cast-Reading +\d+/m);
    const before = (await statusOf(ready["statusUrl"])).counters.deadLetters["CAST_FAILED"] ?? 0;
    const replayed = await cli("dlq", "replay", "--code", "CAST_FAILED", "--limit", "3", "--yes", "--json");
    t.match([replayed.code, replayed.stdout], [0, '{"replayed":3}\n'], replayed.stderr);
    await until(ready["statusUrl"], ({ counters }) => (counters.deadLetters["CAST_FAILED"] ?? 0) >= before + 3);
    const shows = await cli("dlq", "show", "--code", "CAST_FAILED", "--limit", "2", "--json");
    t.match(jsonLines(shows.stdout), [{ topic: "iot.readings", value_base64: String }, { topic: "iot.readings" }]);
  });

  await t.test("its ClickHouse is killed and comes back", async (t) => {
    const log = await first.line("embedded ClickHouse started");
    const { read } = (await statusOf(ready["statusUrl"])).counters;
    process.kill(Number(log["pid"]), "SIGKILL");
    const after = await until(ready["statusUrl"], ({ clickhouse, counters, outbox }) => clickhouse.restarts === 1 && counters.read > read + 1_500 && outbox.every((lane) => lane.lastError === null));
    t.equal(after.state, "running");
  });

  first.kill("SIGKILL");
  t.equal((await first.ended).signal, "SIGKILL");
  t.equal(record()["pid"], first.pid, "the mark of the killed instance stays");
  t.match(await cli("status"), { code: 1, stderr: /NOT_RUNNING: nothing runs in this data folder; iot did last/ });

  const second = start();
  const again = await second.line("ready");
  await until(again["statusUrl"], ({ counters }) => counters.read > 3_000);
  second.kill("SIGTERM");
  t.match(await second.ended, { code: 0, signal: null });

  const third = await start("--until-end").ended;
  t.equal(third.code, 0, third.stdout + third.stderr);
  const summary = jsonLines(third.stdout).find((line) => line["msg"] === "summary") ?? {};
  const rows = summary["rows"] as Record<string, number>;
  t.match(summary, { balanced: true });
  const counts = await sql(EXACT);
  t.strictSame(counts, {
    readings: rows["readings"],
    identities: rows["readings"],
    up_to_the_last: rows["readings"],
    in_minutes: rows["readings"],
    in_hours: rows["readings"],
    in_windows: rows["readings"],
    entities: rows["entities"],
    dead: summary["deadLetters"],
  });
  t.ok(Number(rows["readings"]) > 3_000 && Number(summary["deadLetters"]) > 100);

  await t.test("dead letters are replayed into a folder that does not run, and reset makes it anew", async (t) => {
    const replayed = await cli("dlq", "replay", "--limit", "50", "--yes");
    t.match([replayed.code, replayed.stdout], [0, /^50 records appended; the next start processes them/], replayed.stderr);
    const reset = await cli("reset", "--yes");
    t.match([reset.code, reset.stdout], [0, /the input stays/], reset.stderr);
    t.match(await sql("SELECT count() AS n FROM system.tables WHERE database = 'iot'"), { n: "0" });
    const anew = await start("--until-end").ended;
    const { read, written, deadLetters } = jsonLines(anew.stdout).find((line) => line["msg"] === "summary") ?? {};
    t.match([anew.code, read, written, deadLetters], [0, Number(summary["read"]) + 50, summary["written"], Number(summary["deadLetters"]) + 50]);
    t.match(await sql(EXACT), { readings: rows["readings"], in_hours: rows["readings"], in_windows: rows["readings"], dead: deadLetters });
    t.match(await cli("doctor"), { code: 0, stdout: /every file of 2 tasks is sound/ });
  });
});

t.test("ports and folders in use, and servers that are not there, are named", async (t) => {
  const taken = await import("node:net").then(({ createServer }) => new Promise<import("node:net").Server>((resolve) => { const server = createServer().listen(0, "127.0.0.1", () => resolve(server)); }));
  t.teardown(() => taken.close());
  const address = taken.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  writeFileSync(join(cwd, "a-file"), "");
  const [byPort, byFile, byUrl] = await Promise.all([
    cli("start", "--port", String(port), "--data", "other"),
    cli("start", "--data", "a-file/inside"),
    cli("start", "--clickhouse", "http://127.0.0.1:1", "--data", "third"),
  ]);
  t.match(byPort, { code: 1, stderr: /error PORT_IN_USE: port \d+ cannot be listened on[^]*cure: choose another --port/ });
  t.match(byFile, { code: 1, stderr: /error [A-Z_]+: [^]*a-file[^]*cure: / });
  t.match(byUrl, { code: 1, stderr: /error CLICKHOUSE_UNREACHABLE: [^]*127\.0\.0\.1:1[^]*cure: / });
});
