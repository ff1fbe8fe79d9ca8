/** One case: what ours makes of it beside what was recorded. */
import type { OracleCase } from "./case.ts";
import { differences, outputDifferences } from "./compare.ts";
import { explain } from "./differences.ts";
import { replay } from "./replay.ts";
import type { Verdict } from "./report.ts";

export function judge(test: OracleCase): Verdict {
  let ours;
  try {
    ours = replay(test);
  } catch (cause) {
    return { kind: "failed", why: cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause), differences: [] };
  }
  const found = differences(test, test, ours);
  if (found.length === 0) return { kind: "passed" };
  const explanation = explain(test, ours);
  return "rules" in explanation ? { kind: "deliberate", rules: explanation.rules, isAboutCounts: outputDifferences(test, test.outputs, ours.outputs).length === 0 } : { kind: "failed", why: explanation.unexplained, differences: found };
}
