/** What a model says must come out, and how that is compared with what did. */
import type { StoreKey, WindowRange } from "../../runtime/index.ts";
import type { TaskCounters } from "../../model/index.ts";

/** Rows that a target must hold. Made by {@link exactly}, {@link latest} and {@link compacted}. */
export type Expectation =
  | { readonly kind: "compacted"; readonly rows: readonly unknown[]; readonly by: (row: never) => string }
  | { readonly kind: "exactly"; readonly rows: readonly unknown[]; readonly orderedBy: ((row: never) => string) | undefined }
  | { readonly kind: "latest"; readonly rows: readonly unknown[]; readonly by: (row: never) => string; readonly version: (row: never) => number };

/** Each of these rows once and no other. With `orderedBy`, rows of the same name come in this order (for topics; a database keeps none). */
export function exactly<R>(rows: readonly R[], options: { readonly orderedBy?: (row: R) => string } = {}): Expectation {
  return { kind: "exactly", rows, orderedBy: options.orderedBy as ((row: never) => string) | undefined };
}

/** For updates: of the rows of each name (`by`), the one with the greatest `version` must be one of these; rows of one name and version never differ. */
export function latest<R>(rows: readonly R[], options: { readonly by: (row: R) => string; readonly version: (row: R) => number }): Expectation {
  return { kind: "latest", rows, by: options.by, version: options.version };
}

/** For topics: of the rows of each name (`by`) the last that stands there must be one of these, as what compaction leaves. Null values are not looked at. */
export function compacted<R>(rows: readonly R[], options: { readonly by: (row: R) => string }): Expectation {
  return { kind: "compacted", rows, by: options.by };
}

/** What a store must answer to a query. */
export interface ExpectedAnswer {
  readonly store: string;
  readonly key: StoreKey;
  readonly range?: Partial<WindowRange>;
  readonly rows: readonly unknown[];
}

/** What any right run makes of the records. */
export interface ExpectedOutcome {
  /** By topic or target of a sink. Those that are not named are not compared. */
  readonly outputs: Readonly<Record<string, Expectation>>;
  readonly stores?: readonly ExpectedAnswer[];
  /** The counters that are named must have these values, summed over all tasks. */
  readonly counters?: Partial<Omit<TaskCounters, "written" | "deadLetters">> & { readonly written?: Readonly<Record<string, number>>; readonly deadLetters?: Readonly<Record<string, number>> };
}

const SHOWN_MAX = 5;

/** A value as text that is the same for equal values: members in order, big integers as numbers. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_name, inner: unknown) => {
    if (typeof inner === "bigint") return inner <= Number.MAX_SAFE_INTEGER && inner >= Number.MIN_SAFE_INTEGER ? Number(inner) : String(inner);
    if (inner === null || typeof inner !== "object" || Array.isArray(inner)) return inner;
    if (inner instanceof Map || inner instanceof Set) return [...inner];
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

function countsOf(rows: readonly unknown[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const row of rows) {
    const text = canonical(row);
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return counts;
}

function list(texts: readonly string[]): string {
  return `${texts.slice(0, SHOWN_MAX).join(", ")}${texts.length > SHOWN_MAX ? `, and ${texts.length - SHOWN_MAX} more` : ""}`;
}

/** What is missing and what is too much, as problems. */
export function compareRows(what: string, found: readonly unknown[], expected: readonly unknown[]): string[] {
  const counts = countsOf(found);
  const missing: string[] = [];
  for (const [text, count] of countsOf(expected)) {
    const held = counts.get(text) ?? 0;
    for (let left = count - held; left > 0; left--) missing.push(text);
    counts.set(text, held - count);
  }
  const extra = [...counts].flatMap(([text, count]) => (count > 0 ? Array.from({ length: count }, () => text) : []));
  const problems: string[] = [];
  if (missing.length > 0) problems.push(`${what}: ${missing.length} of ${expected.length} rows are missing: ${list(missing)}`);
  if (extra.length > 0) problems.push(`${what}: ${extra.length} rows are too much or wrong: ${list(extra)}`);
  return problems;
}

function compareOrder(what: string, found: readonly unknown[], expected: readonly unknown[], orderedBy: (row: never) => string): string[] {
  const byName = (rows: readonly unknown[]): Map<string, string[]> => {
    const groups = new Map<string, string[]>();
    for (const row of rows) groups.set(orderedBy(row as never), [...(groups.get(orderedBy(row as never)) ?? []), canonical(row)]);
    return groups;
  };
  const wanted = byName(expected);
  for (const [name, rows] of byName(found)) {
    if (rows.join("\n") !== wanted.get(name)?.join("\n")) return [`${what}: the rows of ${name} came in the order ${list(rows)}, not ${list(wanted.get(name) ?? [])}`];
  }
  return [];
}

function compareLatest(what: string, found: readonly unknown[], expectation: Expectation & { readonly kind: "latest" }): string[] {
  const { by, version, rows } = expectation;
  const last = new Map<string, { readonly version: number; readonly row: unknown }>();
  for (const row of found) {
    const name = by(row as never);
    const own = version(row as never);
    const known = last.get(name);
    if (known !== undefined && known.version === own && canonical(known.row) !== canonical(row)) return [`${what}: ${name} has two rows of version ${own}: ${canonical(known.row)} and ${canonical(row)}`];
    if (known === undefined || known.version < own) last.set(name, { version: own, row });
  }
  return compareRows(what, [...last.values()].map(({ row }) => row), rows);
}

/**
 * Compares what stands in a target with what must, and tells what is wrong in a line each: so a model that is written for {@link simulate} serves a run on real servers too.
 *
 * @example
 * compareOutput("paid", [{ order: 1 }], exactly([{ order: 1 }, { order: 2 }])); // ['paid: 1 of 2 rows are missing: {"order":2}']
 */
export function compareOutput(target: string, found: readonly unknown[], expectation: Expectation): string[] {
  if (expectation.kind === "latest") return compareLatest(target, found, expectation);
  if (expectation.kind === "compacted") return compareRows(target, [...new Map(found.filter((row) => row !== null).map((row) => [expectation.by(row as never), row])).values()], expectation.rows);
  const problems = compareRows(target, found, expectation.rows);
  return problems.length > 0 || expectation.orderedBy === undefined ? problems : compareOrder(target, found, expectation.rows, expectation.orderedBy);
}

/** Compares counters. */
export function compareCounters(found: Readonly<TaskCounters>, expected: NonNullable<ExpectedOutcome["counters"]>): string[] {
  const problems: string[] = [];
  const compare = (name: string, held: number, wanted: number): void => {
    if (held !== wanted) problems.push(`counter ${name} is ${held}, not ${wanted}`);
  };
  for (const [name, value] of Object.entries(expected)) {
    const held = found[name as keyof TaskCounters];
    if (typeof value === "number") compare(name, typeof held === "number" ? held : 0, value);
    else for (const [inner, count] of Object.entries(value)) compare(`${name}.${inner}`, (held as Record<string, number>)[inner] ?? 0, count);
  }
  return problems;
}
