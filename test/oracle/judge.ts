/** One case: what ours makes of it beside what was recorded. */
import type { OracleCase } from "./case.ts";
import { differences, outputDifferences } from "./compare.ts";
import { explain } from "./differences.ts";
import { replay } from "./replay.ts";
import type { Verdict } from "./report.ts";

/** A case is right in each form that we have for it: a join by foreign key in one task, and through topics. */
export function judge(test: OracleCase): Verdict {
  const verdict = judgeForm(test, false);
  if (verdict.kind === "failed" || !test.topology.nodes.some(({ op }) => op === "foreignKeyJoin")) return verdict;
  const throughTopics = judgeForm(test, true);
  return throughTopics.kind === "failed" ? { ...throughTopics, why: `joined through topics: ${throughTopics.why}` } : verdict;
}

function judgeForm(test: OracleCase, throughTopics: boolean): Verdict {
  let ours;
  try {
    ours = replay(test, throughTopics);
  } catch (cause) {
    return { kind: "failed", why: cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause), differences: [] };
  }
  const found = differences(test, test, ours);
  if (found.length === 0) return { kind: "passed" };
  const explanation = explain(test, ours);
  return "rules" in explanation ? { kind: "deliberate", rules: explanation.rules, isAboutCounts: outputDifferences(test, test.outputs, ours.outputs).length === 0 } : { kind: "failed", why: explanation.unexplained, differences: found };
}
