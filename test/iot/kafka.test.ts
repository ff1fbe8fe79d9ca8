/**
 * The IoT system on a real broker, in two processes that share the tasks: one joins late, one is killed, one is stopped in mid-work, and the tables in one ClickHouse server must be
 * what one quiet run gives. `KAFKA_IOT_SEED` replays a run.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { kafkaBrokers } from "../kafka/kafka-brokers.ts";
import { checkTables } from "./check.ts";
import { type CliRun, pause, runCli, startCli } from "./cli.ts";
import { modelOf } from "./model.ts";
import { differences, expectedRows, iotQueries, select } from "./tables.ts";

const seed = Number(process.env["KAFKA_IOT_SEED"] ?? 20_261);
const RECORDS = 60_000;

t.setTimeout(240_000);
const root = mkdtempSync(join(tmpdir(), "iot-topology-kafka-"));
const running = new Set<CliRun>();
t.teardown(async () => {
  // What still runs at the end should not: its last words say why.
  for (const run of running) {
    process.stderr.write(`still running: ${run.child.spawnargs.slice(2).join(" ")}\n${run.stdout().split("\n").slice(-8).join("\n")}${run.stderr()}\n`);
    run.child.kill("SIGKILL");
  }
  await Promise.all([...running].map((run) => run.exit));
  rmSync(root, { recursive: true, force: true, maxRetries: 20, retryDelay: 250 });
});

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): CliRun {
  const run = startCli(args, env);
  running.add(run);
  void run.exit.then(() => running.delete(run));
  return run;
}

/** The first JSON line with the message; throws where the process ends before it. */
async function line(run: CliRun, msg: string): Promise<Record<string, unknown>> {
  for (;;) {
    const found = run.stdout().split("\n").slice(0, -1).find((text) => text.includes(`"msg":"${msg}"`));
    if (found !== undefined) return JSON.parse(found) as Record<string, unknown>;
    if (run.child.exitCode !== null || run.child.signalCode !== null) throw new Error(`ended before ${msg}: ${run.stdout()}${run.stderr()}`);
    await pause(10);
  }
}

interface Status {
  readonly tasks: readonly { readonly id: string; readonly commitNumber: number; readonly inputs: readonly { readonly lag: number }[] }[];
  readonly counters: { readonly read: number };
  readonly cluster: { readonly rebalances: number };
}

/** Waits until the instance's status holds something. */
async function until(run: CliRun, holds: (status: Status) => boolean): Promise<Status> {
  const { statusUrl } = (await line(run, "ready")) as { statusUrl: string };
  for (;;) {
    const status = (await (await fetch(`${statusUrl}/status`)).json()) as Status;
    if (holds(status)) return status;
    await pause(10);
  }
}

const lagOf = ({ tasks }: Status): number => tasks.reduce((sum, { inputs }) => sum + inputs.reduce((all, { lag }) => all + lag, 0), 0);
const moved = (records: number) => ({ tasks, counters: { read } }: Status): boolean => tasks.length > 0 && read >= records;

async function startClickHouse(data: string): Promise<{ readonly run: CliRun; readonly url: string }> {
  const run = start(["clickhouse", "--data", data, "--port", "0"]);
  const { clickhouseUrl } = (await line(run, "ready")) as { clickhouseUrl: string };
  return { run, url: clickhouseUrl };
}

async function stop(run: CliRun): Promise<void> {
  run.child.kill("SIGTERM");
  await run.exit;
}

t.test("two processes share a generated fleet's file; one joins late, one is killed, one is stopped, and every table is the model's", async (t) => {
  t.comment(`seed ${seed}`);
  const kafka = await kafkaBrokers(t, { own: true });
  if (kafka === undefined) return;
  const file = join(root, "fleet.ndjson");
  const generated = await runCli(["generate", "iot", "--count", String(RECORDS), "--seed", String(seed), "--duplicates", "0.06", "--late", "0.05", "--malformed", "0.02", "--out", file]);
  t.equal(generated.code, 0, generated.stderr);
  const clickhouse = await startClickHouse(join(root, "clickhouse"));
  const env = { IOT_TOPOLOGY_COMMIT_RECORDS_MAX: "1000", IOT_TOPOLOGY_KAFKA_SESSION_TIMEOUT_MS: "45000" };
  const instance = (name: string, client: string, ...more: string[]) =>
    start(["start", "iot", "--kafka", kafka.brokers.join(","), "--clickhouse", clickhouse.url, "--data", join(root, name), "--port", "0", ...more], { ...env, IOT_TOPOLOGY_KAFKA_CLIENT: client });

  const first = instance("a", "platformatic", "--create-topics");
  await until(first, ({ tasks }) => tasks.length === 5);
  // The reader of the file is killed too: what it appended stands, and another goes on behind it.
  const feed = ["replay", file, "--kafka", kafka.brokers.join(",")];
  const reader = startCli(feed, { IOT_TOPOLOGY_FAILPOINT: "ingest.after-append=1" });
  t.equal((await reader.exit).signal, "SIGKILL", "the reader was killed behind an append");
  await until(first, ({ tasks }) => tasks.every(({ commitNumber }) => commitNumber > 0));
  const late = instance("b", "kafkajs");
  await until(late, ({ tasks }) => tasks.length >= 2);
  // Both stand still while the rest comes, so that there is work to be interrupted however fast they are.
  for (const run of [first, late]) run.child.kill("SIGSTOP");
  const rest = await runCli([...feed, "--json"]);
  for (const run of [first, late]) run.child.kill("SIGCONT");
  t.equal(rest.code, 0, rest.stderr);
  t.equal((JSON.parse(rest.stdout) as { status: string }).status, "continued");
  const shared = await until(late, (status) => lagOf(status) > 0);
  t.ok(shared.tasks.length >= 2, `the late one has ${shared.tasks.length} tasks and ${lagOf(shared)} records to do`);
  const before = await until(first, ({ cluster }) => cluster.rebalances >= 2);
  t.ok(lagOf(before) > 0, `the first is killed with ${lagOf(before)} records to do`);
  first.child.kill("SIGKILL");
  t.equal((await first.exit).signal, "SIGKILL");

  const again = instance("a", "platformatic", "--until-end");
  const left = await until(late, moved(shared.counters.read + 1_000));
  t.ok(lagOf(left) > 0, `the late one is stopped with ${lagOf(left)} records to do`);
  late.child.kill("SIGTERM");
  t.equal((await late.exit).code, 0, late.stderr());
  t.equal((await again.exit).code, 0, again.stdout() + again.stderr());
  await checkTables(t, clickhouse.url, file, 1, "after a late one, a kill and a stop");

  const offsets = JSON.parse((await runCli(["offsets", "get", "--data", join(root, "a"), "--json"])).stdout) as { partitions: { committed: number | null; end: number; lag: number }[] };
  t.equal(offsets.partitions.length, 5, "four partitions of readings and one of entities");
  t.same(offsets.partitions.map(({ committed, end }) => committed === end), Array.from({ length: 5 }, () => true), "the group has committed all");
  if (kafka.apache !== undefined) {
    const rows = await kafka.apache.describeGroup("iot");
    t.same(rows.map(({ lag }) => lag), rows.map(() => 0), "Apache's own tool says so too");
  }
  await stop(clickhouse.run);
});

const shared = fileURLToPath(new URL("../../../shared/data/iot", import.meta.url));
const skip = existsSync(shared) ? false : "SKIPPED: the replay file of real sensor series is not beside this checkout";
t.test("the replay of real sensor series in two processes equals the expected files, and a second run changes nothing", { skip }, async (t) => {
  const kafka = await kafkaBrokers(t, { own: true });
  if (kafka === undefined) return;
  const file = join(shared, "replay.ndjson");
  const clickhouse = await startClickHouse(join(root, "series-clickhouse"));
  const instance = (name: string) =>
    start(["start", "iot", "--kafka", kafka.brokers.join(","), "--create-topics", "--clickhouse", clickhouse.url, "--data", join(root, `series-${name}`), "--port", "0", "--replay", file, "--until-end"]);
  for (const attempt of ["first run", "second run"]) {
    // Both name the file: they take turns in reading it.
    const ended = await Promise.all(["a", "b"].map(async (name) => {
      const run = instance(name);
      return { ...(await run.exit), said: run.stdout() + run.stderr() };
    }));
    for (const { code, said } of ended) t.equal(code, 0, code === 0 ? attempt : said);
    await checkTables(t, clickhouse.url, file, 1, attempt);
    await equalsExpected(t, clickhouse.url, attempt);
  }
  t.same(await select(clickhouse.url, "SELECT count() FROM iot.dead_letters"), [[modelOf(file).malformed]]);
  await stop(clickhouse.run);
});

/** The files' as-of days reach from the first to the newest reading's load. */
async function equalsExpected(t: { same(actual: unknown, expected: unknown, name: string): unknown }, url: string, label: string): Promise<void> {
  const [[first, newest] = []] = await select(url, "SELECT toUnixTimestamp64Milli(min(load_time)), toUnixTimestamp64Milli(max(load_time)) FROM iot.readings");
  for (const [table, query] of Object.entries(iotQueries)) {
    const csv = table === "windows_1h" ? "readings_1h" : table;
    if (!existsSync(join(shared, "expected", `${csv}.csv`))) continue;
    const rows = await select(url, query);
    const covered = table.endsWith("_as_of_daily") ? rows.filter(([day]) => Number(day) > Number(first) && Number(day) <= Number(newest)) : rows;
    t.same(differences(covered, expectedRows(join(shared, "expected"), csv)), [], `${label}: ${table} equals ${csv}.csv`);
  }
}
