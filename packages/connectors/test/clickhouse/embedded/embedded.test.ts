import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { engineLibraryPath, startEmbeddedClickHouse, superviseEmbeddedClickHouse } from "@iot-topology/connectors/clickhouse/embedded";
import { LineTail } from "../../../src/clickhouse/embedded/line-tail.ts";
import { memoryBytesMax, serverConfigXml } from "../../../src/clickhouse/embedded/server-config.ts";

t.setTimeout(100_000);
const root = mkdtempSync(join(tmpdir(), "iot-topology-embedded-"));
t.teardown(() => rmSync(root, { recursive: true, force: true }));

async function query(url: string, sql: string): Promise<string> {
  const response = await fetch(url, { method: "POST", body: sql, headers: { connection: "close" } });
  return (await response.text()).trim();
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function until(what: string, condition: () => boolean | Promise<boolean>, ms = 20_000): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

t.test("it serves HTTP on loopback only, keeps its data over a stop, and fsyncs by default", async (t) => {
  const dataDir = join(root, "keeps");
  const first = await startEmbeddedClickHouse({ dataDir });
  t.match(first.url, /^http:\/\/127\.0\.0\.1:\d+$/);
  t.equal(await query(first.url, "SELECT groupArray(value) FROM (SELECT value FROM system.merge_tree_settings WHERE name IN ('fsync_after_insert', 'fsync_part_directory'))"), "['1','1']");
  t.equal(await query(first.url, "SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'"), String(memoryBytesMax()));
  await query(first.url, "CREATE DATABASE kept ENGINE = Atomic");
  await query(first.url, "CREATE TABLE kept.numbers (n UInt64) ENGINE = MergeTree ORDER BY n");
  await query(first.url, "INSERT INTO kept.numbers SELECT number FROM numbers(1000)");
  t.match(await (await fetch(`${first.url}/play`, { headers: { connection: "close" } })).text(), /<html/, "the query page is served too");
  await first.stop();
  t.match(await first.exited, { code: 0, expected: true });
  t.notOk(isAlive(first.pid));
  const second = await startEmbeddedClickHouse({ dataDir });
  t.equal(await query(second.url, "SELECT count() FROM kept.numbers"), "1000");
  await second.stop();
});

t.test("a folder in use and a port in use are told", async (t) => {
  const dataDir = join(root, "used");
  const server = await startEmbeddedClickHouse({ dataDir });
  t.teardown(() => server.stop());
  await t.rejects(startEmbeddedClickHouse({ dataDir, folderWaitMs: 0 }), { code: "FOLDER_IN_USE", message: new RegExp(String(server.pid)) });
  t.equal(await query(server.url, "SELECT 1"), "1", "the first goes on");
  const taken = createServer().listen(0, "127.0.0.1");
  t.teardown(() => taken.close());
  await new Promise((resolve) => taken.once("listening", resolve));
  await t.rejects(startEmbeddedClickHouse({ dataDir: join(root, "port"), httpPort: (taken.address() as AddressInfo).port }), { code: "PORT_IN_USE" });
  const file = join(root, "a-file");
  writeFileSync(file, "");
  await t.rejects(startEmbeddedClickHouse({ dataDir: join(file, "below") }), { code: "DISK_READ_ONLY" });
});

t.test("it ends with its parent, even one that is killed, and the folder is free again soon", async (t) => {
  const dataDir = join(root, "orphan");
  const index = fileURLToPath(new URL("../../../src/clickhouse/embedded/index.ts", import.meta.url));
  const script = `const { startEmbeddedClickHouse } = await import(${JSON.stringify(index)}); const s = await startEmbeddedClickHouse({ dataDir: ${JSON.stringify(dataDir)} }); console.log(s.pid); setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ["--conditions=@iot-topology/source", "--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  const pid = await new Promise<number>((resolve) => parent.stdout.once("data", (chunk: Buffer) => resolve(Number(chunk.toString()))));
  t.ok(isAlive(pid), "the server runs");
  parent.kill("SIGKILL");
  const next = await startEmbeddedClickHouse({ dataDir });
  t.not(next.pid, pid);
  t.equal(await query(next.url, "SELECT 1"), "1");
  await next.stop();
  await until("the orphan ends", () => !isAlive(pid));
});

t.test("killed, it is started again on the same ports", async (t) => {
  const crashes: string[] = [];
  const server = await superviseEmbeddedClickHouse({ dataDir: join(root, "supervised"), onCrash: (exit) => crashes.push(String(exit.signal)) });
  t.teardown(() => server.stop());
  const { url } = server;
  await query(url, "CREATE DATABASE kept ENGINE = Atomic");
  for (let round = 1; round <= 2; round++) {
    const pid = server.pid;
    process.kill(pid ?? -1, "SIGKILL");
    await until("a new process", () => server.restarts === round && server.pid !== pid);
    t.equal(await query(url, "SELECT count() FROM system.databases WHERE name = 'kept'"), "1");
  }
  t.same(crashes, ["SIGKILL", "SIGKILL"]);
});

t.test("after too many crashes it is given up with its last words", async (t) => {
  const server = await superviseEmbeddedClickHouse({ dataDir: join(root, "hopeless"), crashesMax: 1 });
  t.teardown(() => server.stop());
  process.kill(server.pid ?? -1, "SIGKILL");
  await until("a new process", () => server.restarts === 1);
  process.kill(server.pid ?? -1, "SIGKILL");
  t.match(await server.failed, { code: "CLICKHOUSE_CRASHED", message: /2 times.*SIGKILL/ });
});

t.test("stop during a restart leaves no process", async (t) => {
  const pids: number[] = [];
  const server = await superviseEmbeddedClickHouse({ dataDir: join(root, "stopped"), onRestart: (pid) => pids.push(pid) });
  pids.push(server.pid ?? -1);
  process.kill(server.pid ?? -1, "SIGKILL");
  await until("it is noticed", () => server.pid === undefined);
  await server.stop();
  for (const pid of pids) t.notOk(isAlive(pid));
  const next = await startEmbeddedClickHouse({ dataDir: join(root, "stopped"), folderWaitMs: 0 });
  t.ok(isAlive(next.pid), "no server holds the folder");
  await next.stop();
});

t.test("a platform without a build is told, with the way out", (t) => {
  t.throws(() => engineLibraryPath("win32", "x64"), { code: "PLATFORM_UNSUPPORTED", cure: /--clickhouse/ });
  t.throws(() => engineLibraryPath("freebsd", "riscv64"), { code: "PLATFORM_UNSUPPORTED", place: "freebsd-riscv64" });
  t.end();
});

t.test("memory is bounded by the machine's, and the log kept is bounded", (t) => {
  const gib = 1024 ** 3;
  t.equal(memoryBytesMax(gib), gib);
  t.equal(memoryBytesMax(6 * gib), 3 * gib);
  t.equal(memoryBytesMax(64 * gib), 8 * gib);
  t.match(serverConfigXml({ httpPort: 1, tcpPort: 2, memoryBytesMax: 3, fsync: false }), /<listen_host>127\.0\.0\.1<\/listen_host>/);
  const tail = new LineTail(3);
  for (const chunk of ["a\nb", "c\n", "\n", "d\ne\n", "f".repeat(5_000)]) tail.write(chunk);
  tail.end();
  t.same(tail.lines.map((line) => line.slice(0, 3)), ["d", "e", "fff"]);
  t.ok(tail.lines.every((line) => line.length <= 2_000));
  t.end();
});
