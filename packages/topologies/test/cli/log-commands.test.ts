import { cpSync, existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { jsonLines, type Running, runCli, startCli } from "./run-cli.ts";

// Processes and a ClickHouse server are started, on a machine that may do other work: a bound, not an expectation.
t.setTimeout(180_000);
const cwd = realpathSync(mkdtempSync(join(tmpdir(), "iot-topology-log-commands-")));
let running: Running | undefined;
t.teardown(async () => {
  running?.kill("SIGKILL");
  await running?.ended;
  rmSync(cwd, { recursive: true, force: true, maxRetries: 20, retryDelay: 250 });
});
const cli = (...args: string[]) => runCli(args, { cwd });
const reading = (seq: number) => JSON.stringify({ deviceId: "d1", metric: "t", seq, ts: `2026-01-01T00:00:${String(seq % 60).padStart(2, "0")}Z`, value: seq, unit: "C" });
const replayFile = (name: string, from: number, to: number): string => {
  const lines = Array.from({ length: to - from }, (_, i) => JSON.stringify({ topic: "iot.readings", key: "d1", ts: Date.UTC(2026, 0, 2), payload: reading(from + i) }));
  writeFileSync(join(cwd, name), `${lines.join("\n")}\n`);
  return name;
};
const until = async <T>(look: () => Promise<T>, holds: (found: T) => boolean): Promise<T> => {
  for (;;) {
    const found = await look();
    if (holds(found)) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};

t.test("commands that need Kafka, or a topology that stands still, say so", async (t) => {
  for (const [title, args, code, said] of [
    ["topics without brokers", ["topics", "check"], 2, ["error USAGE: this needs Kafka, and no brokers are named", "add --kafka"]],
    ["brokers that are none", ["topics", "check", "--kafka", "localhost"], 2, ["CONFIG_INVALID", 'flag is "localhost", but must be addresses HOST:PORT']],
    ["a password over the network", ["status", "--kafka", "k.example:9092"], 2, ["CONFIG_INVALID", "the password would go over the network as it is (k.example:9092)"]],
    ["a place that is none", ["offsets", "reset", "--to", "yesterday"], 2, ["on the embedded log the offsets of iot are part of its state"]],
    ["offsets that cannot be read", ["offsets", "set", "iot.readings=5"], 2, ["on the embedded log the offsets of iot are part of its state", "iot-topology reset"]],
    ["a replay that is missing", ["replay", "nowhere"], 1, ["FILE_NOT_FOUND"]],
    ["a key for a file that has its own", ["replay", replayFile("a.ndjson", 0, 3), "--key", "x"], 2, ["--key and --time belong to a file with --topic"]],
    ["a key for records that name theirs", ["produce", "x", "--format", "json", "--key", "k"], 2, ["--key belongs to --format lines"]],
    ["a savepoint of nothing", ["savepoint", "friday"], 1, ["SAVEPOINT_REFUSED", "the topology has no state here"]],
  ] as const) {
    const env = title.includes("password") ? { IOT_KAFKA_SASL_MECHANISM: "plain", IOT_KAFKA_SASL_USERNAME: "u", IOT_KAFKA_SASL_PASSWORD: "hunter2" } : undefined;
    const ran = await runCli([...args, "--data", "empty"], { cwd, ...(env === undefined ? {} : { env }) });
    t.equal(ran.code, code, `${title}: ${ran.stderr}`);
    for (const text of said) t.match(ran.stderr, text, title);
    t.notMatch(ran.stdout + ran.stderr, "hunter2");
  }
  t.notOk(existsSync(join(cwd, "empty")), "and make nothing");
});

t.test("records come into a running instance, and into a folder in which nothing runs; a savepoint goes on in another folder", async (t) => {
  running = startCli(["start", "iot", "--no-generate", "--data", "one"], { cwd });
  const { statusUrl } = (await running.line("ready")) as { statusUrl: string };
  const read = async () => ((await (await fetch(`${statusUrl}/status`)).json()) as { counters: { read: number; written: Record<string, number> } }).counters;
  t.match(await cli("replay", replayFile("a.ndjson", 0, 50), "--data", "one"), { code: 0, stdout: "50 records appended\n" });
  t.match(await cli("replay", "a.ndjson", "--data", "one"), { code: 0, stdout: /nothing to add/ });
  writeFileSync(join(cwd, "lines"), `${reading(50)}\n${reading(51)}\n${reading(51)}\n`);
  t.match(await cli("produce", "iot.readings", "--input", "lines", "--key", "deviceId", "--data", "one"), { code: 0, stdout: /^3 records appended/ });
  t.match(await cli("produce", "other", "--input", "lines", "--data", "one"), { code: 1, stderr: /topic must be one of iot\.readings, iot\.entities/ });
  t.match(await until(read, ({ read: count }) => count === 53), { written: { readings: 52 } });
  const offsets = await until(async () => JSON.parse((await cli("offsets", "get", "--data", "one", "--json")).stdout) as { partitions: { topic: string; committed: number; lag: number }[] }, ({ partitions }) => partitions.some(({ committed }) => committed === 53));
  t.match(offsets.partitions.find(({ topic }) => topic === "iot.readings"), { committed: 53, end: 53, lag: 0 });
  t.match(await cli("savepoint", "friday", "--data", "one"), { code: 1, stderr: /SAVEPOINT_REFUSED: the topology iot runs in this folder/ });
  running.kill("SIGTERM");
  t.equal((await running.ended).code, 0);

  t.match(await cli("offsets", "get", "--data", "one"), { code: 0, stdout: /iot\.readings-0 +53 +0 +53 +0/ });
  t.match(await cli("savepoint", "friday", "--data", "one"), { code: 0, stdout: /iot\.readings_0[^]*iot\.readings-0 at 53/ });
  t.ok(existsSync(join(cwd, "one", "savepoints", "friday", "manifest.json")));
  t.match(await cli("start", "iot", "--data", "one", "--from-savepoint", "friday", "--until-end"), { code: 1, stderr: /SAVEPOINT_REFUSED: there is state of this topology already/ });
  t.match(await cli("start", "iot", "--data", "one", "--kafka", "127.0.0.1:1"), { code: 2, stderr: /CONFIG_INVALID: what this folder has processed came from the embedded log, and its offsets mean nothing in Kafka/ });

  // The log and the tables go along; what is processed is known from the savepoint alone.
  for (const part of ["log", "clickhouse"]) cpSync(join(cwd, "one", part), join(cwd, "two", part), { recursive: true });
  t.match(await cli("replay", replayFile("b.ndjson", 40, 60), "--data", "two"), { code: 0, stdout: "20 records appended\n" });
  const ran = await cli("start", "iot", "--data", "two", "--from-savepoint", join(cwd, "one", "savepoints", "friday"), "--until-end");
  t.equal(ran.code, 0, ran.stderr);
  const summary = jsonLines(ran.stdout).find(({ msg }) => msg === "summary");
  t.match(summary, { read: 73, rows: { readings: 60 }, deduplicated: 13, balanced: true });
  const counted = await cli("sql", "SELECT (SELECT count() FROM readings) AS rows, (SELECT sum(n) FROM readings_1h) AS in_hours, (SELECT sum(n) FROM windows_1h) AS in_windows", "--data", "two", "--json");
  t.match(jsonLines(counted.stdout), [{ rows: "60", in_hours: "60", in_windows: "60" }], counted.stderr);
});
