import t from "tap";
import { makeCounters, TopologyError } from "../../src/model/index.ts";
import type { TaskContext } from "../../src/task/context.ts";
import { compileRefuse } from "../../src/task/refuse.ts";
import type { ErrorPolicy } from "../../src/topology/index.ts";

const origin = { topic: "in", partition: 0, offset: 7, timestamp: 0, key: null, value: null, headers: [] };

t.test("damage in a store goes by no policy: neither is its record skipped, nor is it a dead letter", (t) => {
  const letters: unknown[] = [];
  const context = { taskId: "in_0", origin, counters: makeCounters(), deadLetterLink: ({ kind }: ErrorPolicy) => (kind === "fail" ? undefined : (letter: unknown) => void letters.push(letter)) } as unknown as TaskContext;
  const damage = new TopologyError("STATE_CORRUPT", "a stored value does not match its checksum");
  for (const policy of [{ kind: "skip" }, { kind: "fail" }, { kind: "dead-letter", stream: 1 }] as unknown as ErrorPolicy[]) {
    const refuse = compileRefuse(context, "step", policy);
    t.throws(() => refuse("STEP_FAILED", "the row does not fit the sink", "", damage), damage);
  }
  t.same(context.counters, makeCounters());
  t.same(letters, []);
  compileRefuse(context, "step", { kind: "skip" })("STEP_FAILED", "no", "", new Error("no"));
  t.equal(context.counters.skipped, 1);
  t.throws(() => compileRefuse(context, "step", { kind: "fail" })("STEP_FAILED", "no", "", new Error("no")), { code: "TASK_FAILED", place: "in_0, record in-0 at offset 7" });
  t.end();
});
