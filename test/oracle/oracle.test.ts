import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { type CaseOutput, casePaths, type OracleCase, readCase } from "./case.ts";
import { DELIBERATE_DIFFERENCES } from "./differences.ts";
import { judge } from "./judge.ts";

const byHand = fileURLToPath(new URL("./cases/", import.meta.url));
const recorded = fileURLToPath(new URL("../../../shared/data/kafka-streams-oracle/", import.meta.url));
const runner = fileURLToPath(new URL("./run.ts", import.meta.url));

function run(...args: readonly string[]): { readonly code: number | null; readonly text: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--conditions=@iot-topology/source", runner, ...args], { encoding: "utf8" });
  return { code: status, text: stdout + stderr };
}

const RULES_BY_HAND: Readonly<Record<string, readonly string[]>> = {
  "stream-join__left-late": ["unmatchedOnce"],
  "sliding-count__suppressed-twice": ["suppressOnce"],
  "versioned__deletion-at-a-row": ["deletionsAreKept"],
  "versioned__deletion-behind-a-deletion": ["deletionsAreKept"],
};

t.test("every case by hand passes, or differs by the rule that it shows", (t) => {
  for (const path of casePaths(byHand)) {
    const test = readCase(path);
    const verdict = judge(test);
    const rules = RULES_BY_HAND[test.case];
    t.same(verdict, rules === undefined ? { kind: "passed" } : { kind: "deliberate", rules, isAboutCounts: false }, test.case);
  }
  t.end();
});

/** Ways to make a case false, each in one place. */
const FALSIFIED: readonly (readonly [string, (test: OracleCase) => Partial<OracleCase> | undefined])[] = [
  ["another value", ({ outputs: [first, ...rest] }) => first && { outputs: [{ ...first, value: "false" }, ...rest] }],
  ["another time", ({ outputs }) => ({ outputs: outputs.map((output, index): CaseOutput => (index === outputs.length - 1 ? { ...output, ts: output.ts + 1 } : output)) })],
  ["another cause", ({ outputs: [first, ...rest] }) => first && { outputs: [{ ...first, by: first.by + 1 }, ...rest] }],
  ["another key", ({ outputs: [first, ...rest] }) => first && { outputs: [{ ...first, key: typeof first.key === "object" && first.key !== null ? { ...first.key, end: first.key.end + 1 } : "false" }, ...rest] }],
  ["an output too few", ({ outputs }) => ({ outputs: outputs.slice(0, -1) })],
  ["an output too many", ({ outputs }) => ({ outputs: [...outputs, { topic: "out", key: "false", value: 1, ts: 1, by: 0 }] })],
  ["another count of dropped records", ({ droppedRecords }) => ({ droppedRecords: (droppedRecords ?? 0) + 1 })],
  ["another row in a store", ({ stores }) => {
    const [name, dump] = Object.entries(stores).find(([, { entries = [] }]) => entries.length > 0) ?? [];
    return name === undefined || dump === undefined ? undefined : { stores: { ...stores, [name]: { ...dump, entries: [...(dump.entries ?? []), { key: "false", value: 1 }] } } };
  }],
];

t.test("a case that is false in any one place fails, those that differ on purpose too", (t) => {
  for (const [how, falsify] of FALSIFIED) {
    let count = 0;
    for (const path of casePaths(byHand)) {
      const test = readCase(path);
      const change = falsify(test);
      if (change === undefined) continue;
      count++;
      t.equal(judge({ ...test, ...change }).kind, "failed", `${test.case}: ${how}`);
    }
    t.ok(count > 0, how);
  }
  t.end();
});

t.test("outputs of one input are compared in their order", (t) => {
  const test = readCase(join(byHand, "session-sum__merge.json"));
  const [a, b, c, d, e] = test.outputs as [CaseOutput, CaseOutput, CaseOutput, CaseOutput, CaseOutput];
  t.equal(judge({ ...test, outputs: [a, b, d, c, e] }).kind, "failed");
  t.end();
});

t.test("the command tells a line a family and the first differences, and its exit code is that of the cases", (t) => {
  t.match(run(byHand), { code: 0, text: /^by-hand +\d+ passed +4 deliberate +0 failed$/m });
  const folder = mkdtempSync(join(tmpdir(), "oracle-test-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const test = readCase(join(byHand, "grouped-count__times.json"));
  writeFileSync(join(folder, "good.json"), JSON.stringify(test));
  writeFileSync(join(folder, "false.json"), JSON.stringify({ ...test, family: "false", droppedRecords: 7 }));
  const both = run(folder);
  t.equal(both.code, 1);
  t.match(both.text, /dropped records\n +Kafka Streams: 7\n +ours: +2/);
  t.equal(run(folder, "--family", "by-hand").code, 0);
  t.equal(run(folder, "--family", "nothing").code, 1, "no case is no success");
  t.equal(run().code, 2);
  t.end();
});

t.test("what differs on purpose stands in the table of docs/operators.md, with the same words", (t) => {
  const text = readFileSync(new URL("../../docs/operators.md", import.meta.url), "utf8");
  const section = text.slice(text.indexOf("## Deliberate differences"));
  for (const { rule, theirs, ours, reason } of DELIBERATE_DIFFERENCES) t.ok(section.includes(`| \`${rule}\` | ${theirs} | ${ours} | ${reason} |`), rule);
  t.end();
});

t.test("the recorded cases of Kafka Streams", { skip: existsSync(recorded) ? false : "SKIPPED: the folder of recorded cases, ../shared/data/kafka-streams-oracle, is not there" }, (t) => {
  const failed = casePaths(recorded).flatMap((path) => {
    const test = readCase(path);
    const verdict = judge(test);
    return verdict.kind === "failed" ? [`${test.case}: ${verdict.why}`] : [];
  });
  t.same(failed, []);
  t.end();
});
