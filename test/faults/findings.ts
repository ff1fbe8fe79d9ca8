/** What is wrong after a run. */
export interface Findings {
  /** Results that are missing. */
  lost: number;
  /** Results that are there more than once, or that nothing explains. */
  doubled: number;
  /** All that is wrong, in words; the first of each kind with an example. */
  readonly problems: string[];
}

export const noFindings = (): Findings => ({ lost: 0, doubled: 0, problems: [] });

function tally(items: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return counts;
}

/** Compares two multisets. */
export function compareSets(findings: Findings, what: string, actual: Iterable<string>, expected: Iterable<string>): void {
  const [has, wants] = [tally(actual), tally(expected)];
  let [lost, doubled] = [0, 0];
  let [firstLost, firstDoubled] = ["", ""];
  for (const [item, count] of wants) {
    const missing = count - (has.get(item) ?? 0);
    if (missing <= 0) continue;
    lost += missing;
    firstLost ||= item;
  }
  for (const [item, count] of has) {
    const extra = count - (wants.get(item) ?? 0);
    if (extra <= 0) continue;
    doubled += extra;
    firstDoubled ||= `${item}${wants.has(item) ? " (repeated)" : " (unknown)"}`;
  }
  findings.lost += lost;
  findings.doubled += doubled;
  if (lost > 0) findings.problems.push(`${what}: ${lost} lost, as ${firstLost}`);
  if (doubled > 0) findings.problems.push(`${what}: ${doubled} too many, as ${firstDoubled}`);
}

/** Compares two sequences as sets, then their order. */
export function compareSequences(findings: Findings, what: string, actual: readonly string[], expected: readonly string[]): void {
  const before = findings.problems.length;
  compareSets(findings, what, actual, expected);
  if (findings.problems.length > before) return;
  const at = actual.findIndex((item, index) => item !== expected[index]);
  if (at >= 0) findings.problems.push(`${what}: out of order at ${at}: ${actual[at]} instead of ${expected[at]}`);
}

/** Notes a difference of two plain values. */
export function compareValues(findings: Findings, what: string, actual: unknown, expected: unknown): void {
  const [is, wants] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (is !== wants) findings.problems.push(`${what}: ${is} instead of ${wants}`);
}
