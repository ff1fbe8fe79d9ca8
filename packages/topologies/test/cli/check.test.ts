import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { runCli } from "./run-cli.ts";

t.setTimeout(120_000);
const cwd = realpathSync(mkdtempSync(join(tmpdir(), "iot-topology-check-")));
t.teardown(() => rmSync(cwd, { recursive: true, force: true }));
const root = fileURLToPath(new URL("../../../..", import.meta.url));
mkdirSync(join(cwd, "node_modules/@iot-topology"), { recursive: true });
execFileSync("ln", ["-s", join(root, "packages/core"), join(cwd, "node_modules/@iot-topology/core")]);

interface Given {
  readonly version?: number;
  readonly within?: string;
  readonly store?: string;
}

function write({ version = 1, within = "days(2)", store = "seen" }: Given = {}): void {
  writeFileSync(
    join(cwd, "topology.ts"),
    `import { c, days, defineTopology, record, topic } from "@iot-topology/core";
const Event = record("Event", { id: c.string(), at: c.dateTime64(3, "UTC") });
export default defineTopology("shop", { version: ${version} }, (t) => {
  t.source("events").cast(Event, { timestamp: "at" }).dedup("${store}", { by: ["id"], within: ${within} }).sink(topic("clean", Event));
});
`,
  );
}

const check = (...more: readonly string[]) => runCli(["check", "topology.ts", ...more], { cwd });
const lock = () => readFileSync(join(cwd, "topology.lock.json"), "utf8");

t.test("the first check writes the lock, the next finds nothing changed", async (t) => {
  write();
  t.match(await check("--frozen"), { code: 1, stdout: /not up to date/ });
  t.notOk(existsSync(join(cwd, "topology.lock.json")), "with --frozen nothing is written");
  t.match(await check(), { code: 0, stdout: /topology shop, version 1: not locked before\ntopology\.lock\.json was written/ });
  const written = lock();
  t.match(JSON.parse(written), { format: 1, topologies: { shop: { version: 1, parts: { events: ["events"] }, stores: { seen: { part: "events", key: "id" } }, sinks: { "log:clean": { columns: [{ name: "id" }, { name: "at" }] } } } } });
  t.match(await check("--frozen"), { code: 0, stdout: "topology shop, version 1: nothing has changed\n" });
  t.equal(lock(), written);
});

t.test("a breaking change is refused until it is accepted, and told what it loses", async (t) => {
  write({ store: "seen-events" });
  const before = lock();
  const refused = await check();
  t.match(refused, { code: 1, stdout: /2 changes since topology\.lock\.json\n {2}breaking {4}store seen: it is gone\n {14}what it holds is lost/ });
  t.match(refused.stdout, /compatible {2}store seen-events: it is new\n.*\n.*was not written/);
  t.equal(lock(), before);
  t.match(JSON.parse((await check("--json")).stdout), { refused: true, written: false, changes: [{ kind: "breaking", what: "store", name: "seen" }, { kind: "compatible", what: "store", name: "seen-events" }] });
  t.match(await check("--accept"), { code: 0, stdout: /was written/ });
  t.match(await check(), { code: 0, stdout: /nothing has changed/ });
});

t.test("a raised version takes what is lost as meant", async (t) => {
  write({ store: "seen-events", within: "days(1)" });
  t.match(await check(), { code: 1, stdout: /withinMs was 2 d and is 1 d/ });
  write({ store: "seen-events", within: "days(1)", version: 2 });
  t.match(await check(), { code: 0, stdout: /compatible {2}version: it was 1 and is 2/ });
  write({ store: "seen-events", within: "days(1)", version: 1 });
  t.match(await check(), { code: 1, stdout: /breaking {4}version: it was 2 and is 1/ });
});

t.test("warnings are printed and do not fail; errors of the plan do", async (t) => {
  write({ within: "1000" });
  t.match(await check("--accept"), { code: 0, stdout: /warning DEDUP_WINDOW_SMALL at seen: .*\n {2}cure: / });
  write({ within: "-1" });
  t.match(await check(), { code: 1, stderr: /PLAN_INVALID/ });
});

t.test("a lock file that cannot be read is named with its cure", async (t) => {
  write();
  writeFileSync(join(cwd, "other.json"), "{");
  t.match(await check("--lock", "other.json"), { code: 1, stderr: /FILE_INVALID: the lock file cannot be read[\s\S]*cure: restore it/ });
  writeFileSync(join(cwd, "other.json"), '{"format":2,"topologies":{}}');
  t.match(await check("--lock", "other.json"), { code: 1, stderr: /has the format 2/ });
});

t.test("a ready topology is locked in the folder where the command runs", async (t) => {
  const ran = await runCli(["check", "iot", "--json"], { cwd });
  t.equal(ran.code, 0, ran.stderr);
  t.match(JSON.parse(ran.stdout), { topology: "iot", new: true, written: true, warnings: [] });
  t.same(Object.keys((JSON.parse(lock()) as { topologies: object }).topologies), ["shop", "iot"], "beside the others");
});
