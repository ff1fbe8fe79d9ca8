/** Each example is run as its comments say. The third has a test of its own beside it. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { withClickHouse } from "./iot/check.ts";
import { runCli } from "./iot/cli.ts";
import { select } from "./iot/tables.ts";

const example = (path: string): string => fileURLToPath(new URL(`../examples/${path}`, import.meta.url));
t.setTimeout(120_000);
const root = mkdtempSync(join(tmpdir(), "iot-topology-examples-"));
t.teardown(() => rmSync(root, { recursive: true, force: true }));

const run = (topology: string, replay: string, data: string) => runCli(["start", example(topology), "--replay", example(replay), "--until-end", "--data", data]);

t.test("01: a first topology, in at most 25 lines, keeps each click once and what it cannot read as a dead letter", async (t) => {
  t.ok(readFileSync(example("01-first-topology/topology.ts"), "utf8").trimEnd().split("\n").length <= 25);
  const data = join(root, "01");
  const { code, stderr } = await run("01-first-topology/topology.ts", "01-first-topology/clicks.ndjson", data);
  t.equal(code, 0, stderr);
  await withClickHouse(data, async (url) => {
    t.same(await select(url, "SELECT user, page, toUnixTimestamp64Milli(at) FROM clicks.clicks ORDER BY at, user"), [
      ["ada", "/", 1_772_359_200_000],
      ["ada", "/docs", 1_772_359_200_900],
      ["bob", "/", 1_772_359_202_000],
    ]);
    t.same(await select(url, "SELECT code, field, offset FROM clicks.dead_letters"), [["CAST_FAILED", "user", 4]]);
  });
});

t.test("02: windows wait for stragglers, and what is later still has a table of its own", async (t) => {
  const data = join(root, "02");
  const { code, stderr } = await run("02-windows-and-late/topology.ts", "02-windows-and-late/temperatures.ndjson", data);
  t.equal(code, 0, stderr);
  await withClickHouse(data, async (url) => {
    const rows = await select(url, "SELECT n, highest FROM rooms.ten_minutes ORDER BY window_start");
    t.same(rows, [[11, 40], ...Array.from({ length: 5 }, () => [10, 23])], "the straggler within the grace is in the first window");
    t.same(await select(url, "SELECT room, celsius FROM rooms.late_temperatures"), [["kitchen", 99]]);
  });
});
