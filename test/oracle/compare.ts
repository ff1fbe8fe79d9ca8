/** Two results of one case side by side: what differs, and where first. */
import type { CaseOutput, CaseResult, OracleCase, StoreDump } from "./case.ts";

/** A difference, readable. */
export interface Difference {
  readonly where: string;
  readonly expected: string;
  readonly got: string;
}

/** Text that is equal where values are: members in the order of their names. */
export function canonical(value: unknown): string {
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return `{${members.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(",")}}`;
}

/** An output as a line: `out a[0,10)=3 @7`, its window's bounds as they are. */
export function outputText({ topic, key, value, ts }: CaseOutput): string {
  const keyText = key !== null && typeof key === "object" ? `${String(key.key)}[${key.start},${key.end}]` : String(key);
  return `${topic} ${keyText}=${canonical(value)} @${ts}`;
}

/** Operators that send several records for one input in no order that anyone may rely on; their case is compared as a set an input. */
function isUnordered({ topology }: OracleCase): boolean {
  return topology.nodes.some(({ op, window }) => op === "windowedBy" && window?.type === "sliding");
}

/** Outputs as texts an input, in order. */
function byInput(outputs: readonly CaseOutput[], sorted: boolean): Map<number, string[]> {
  const found = new Map<number, string[]>();
  for (const output of outputs) {
    const texts = found.get(output.by) ?? [];
    found.set(output.by, texts);
    texts.push(outputText(output));
  }
  if (sorted) for (const texts of found.values()) texts.sort();
  return found;
}

export function outputDifferences(test: OracleCase, expected: readonly CaseOutput[], got: readonly CaseOutput[]): Difference[] {
  const sorted = isUnordered(test);
  const wanted = byInput(expected, sorted);
  const made = byInput(got, sorted);
  const inputs = [...new Set([...wanted.keys(), ...made.keys()])].sort((a, b) => a - b);
  return inputs.flatMap((by): Difference[] => {
    const left = (wanted.get(by) ?? []).join("; ");
    const right = (made.get(by) ?? []).join("; ");
    return left === right ? [] : [{ where: `input ${by} ${canonical(test.inputs[by])}`, expected: left || "nothing", got: right || "nothing" }];
  });
}

/** Rows as text; sessions have no time of their own. Kafka Streams' driver never tells until when a version stood, so that is not compared. */
function rowsOf(dump: StoreDump, isSession: boolean): string[] {
  const rows = (dump.entries ?? dump.latest ?? []).map((row) => canonical(isSession ? { ...row, ts: undefined } : row));
  return [...rows, ...(dump.asOf ?? []).map((row) => canonical({ ...row, validTo: undefined }))];
}

export function storeDifferences(expected: CaseResult["stores"], got: CaseResult["stores"]): Difference[] {
  return Object.entries(expected).flatMap(([name, dump]): Difference[] => {
    const other = got[name];
    if (other === undefined) return [{ where: `store ${name}`, expected: dump.type, got: "no such store" }];
    const isSession = dump.type === "session";
    const wanted = rowsOf(dump, isSession);
    const made = rowsOf(other, isSession);
    const missing = wanted.filter((row) => !made.includes(row));
    const added = made.filter((row) => !wanted.includes(row));
    return missing.length + added.length === 0 ? [] : [{ where: `store ${name}`, expected: missing.join(" ") || "no more", got: added.join(" ") || "nothing" }];
  });
}

/** What `got` has otherwise than `expected`: outputs an input, stores, dropped records. */
export function differences(test: OracleCase, expected: CaseResult, got: CaseResult): Difference[] {
  const dropped = expected.droppedRecords !== null && expected.droppedRecords !== got.droppedRecords;
  return [
    ...outputDifferences(test, expected.outputs, got.outputs),
    ...storeDifferences(expected.stores, got.stores),
    ...(dropped ? [{ where: "dropped records", expected: String(expected.droppedRecords), got: String(got.droppedRecords) }] : []),
  ];
}
