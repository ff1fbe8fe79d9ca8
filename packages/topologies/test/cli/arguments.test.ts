import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { runCli } from "./run-cli.ts";

t.setTimeout(120_000);
const cwd = realpathSync(mkdtempSync(join(tmpdir(), "iot-topology-arguments-")));
t.teardown(() => rmSync(cwd, { recursive: true, force: true }));
const root = fileURLToPath(new URL("../../../..", import.meta.url));
mkdirSync(join(cwd, "node_modules"));
// A project that has the packages, as `npm install` leaves it.
const link = (name: string, to: string) => {
  mkdirSync(join(cwd, "node_modules", name, ".."), { recursive: true });
  execFileSync("ln", ["-s", join(root, to), join(cwd, "node_modules", name)]);
};
link("@iot-topology/core", "packages/core");
link("@iot-topology/connectors", "packages/connectors");

const file = (name: string, text: string): string => {
  writeFileSync(join(cwd, name), text);
  return name;
};
const LANGUAGE = 'import { defineTopology } from "@iot-topology/core";\n';
const VALID = 'defineTopology("NAME", (t) => { t.source("in").sink(sink) })';
const SINK = 'const sink = { kind: "sink", connector: "nowhere", target: "x", guarantee: { level: "exactly-once", by: "" }, summary: "", dependents: [], problems: [], encoder: () => () => {}, declaration: null };\n';

/** What is typed -> the exit code, and what standard error must say: code, cause and cure. */
const CASES: readonly (readonly [title: string, args: readonly string[], code: number, said: readonly string[]])[] = [
  ["no command", [], 2, ["Usage: iot-topology", "error USAGE: a command is missing"]],
  ["a mistyped command", ["strat"], 2, ["error USAGE: unknown command 'strat'; did you mean start?", "cure:"]],
  ["a mistyped flag", ["start", "--relpay", "x"], 2, ["unknown option '--relpay'; did you mean --replay?"]],
  ["too many arguments", ["describe", "iot", "iot"], 2, ["too many arguments"]],
  ["a flag without its value", ["start", "--data"], 2, ["argument missing"]],
  ["a port that is none", ["start", "--port", "99999"], 2, ["error CONFIG_INVALID: flag is \"99999\", but must be a whole number from 0 to 65535"]],
  ["a ClickHouse URL that is none", ["start", "--clickhouse", "localhost"], 2, ["CONFIG_INVALID", "must be a URL that begins with http://"]],
  ["a section that is not there", ["config", "print", "--env", "prod"], 2, ["CONFIG_INVALID", 'names the section "prod"']],
  ["two inputs", ["start", "--replay", "a", "--input", "b"], 2, ["--replay and --input both name an input", "keep one"]],
  ["--again without a file", ["start", "--again"], 2, ["--again repeats a file, and none is named"]],
  ["a replay file that is missing", ["start", "--replay", "nowhere.ndjson"], 1, ["error FILE_NOT_FOUND: there is no file nowhere.ndjson", "cure: check the path"]],
  ["a data folder that no file system takes", ["start", "--data", process.platform === "linux" ? "/proc/nowhere" : "broken.ts/data"], 1, ["error ", "cure: "]],
  ["a replay file that is a folder", ["start", "--replay", "."], 1, ["FILE_INVALID", "is a folder"]],
  ["an input whose format is not known", ["start", "--input", "a.bin"], 2, ["cannot be told from its name"]],
  ["a ready topology that there is not", ["start", "ito"], 1, ['TOPOLOGY_NOT_FOUND: there is no ready topology "ito", did you mean "iot"?']],
  ["a topology file that is missing", ["start", "./nowhere.ts"], 1, ["FILE_NOT_FOUND", "there is no file ./nowhere.ts"]],
  ["a file that exports no topology", ["describe", "none.ts"], 1, ["TOPOLOGY_NOT_FOUND", "exports no topology", "export default defineTopology"]],
  ["a file that exports several", ["describe", "several.ts"], 1, ["exports 2 topologies: a, b", "--name"]],
  ["a name that is not among them", ["describe", "several.ts", "--name", "c"], 1, ['no topology "c"', "it exports a, b"]],
  ["a file with a syntax error", ["describe", "broken.ts"], 1, ["FILE_INVALID", "cannot be loaded"]],
  ["a file with TypeScript that cannot be erased", ["describe", "enum.ts"], 1, ["FILE_INVALID", "use no enums"]],
  ["a file with an import that is not there", ["describe", "import.ts"], 1, ["FILE_INVALID", "npm install"]],
  ["a topology with errors: all of them", ["start", "wrong.ts"], 1, ["PLAN_INVALID", "NAME_DUPLICATE", "VERSION_INVALID", "nothing was started"]],
  ["status where nothing runs", ["status"], 1, ["NOT_RUNNING", "iot-topology start"]],
  ["sql where nothing ran", ["sql", "SELECT 1"], 1, ["NOT_RUNNING", "nothing has run in this data folder yet"]],
  ["reset without a terminal or --yes", ["reset"], 2, ["needs a yes", "add --yes"]],
  ["init into a folder that is not empty", ["init", "."], 2, ["the folder is not empty", "--force"]],
  ["a number that is none", ["generate", "iot", "--count", "1e"], 2, ["must be a whole number"]],
  ["a system that there is not", ["generate", "events"], 2, ['there is no generator "events"']],
  ["a folder in the place of the output", ["generate", "iot", "--count", "5", "--out", "."], 1, ["FILE_INVALID"]],
];

t.before(() => {
  file("none.ts", "export const topology = 7;\n");
  file("several.ts", `${LANGUAGE}${SINK}export const a = ${VALID.replace("NAME", "a")};\nexport const b = ${VALID.replace("NAME", "b")};\n`);
  file("broken.ts", "export default defineTopology(;\n");
  file("enum.ts", `${LANGUAGE}enum Color { Red }\nexport default Color;\n`);
  file("import.ts", 'import x from "no-such-package";\nexport default x;\n');
  file("wrong.ts", `${LANGUAGE}${SINK}export default defineTopology("wrong", { version: 0 }, (t) => {\n  const s = t.source("in");\n  s.peek(() => {}, { name: "twice" }).sink(sink);\n  s.peek(() => {}, { name: "twice" }).sink({ ...sink, target: "y" });\n});\n`);
  file("a.bin", "");
});

t.test("wrong use and missing things end with a code, a cause, a cure and the right exit code", async (t) => {
  const queue = [...CASES];
  const worker = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [title, args, code, said] = next;
      const ran = await runCli(args, { cwd });
      t.equal(ran.code, code, `${title}: exit code`);
      for (const text of said) t.match(ran.stderr, text, title);
      t.notMatch(ran.stderr, /^\s+at .*:\d+:\d+/m, `${title}: no stack`);
      t.equal(ran.stdout, "", `${title}: nothing on standard output`);
    }
  };
  await Promise.all([worker(), worker()]);
  t.notOk(readdirSync(cwd).includes(".iot-topology"), "nothing was made");
});

t.test("--json gives errors as one object, --verbose adds the stack", async (t) => {
  const plain = await runCli(["status", "--json"], { cwd });
  t.match(JSON.parse(plain.stderr), { error: { code: "NOT_RUNNING", message: /nothing runs/, place: join(cwd, ".iot-topology"), cure: String } });
  t.notMatch(plain.stderr, "stack");
  const verbose = await runCli(["status", "--json", "--verbose"], { cwd });
  t.match(JSON.parse(verbose.stderr), { error: { stack: /status\.ts/ } });
});

t.test("generate writes the same bytes to a file and to standard output", async (t) => {
  const args = ["generate", "iot", "--count", "30000", "--seed", "5"];
  const [one, two] = await Promise.all([runCli(args, { cwd }), runCli([...args, "--out", "fleet.ndjson"], { cwd })]);
  t.match([one.code, two.code, two.stdout, one.stderr, two.stderr], [0, 0, "", "", ""]);
  t.equal(readFileSync(join(cwd, "fleet.ndjson"), "utf8"), one.stdout);
  t.equal(one.stdout.split("\n").length, 30_001);
});

t.test("a reader that has enough ends it without an error", async (t) => {
  const script = `${JSON.stringify(process.execPath)} ${JSON.stringify(join(root, "packages/topologies/bin/iot-topology.js"))} generate iot --count 200000 | head -1 | wc -l; echo "\${PIPESTATUS[0]}"`;
  const child = spawn("bash", ["-c", script], { cwd, stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let errors = "";
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  await new Promise((resolve) => child.on("close", resolve));
  t.match(out.trim().split(/\s+/), ["1", "0"]);
  t.equal(errors, "");
});

/** The first Node of the system's path that is too old to run the command by itself, if there is one. */
function oldNode(): string | undefined {
  for (const folder of (process.env["PATH"] ?? "").split(":").filter((path) => !path.includes("node_modules"))) {
    try {
      const path = join(folder, "node");
      const [major = 0, minor = 0] = execFileSync(path, ["-p", "process.versions.node"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).split(".").map(Number);
      if (major < 22 || (major === 22 && minor < 18)) return path;
    } catch {
      // No Node here.
    }
  }
  return undefined;
}

const old = oldNode();
t.test("an older Node starts the one of the npm package, which ends with it, or says what is missing", { skip: old === undefined ? "SKIPPED: no Node older than 22.18 on the path" : false }, async (t) => {
  const bin = join(root, "packages/topologies/bin/iot-topology.js");
  t.match(execFileSync(old ?? "", [bin, "--version"], { encoding: "utf8" }), /^\d+\.\d+\.\d+\n$/);
  const child = spawn(old ?? "", [bin, "clickhouse", "--data", join(cwd, "by-old-node")], { stdio: ["ignore", "pipe", "inherit"] });
  const ready = await new Promise<{ clickhouseUrl: string }>((resolve) => {
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      const line = text.split("\n").find((one) => one.includes('"msg":"ready"'));
      if (line !== undefined) resolve(JSON.parse(line) as { clickhouseUrl: string });
    });
  });
  t.equal((await fetch(ready.clickhouseUrl)).status, 200);
  const ended = new Promise((resolve) => child.stdout.on("close", resolve));
  child.kill("SIGKILL");
  await ended; // The pipe is closed by the last process that holds it.
  await t.rejects(fetch(ready.clickhouseUrl), "its server is gone too");
  const alone = join(cwd, "alone");
  mkdirSync(alone);
  writeFileSync(join(alone, "iot-topology.mjs"), readFileSync(bin));
  const failed = await new Promise<{ code: number | null; said: string }>((resolve) => {
    const run = spawn(old ?? "", [join(alone, "iot-topology.mjs"), "start"], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    run.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
    run.on("close", (code) => resolve({ code, said }));
  });
  t.match(failed, { code: 2, said: /^error USAGE: iot-topology needs Node 22\.18 or newer, and this is v\d+[^]*cure: / });
});
