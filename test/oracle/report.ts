/** What became of each case, told a family. */
import type { OracleCase } from "./case.ts";
import type { Difference } from "./compare.ts";
import type { RuleName } from "./model/rules.ts";

export type Verdict =
  | { readonly kind: "passed" }
  /** `isAboutCounts` where outputs are equal, and only what stores show or the counts of dropped records differ. */
  | { readonly kind: "deliberate"; readonly rules: readonly RuleName[]; readonly isAboutCounts: boolean }
  | { readonly kind: "failed"; readonly why: string; readonly differences: readonly Difference[] };

export interface JudgedCase {
  readonly test: Pick<OracleCase, "case" | "family">;
  readonly verdict: Verdict;
}

interface Count {
  passed: number;
  deliberate: number;
  /** Of the deliberate ones, those whose outputs are equal. */
  equalOutputs: number;
  failed: number;
}

const none = (): Count => ({ passed: 0, deliberate: 0, equalOutputs: 0, failed: 0 });

const CUT = 400;
const cut = (text: string): string => (text.length > CUT ? `${text.slice(0, CUT)}...` : text);

function line(name: string, { passed, deliberate, equalOutputs, failed }: Count): string {
  const counts = `${name.padEnd(30)} ${String(passed).padStart(6)} passed ${String(deliberate).padStart(6)} deliberate ${String(failed).padStart(6)} failed`;
  return equalOutputs === 0 ? counts : `${counts}   (${equalOutputs} deliberate in counts or stores alone)`;
}

/** A line a family, the rules in force, and the first differences of what failed. */
export function reportText(cases: readonly JudgedCase[], differencesMax: number): string {
  const families = new Map<string, Count>();
  const rules = new Map<RuleName, number>();
  const total = none();
  const failures: string[] = [];
  for (const { test, verdict } of cases) {
    const count = families.get(test.family) ?? none();
    families.set(test.family, count);
    count[verdict.kind]++;
    total[verdict.kind]++;
    if (verdict.kind === "deliberate" && verdict.isAboutCounts) for (const each of [count, total]) each.equalOutputs++;
    if (verdict.kind === "deliberate") for (const rule of verdict.rules) rules.set(rule, (rules.get(rule) ?? 0) + 1);
    if (verdict.kind !== "failed") continue;
    const shown = verdict.differences.slice(0, 3).map(({ where, expected, got }) => `  ${cut(where)}\n    Kafka Streams: ${cut(expected)}\n    ours:          ${cut(got)}`);
    failures.push([`${test.case}: ${cut(verdict.why)}`, ...shown, ...(verdict.differences.length > 3 ? [`  and ${verdict.differences.length - 3} more`] : [])].join("\n"));
  }
  return [
    ...[...families].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, count]) => line(name, count)),
    line("total", total),
    ...[...rules].sort(([a], [b]) => (a < b ? -1 : 1)).map(([rule, count]) => `rule ${rule}: ${count} case${count === 1 ? "" : "s"}`),
    ...failures.slice(0, differencesMax),
    ...(failures.length > differencesMax ? [`and ${failures.length - differencesMax} more cases that failed`] : []),
  ].join("\n");
}
