import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { jsonLines, runCli } from "./run-cli.ts";

t.setTimeout(120_000);
const cwd = realpathSync(mkdtempSync(join(tmpdir(), "iot-topology-init-")));
t.teardown(() => rmSync(cwd, { recursive: true, force: true, maxRetries: 20, retryDelay: 250 }));
const root = fileURLToPath(new URL("../../../..", import.meta.url));
const project = join(cwd, "My Sensors!");

t.test("init makes a project that type-checks, runs its sample, and answers as its readme says", async (t) => {
  const made = await runCli(["init", "My Sensors!", "--yes", "--json"], { cwd });
  t.equal(made.code, 0, made.stderr);
  t.strictSame(readdirSync(project).sort(), [".gitignore", "README.md", "package.json", "sample.ndjson", "topology.test.ts", "topology.ts", "tsconfig.json"]);
  const { name, scripts } = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as { name: string; scripts: Record<string, string> };
  t.equal(name, "my-sensors");

  // What `npm install` would leave, from this workspace.
  mkdirSync(join(project, "node_modules", "@iot-topology"), { recursive: true });
  for (const part of ["core", "connectors"]) symlinkSync(join(root, "packages", part), join(project, "node_modules", "@iot-topology", part));
  const types = spawnSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", project, "--customConditions", "@iot-topology/source", "--allowImportingTsExtensions", "--types", "node", "--typeRoots", join(root, "node_modules/@types")], { encoding: "utf8" });
  t.equal(types.stdout.split("\n").filter((line) => /^topology(\.test)?\.ts/.test(line)).join("\n"), "", "the topology and its test type-check");
  const tested = spawnSync(process.execPath, ["--conditions=@iot-topology/source", "--test", "--test-reporter=tap"], { cwd: project, encoding: "utf8" });
  t.match(tested, { status: 0, stdout: /# pass 2\n# fail 0/ }, tested.stdout);

  const [command, ...args] = (scripts["sample"] ?? "").split(" ");
  t.equal(command, "iot-topology");
  const sample = () => runCli(args, { cwd: project });
  const first = await sample();
  t.equal(first.code, 0, first.stderr);
  t.match(jsonLines(first.stdout).at(-1), { msg: "summary", read: 7, written: 4, deduplicated: 1, deadLetters: 2, balanced: true });
  const second = await sample();
  t.match(jsonLines(second.stdout).at(-1), { msg: "summary", read: 7, written: 4, deadLetters: 2 }, "a second run adds nothing");

  const hours = await runCli(["sql", "SELECT sensor, toString(window_start) AS hour, n, avg, max FROM my_sensors.hours ORDER BY sensor, hour", "--format", "TSV"], { cwd: project });
  t.equal(hours.stdout, "cellar\t2026-01-01 10:00:00.000\t2\t10\t10.5\nroof\t2026-01-01 10:00:00.000\t1\t-3\t-3\nroof\t2026-01-01 11:00:00.000\t1\t-1.25\t-1.25\n", hours.stderr);
  const refused = await runCli(["dlq", "show", "--json"], { cwd: project });
  t.strictSame(jsonLines(refused.stdout).map((row) => String(row["field"])).sort((a, b) => a.localeCompare(b)), ["at", "id"]);
  t.match(await runCli(["describe", "topology.ts"], { cwd: project }), { code: 0, stdout: /dedup by id, unbounded; store seen/ });
  t.match(await runCli(["init", "My Sensors!", "--yes"], { cwd }), { code: 2, stderr: /the folder is not empty/ });
  const forced = await runCli(["init", "My Sensors!", "--force", "--yes"], { cwd });
  t.equal(forced.code, 0);
});

t.test("a topology file outside of any project is told what it lacks", async (t) => {
  const alone = join(cwd, "alone");
  mkdirSync(alone);
  execFileSync("cp", [join(project, "topology.ts"), alone]);
  const ran = await runCli(["describe", "topology.ts"], { cwd: alone });
  t.match(ran, { code: 1, stderr: /error FILE_INVALID: [^]*@iot-topology\/core[^]*cure: run `npm install`/ });
});
