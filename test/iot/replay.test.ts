import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { checkTables, withClickHouse } from "./check.ts";
import { runCli } from "./cli.ts";
import { modelOf } from "./model.ts";
import { differences, expectedRows, iotQueries, select } from "./tables.ts";

t.setTimeout(120_000);
const root = mkdtempSync(join(tmpdir(), "iot-topology-replay-"));
t.teardown(() => rmSync(root, { recursive: true, force: true }));

const replay = (file: string, data: string, ...more: string[]) => runCli(["start", "iot", "--replay", file, "--until-end", "--data", data, "--port", "0", ...more]);

t.test("a generated fleet's file gives every table of the model, a second run changes nothing, --again adds dead letters only", async (t) => {
  const file = join(root, "fleet.ndjson");
  const data = join(root, "fleet");
  const generated = await runCli(["generate", "iot", "--count", "12000", "--seed", "11", "--duplicates", "0.06", "--late", "0.05", "--malformed", "0.02", "--out", file]);
  t.equal(generated.code, 0, generated.stderr);
  const model = modelOf(file);
  t.ok(model.malformed > 50 && model.duplicates > 200 && model.entities.length > 10, "the file has what is to be tested");
  const first = await replay(file, data);
  t.equal(first.code, 0, first.stderr || first.stdout);
  await withClickHouse(data, (url) => checkTables(t, url, file, 1, "first run"));
  const second = await replay(file, data);
  t.equal(second.code, 0, second.stderr);
  await withClickHouse(data, (url) => checkTables(t, url, file, 1, "second run"));
  const again = await replay(file, data, "--again");
  t.equal(again.code, 0, again.stderr);
  await withClickHouse(data, (url) => checkTables(t, url, file, 2, "--again"));
});

const shared = fileURLToPath(new URL("../../../shared/data/iot", import.meta.url));
const skip = existsSync(shared) ? false : "SKIPPED: the replay file of real sensor series is not beside this checkout";
t.test("the replay of real sensor series equals the expected files", { skip }, async (t) => {
  const data = join(root, "series");
  const file = join(shared, "replay.ndjson");
  const run = await replay(file, data);
  t.equal(run.code, 0, run.stderr || run.stdout);
  await withClickHouse(data, async (url) => {
    await checkTables(t, url, file, 1, "replay");
    // The files' as-of days reach from the first to the newest reading's load.
    const [[first, newest] = []] = await select(url, "SELECT toUnixTimestamp64Milli(min(load_time)), toUnixTimestamp64Milli(max(load_time)) FROM iot.readings");
    for (const [table, query] of Object.entries(iotQueries)) {
      const csv = table === "windows_1h" ? "readings_1h" : table;
      if (!existsSync(join(shared, "expected", `${csv}.csv`))) continue;
      const rows = await select(url, query);
      const covered = table.endsWith("_as_of_daily") ? rows.filter(([day]) => Number(day) > Number(first) && Number(day) <= Number(newest)) : rows;
      t.same(differences(covered, expectedRows(join(shared, "expected"), csv)), [], `${table} equals ${csv}.csv`);
    }
    const day = Date.UTC(2014, 0, 15);
    const known = expectedRows(join(shared, "expected"), "readings_as_of_daily").filter(([asOf]) => asOf === day).map((row) => row.slice(1));
    const asOf = await select(url, "SELECT device_id, metric, value, toUnixTimestamp64Milli(event_time) FROM iot.readings_as_of(as_of = '2014-01-15 00:00:00')");
    t.ok(known.length > 0, "something was known that day");
    t.same(differences(asOf, known), [], "readings_as_of at a midnight equals the daily table's rows");
    t.same(await select(url, "SELECT count() FROM iot.dead_letters"), [[196]]);
  });
});
