/** Cases as files: a topology as data, inputs, and what Kafka Streams made of them. The format is described in cases/README.md. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface WindowSpec {
  readonly type: "tumbling" | "hopping" | "sliding" | "session";
  readonly sizeMs?: number;
  readonly advanceMs?: number;
  readonly timeDifferenceMs?: number;
  readonly gapMs?: number;
  readonly graceMs: number;
}

/** A step of a case's topology; which fields it has depends on `op`. */
export interface CaseNode {
  readonly op: string;
  readonly id?: string;
  readonly in?: string;
  readonly ins?: readonly string[];
  readonly left?: string;
  readonly right?: string;
  readonly topic?: string;
  readonly store?: string;
  readonly historyMs?: number;
  readonly retentionMs?: number;
  readonly pred?: string;
  readonly fn?: string;
  readonly subtractFn?: string;
  readonly name?: string;
  readonly branches?: readonly { readonly id: string; readonly pred: string }[];
  readonly default?: string;
  readonly window?: WindowSpec;
  readonly emit?: string;
  readonly until?: string;
  readonly limitMs?: number;
  readonly maxRecords?: number;
  readonly type?: string;
  readonly beforeMs?: number;
  readonly afterMs?: number;
  readonly graceMs?: number;
  readonly extract?: string;
  readonly parts?: readonly { readonly in: string; readonly fn: string }[];
  readonly intervalMs?: number;
  readonly forwardRecords?: boolean;
}

export type CaseInput = { readonly topic: string; readonly key: string | null; readonly value: unknown; readonly ts: number } | { readonly advanceWallClockMs: number };

export interface WindowedKey {
  readonly key: string | null;
  readonly start: number;
  readonly end: number;
}

export interface CaseOutput {
  readonly topic: string;
  readonly key: string | null | WindowedKey;
  readonly value: unknown;
  readonly ts: number;
  /** The place of the input that caused it. */
  readonly by: number;
}

/** A row of a store: a key, the bounds of a window where there is one, a value, a timestamp (not in session stores). */
export interface StoreRow {
  readonly key: string;
  readonly start?: number;
  readonly end?: number;
  readonly value: unknown;
  readonly ts?: number | null;
}

/** An answer to a look into the past of a versioned store. */
export interface AsOfRow extends StoreRow {
  readonly asOf: number;
  readonly validTo?: number | null;
}

export interface StoreDump {
  readonly type: "kv" | "window" | "session" | "versioned";
  readonly entries?: readonly StoreRow[];
  readonly latest?: readonly StoreRow[];
  readonly asOf?: readonly AsOfRow[];
}

/** What a topology did with the inputs. */
export interface CaseResult {
  readonly outputs: readonly CaseOutput[];
  readonly stores: Readonly<Record<string, StoreDump>>;
  readonly droppedRecords: number | null;
}

export interface OracleCase extends CaseResult {
  readonly case: string;
  readonly family: string;
  readonly topology: { readonly config: { readonly emitIntervalMs?: number; readonly initialWallClockMs?: number }; readonly nodes: readonly CaseNode[] };
  readonly inputs: readonly CaseInput[];
}

/** The moments of a topic's records, a key: for those, a case has looks into the past of the topic's versioned store. */
export function momentsOf(test: Pick<OracleCase, "inputs">, topic: string | undefined): Map<string, number[]> {
  const moments = new Map<string, Set<number>>();
  for (const input of test.inputs) {
    if ("advanceWallClockMs" in input || input.topic !== topic || input.key === null) continue;
    moments.set(input.key, (moments.get(input.key) ?? new Set<number>()).add(input.ts));
  }
  return new Map([...moments].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, times]) => [key, [...times].sort((a, b) => a - b)]));
}

/** Reads one case. Throws with the file's name where it is none. */
export function readCase(path: string): OracleCase {
  const found = JSON.parse(readFileSync(path, "utf8")) as Partial<OracleCase>;
  for (const field of ["case", "family", "topology", "inputs", "outputs", "stores"] as const) {
    if (found[field] === undefined) throw new Error(`${path}: no case of the oracle: it has no "${field}"`);
  }
  return { droppedRecords: null, ...found } as OracleCase;
}

/** The paths of a folder's cases, in the order of their names. */
export function casePaths(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => join(folder, name));
}
