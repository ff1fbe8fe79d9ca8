/** The commands that work on Kafka, on a real broker, with a topology of a project: topics, produce, start, offsets, status, queries over two processes, savepoint and reset. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { type CliRun, pause, runCli, startCli } from "../iot/cli.ts";
import { kafkaBrokers } from "../kafka/kafka-brokers.ts";

t.setTimeout(240_000);
const root = realpathSync(mkdtempSync(join(tmpdir(), "iot-topology-kafka-cli-")));
const running = new Set<CliRun>();
t.teardown(async () => {
  for (const run of running) run.child.kill("SIGKILL");
  await Promise.all([...running].map((run) => run.exit));
  rmSync(root, { recursive: true, force: true, maxRetries: 20, retryDelay: 250 });
});
mkdirSync(join(root, "node_modules", "@iot-topology"), { recursive: true });
for (const name of ["core", "connectors"]) symlinkSync(fileURLToPath(new URL(`../../packages/${name}`, import.meta.url)), join(root, "node_modules", "@iot-topology", name));

/** Counts events by their id, each sequence number once, and passes each on. */
const source = (name: string, input: string, output: string) => `
import { c, count, defineTopology, record, sum, topic } from "@iot-topology/core";
const Event = record("Event", { id: c.string(), seq: c.uint64(), value: c.float64() });
export default defineTopology(${JSON.stringify(name)}, (t) => {
  const unique = t.source(${JSON.stringify(input)}).cast(Event, { partitionedBy: "id", onError: "skip" }).dedup("seen", { by: ["id", "seq"] });
  unique.sink(topic(${JSON.stringify(output)}, Event, { key: ({ id }) => id }));
  unique.groupBy("id").aggregate("totals", { n: count(), total: sum("value") }).sink(topic(${JSON.stringify(`${output}-totals`)}, record("Total", { id: c.string(), n: c.uint64(), total: c.float64(), updates: c.uint64() })));
});
`;
const lines = (from: number, to: number): string => Array.from({ length: to - from }, (_, i) => `${JSON.stringify({ id: `d${(from + i) % 9}`, seq: from + i, value: 1 })}\n`).join("");

async function line(run: CliRun, msg: string): Promise<Record<string, unknown>> {
  for (;;) {
    const found = run.stdout().split("\n").slice(0, -1).find((text) => text.includes(`"msg":"${msg}"`));
    if (found !== undefined) return JSON.parse(found) as Record<string, unknown>;
    if (run.child.exitCode !== null || run.child.signalCode !== null) throw new Error(`ended before ${msg}: ${run.stdout()}${run.stderr()}`);
    await pause(10);
  }
}

t.test("topics, records, offsets, queries and savepoints of a topology by the command alone", async (t) => {
  const kafka = await kafkaBrokers(t);
  if (kafka === undefined) return;
  const [name, input, output] = [kafka.name("counts"), kafka.name("events"), kafka.name("clean")];
  const file = join(root, "counts.ts");
  writeFileSync(file, source(name, input, output));
  const K = ["--kafka", kafka.brokers.join(",")];
  // No step writes to ClickHouse, so none is asked.
  const start = (data: string, ...more: string[]): CliRun => {
    const run = startCli(["start", file, ...K, "--data", join(root, data), "--port", "0", "--clickhouse", "http://127.0.0.1:1", ...more], { IOT_TOPOLOGY_STOP_TIMEOUT_MS: "5000" });
    running.add(run);
    void run.exit.then(() => running.delete(run));
    return run;
  };
  const cli = async (...args: string[]) => {
    const ran = await runCli(args);
    return { ...ran, json: () => JSON.parse(ran.stdout) as never };
  };
  const totals = async (): Promise<Map<string, number>> => {
    const found = new Map<string, number>();
    for (const { value } of (await kafka.apache?.consume(`${output}-totals`, { count: Number.MAX_SAFE_INTEGER, quietMs: 1_500, deadlineMs: 10_000 })) ?? []) {
      const { id, n } = JSON.parse(value ?? "{}") as { id: string; n: number };
      found.set(id, Math.max(Number(n), found.get(id) ?? 0));
    }
    return found;
  };

  await t.test("topics check names what is missing, and topics create makes it", async (t) => {
    const missing = await cli("topics", "check", file, ...K);
    t.equal(missing.code, 1);
    t.match(missing.stdout, new RegExp(`TOPIC_NOT_FOUND: the topic ${input} does not exist`));
    t.match(await cli("start", file, ...K, "--data", join(root, "refused"), "--clickhouse", "http://127.0.0.1:1"), { code: 1, stderr: /error TOPIC_NOT_FOUND: 3 topics differ[^]*--create-topics/ });
    t.match((await cli("topics", "create", file, ...K, "--partitions", "3", "--json")).json(), { created: [{ topic: input, partitions: 3 }, { topic: output }, { topic: `${output}-totals` }] });
    t.equal((await cli("topics", "check", file, ...K)).code, 0);
  });

  await t.test("produce appends lines, with keys of their fields or as they are described", async (t) => {
    writeFileSync(join(root, "a.ndjson"), lines(0, 300));
    t.match(await cli("produce", input, ...K, "--input", join(root, "a.ndjson"), "--key", "id", "--json"), { code: 0, stdout: `${JSON.stringify({ topic: input, appended: 300 })}\n` });
    writeFileSync(join(root, "b.ndjson"), `{"key":"d0","value":{"id":"d0","seq":300,"value":1},"timestamp":"2026-01-01T00:00:00Z","headers":{"h":"x"}}\n{"key":"d1","value":null}\n{"key":7}\n`);
    t.match(await cli("produce", input, ...K, "--input", join(root, "b.ndjson"), "--format", "json"), { code: 1, stderr: /FILE_INVALID: line 3: the key must be a text or null[^]*b\.ndjson:3/ });
    if (kafka.apache !== undefined) {
      const records = await kafka.apache.consume(input, { count: 302 });
      t.equal(records.length, 302, "the lines before the wrong one were appended");
      t.same(records.filter(({ key, value }) => value !== null && (JSON.parse(value) as { id: string }).id !== key), []);
      t.match(records.find(({ timestamp }) => timestamp === Date.UTC(2026, 0, 1)), { key: "d0", value: '{"id":"d0","seq":300,"value":1}' });
      t.match(records.find(({ value }) => value === null), { key: "d1" });
    }
    t.match(await cli("produce", kafka.name("nowhere"), ...K, "--input", join(root, "a.ndjson")), { code: 1, stderr: /TOPIC_NOT_FOUND/ });
  });

  await t.test("two processes share the keys, answer for each other, and hold the offsets against changes", async (t) => {
    const [a, b] = [start("a"), start("b")];
    const urls = await Promise.all([a, b].map(async (run) => String((await line(run, "ready"))["statusUrl"])));
    const ask = async (url: string, path: string) => {
      for (;;) {
        const response = await fetch(`${url}${path}`, { redirect: "follow" });
        // While tasks move or restore, nobody can answer for them.
        if (response.status !== 503) return { redirected: response.redirected, body: (await response.json()) as { rows: { n: string }[] } };
        await pause(50);
      }
    };
    const complete = async () => {
      const found = await Promise.all(Array.from({ length: 9 }, async (_, id) => Number((await ask(urls[0] ?? "", `/stores/totals/keys/d${id}`)).body.rows[0]?.n ?? 0)));
      return found.reduce((all, n) => all + n, 0) === 301;
    };
    while (!(await complete())) await pause(100);
    const countRedirected = async () => {
      let redirected = 0;
      for (const url of urls) for (let id = 0; id < 9; id++) if ((await ask(url, `/stores/totals/keys/d${id}`)).redirected) redirected++;
      return redirected;
    };
    // The first process may have done all the work before the second has its share of the tasks.
    let redirected = await countRedirected();
    for (const since = Date.now(); redirected !== 9 && Date.now() - since < 20_000; redirected = await countRedirected()) await pause(200);
    t.equal(redirected, 9, "each key is held by one of the two, and the other sends there");
    const locations = (await Promise.all(urls.map(async (url) => (await (await fetch(`${url}/stores/totals/locate/d3`)).json()) as { locations: { task: string; isLocal: boolean; url: string }[] }))).map((found) => found.locations[0]);
    t.equal(locations[0]?.url, locations[1]?.url, "both name the same owner");
    t.same(locations.map((found) => found?.isLocal).sort(), [false, true]);
    t.match(await (await fetch(`${urls[0]}/stores`)).json(), { stores: [{ name: "seen", kind: "dedup" }, { name: "totals", kind: "group", keyFields: ["id"] }] });
    t.equal((await fetch(`${urls[0]}/stores/nothing/keys/x`)).status, 404);
    t.equal((await fetch(`${urls[0]}/stores/totals/keys/x,y`)).status, 400);
    t.match(await (await fetch(`${urls[0]}/metrics`)).text(), /iot_topology_group_tasks\{[^}]*\} 3\n[^]*iot_topology_rebalance_total/);
    t.match(await cli("offsets", "set", `${input}:0=0`, "--yes", "--topology", file, ...K), { code: 2, stderr: /CONFIG_INVALID: the topology runs: its group has 2 members/ });
    t.match(await cli("savepoint", join(root, "too-early"), "--topology", file, ...K, "--data", join(root, "c")), { code: 1, stderr: /SAVEPOINT_REFUSED: [^]*its group has 2 members/ });
    t.match(await cli("start", file, ...K, "--data", join(root, "a"), "--clickhouse", "http://127.0.0.1:1"), { code: 1, stderr: /FOLDER_IN_USE/ });
    for (const run of [a, b]) run.child.kill("SIGTERM");
    t.same((await Promise.all([a.exit, b.exit])).map(({ code }) => code), [0, 0]);
  });

  await t.test("offsets and lag are told where nothing runs, and set and reset there", async (t) => {
    const { partitions } = (await cli("offsets", "get", "--data", join(root, "a"), "--json")).json() as { partitions: { topic: string; partition: number; committed: number; end: number; lag: number }[] };
    t.same(partitions.map(({ topic, partition, lag }) => [topic, partition, lag]), [0, 1, 2].map((partition) => [input, partition, 0]));
    t.match(await cli("status", "--data", join(root, "a")), { code: 0, stdout: /Empty, 0 members, lag 0/ });
    const end = partitions[0]?.end ?? 0;
    t.match(await cli("offsets", "set", `${input}:0=${end + 1}`, "--yes", "--topology", file, ...K), { code: 1, stderr: /OFFSET_OUT_OF_RANGE/ });
    t.equal((await cli("offsets", "set", `${input}:0=0`, "--yes", "--topology", file, ...K)).code, 0);
    const after = (await cli("offsets", "get", "--topology", file, ...K, "--json")).json() as { partitions: { committed: number }[] };
    t.same(after.partitions.map(({ committed }) => committed), [0, partitions[1]?.committed, partitions[2]?.committed]);
    t.equal((await cli("offsets", "reset", "--to", "latest", "--yes", "--topology", file, ...K)).code, 0);
    t.match(await cli("status", "--data", join(root, "a")), { stdout: /lag 0/ });
    t.match(await cli("offsets", "reset", "--to", "yesterday", "--yes", "--topology", file, ...K), { code: 2, stderr: /none of earliest, latest and a time/ });
    t.equal((await cli("offsets", "reset", "--to", "2100-01-01T00:00:00Z", "--yes", "--topology", file, ...K)).code, 0, "behind all records is the end");
  });

  await t.test("a savepoint is begun from elsewhere after a reset, and every count goes on", async (t) => {
    const saved = await cli("savepoint", "friday", "--data", join(root, "a"), "--json");
    t.equal(saved.code, 0, saved.stderr);
    const dir = join(root, "a", "savepoints", "friday");
    t.match(await cli("start", file, ...K, "--data", join(root, "c"), "--clickhouse", "http://127.0.0.1:1", "--from-savepoint", dir), { code: 1, stderr: /SAVEPOINT_REFUSED: there is state of this topology on the cluster already/ });
    const reset = await cli("reset", "--data", join(root, "a"), "--clickhouse", "http://127.0.0.1:1", "--yes");
    t.equal(reset.code, 0, reset.stderr);
    t.equal((await cli("produce", input, ...K, "--input", join(root, "a.ndjson"), "--key", "id")).code, 0, "all of them again: the savepoint knows them");
    writeFileSync(join(root, "c.ndjson"), lines(301, 400));
    t.equal((await cli("produce", input, ...K, "--input", join(root, "c.ndjson"), "--key", "id")).code, 0);
    const run = start("c", "--from-savepoint", dir, "--until-end");
    t.equal((await run.exit).code, 0, run.stdout() + run.stderr());
    if (kafka.apache === undefined) return;
    t.equal([...(await totals()).values()].reduce((all, n) => all + n, 0), 400, "repeats from before the savepoint are still repeats");
    t.equal((await kafka.apache.consume(output, { count: 400 })).length, 400, "and each event was passed on once");
  });
});
