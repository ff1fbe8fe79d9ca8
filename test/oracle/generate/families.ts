/** The families of cases: topologies of one kind with random parameters, and inputs to fit. */
import type { CaseNode, WindowSpec } from "../case.ts";
import type { Lengths, Source } from "./inputs.ts";
import type { Random } from "./random.ts";

/** A topology and what its inputs are to be like. */
export interface Plan {
  readonly variant: string;
  readonly nodes: readonly CaseNode[];
  readonly lengths: Lengths;
  readonly sources: readonly Source[];
  readonly emitIntervalMs?: number;
  /** Set where the wall clock moves too: by up to so much at a time. */
  readonly wallClockMs?: number;
}

export type Family = (random: Random) => Plan;

const KEYS = ["a", "b", "c", "d"] as const;
const PLAIN: Lengths = { sizeMs: 10, advanceMs: 10, graceMs: 5, distances: [] };
const INTEGERS: Source = { topic: "in", keys: KEYS, nullKeys: 6, nullValues: 8, values: "int" };
const ROWS: Source = { topic: "in", keys: KEYS, nullKeys: 4, nullValues: 18, values: "int" };
const LEFT: Source = { topic: "left", keys: KEYS.slice(0, 3), nullKeys: 4, nullValues: 6, values: "id:L" };
const RIGHT: Source = { topic: "right", keys: KEYS.slice(0, 3), nullKeys: 4, nullValues: 6, values: "id:R" };
/** A table's side of a join has deletions. */
const deleting = (source: Source): Source => ({ ...source, nullValues: 20 });
/** A versioned table has deletions at the time of a row too. */
const versions = (source: Source): Source => ({ ...source, nullValues: 20, takenBack: 30 });

const stream = (id: string, topic: string): CaseNode => ({ id, op: "stream", topic });
const table = (id: string, topic: string, store?: string): CaseNode => ({ id, op: "table", topic, ...(store === undefined ? {} : { store }) });
const to = (from: string, topic = "out"): CaseNode => ({ op: "to", in: from, topic });

const predicateOf = (random: Random): string => random.pick(["even", "notNull", "keyIs:a", `gt:${random.between(1, 7)}`, `ge:${random.between(2, 8)}`]);
const mapperOf = (random: Random): string => random.pick([`add:${random.between(1, 100)}`, `nullIfGt:${random.between(3, 8)}`, `mod:${random.between(2, 4)}`]);
const groupingOf = (random: Random): string => `${random.pick(["mod", "modOrNull"])}:${random.between(2, 5)}`;

function stateless(random: Random): Plan {
  const steps: CaseNode[] = [];
  let last = "s";
  for (let index = random.between(2, 5); index > 0; index--) {
    const id = `n${index}`;
    const step = random.pick<{ readonly op: string; readonly pred?: string; readonly fn?: string }>([
      { op: random.pick(["filter", "filterNot"]), pred: predicateOf(random) },
      { op: "mapValues", fn: `add:${random.between(1, 9)}` },
      { op: "flatMapValues", fn: "upToMod3" },
      { op: "map", fn: "parityKey" },
      { op: "flatMap", fn: "repeatMod4" },
      { op: "selectKey", fn: groupingOf(random) },
    ]);
    steps.push({ id, in: last, ...step });
    last = id;
  }
  const split: CaseNode = { op: "split", in: last, branches: [{ id: "b1", pred: predicateOf(random) }, { id: "b2", pred: predicateOf(random) }], ...(random.chance(60) ? { default: "b3" } : {}) };
  const rest = split.default === undefined ? [] : [to("b3", "rest")];
  const merged: CaseNode = { id: "m", op: "merge", ins: ["b1", "s2"] };
  return { variant: "chain", nodes: [stream("s", "in"), stream("s2", "in2"), ...steps, split, ...rest, to("b2", "second"), merged, to("m")], lengths: PLAIN, sources: [INTEGERS, { ...INTEGERS, topic: "in2" }] };
}

function groupedAggregate(random: Random): Plan {
  const aggregate = random.pick<readonly [string, Partial<CaseNode>]>([
    ["count", { op: "count" }],
    ["sum", { op: "reduce", fn: "sum" }],
    ["max", { op: "reduce", fn: "max" }],
    ["reduce-null", { op: "reduce", fn: "sumNullIfMod5" }],
    ["sumcount", { op: "aggregate", fn: "sumCount" }],
    ["aggregate-null", { op: "aggregate", fn: "sumNullIfMod5" }],
    ["list", { op: "aggregate", fn: "list:x" }],
  ]);
  const nodes: CaseNode[] = [stream("s", "in"), { id: "g", op: "groupByKey", in: "s" }, { id: "t", in: "g", store: "st", op: "count", ...aggregate[1] }, to("t")];
  return { variant: aggregate[0], nodes, lengths: PLAIN, sources: [INTEGERS] };
}

/** Steps of one table behind another, each perhaps with a store. */
function tableSteps(random: Random, count: number): { readonly nodes: CaseNode[]; readonly last: string } {
  const nodes: CaseNode[] = [];
  let last = "t";
  for (let index = 1; index <= count; index++) {
    const id = `o${index}`;
    const op = random.pick(["filter", "filterNot", "mapValues"]);
    nodes.push({ id, op, in: last, ...(op === "mapValues" ? { fn: mapperOf(random) } : { pred: predicateOf(random) }), ...(random.chance(40) ? { store: `kept${index}` } : {}) });
    last = id;
  }
  return { nodes, last };
}

function ktable(random: Random): Plan {
  const steps = tableSteps(random, random.between(0, 3));
  const values = random.chance(40) ? { ...ROWS, values: "few" as const } : ROWS;
  const sources = random.pick<readonly CaseNode[]>([
    [table("t", "in", "src")],
    [table("t", "in")],
    [stream("s", "in"), { id: "t", op: "toTable", in: "s", store: "tt" }],
    [stream("s", "in"), { id: "k", op: "selectKey", in: "s", fn: "mod:3" }, { id: "t", op: "toTable", in: "k", store: "tt" }],
  ]);
  return { variant: "steps", nodes: [...sources, ...steps.nodes, { id: "out", op: "toStream", in: steps.last }, to("out")], lengths: PLAIN, sources: [values] };
}

function ktableGroupBy(random: Random): Plan {
  const filter: CaseNode[] = random.chance(30) ? [{ id: "f", op: "filter", in: "t", pred: `gt:${random.between(2, 5)}` }] : [];
  const aggregate = random.pick<Partial<CaseNode>>([{ op: "aggregate", fn: "sumCount" }, { op: "aggregate", fn: "tlist" }, { op: "count" }, { op: "reduce", fn: "sum", subtractFn: "sub" }]);
  const nodes: CaseNode[] = [table("t", "in", "src"), ...filter, { id: "g", op: "groupBy", in: filter.length > 0 ? "f" : "t", fn: groupingOf(random) }, { id: "o", in: "g", store: "agg", op: "count", ...aggregate }, to("o")];
  return { variant: "aggregate", nodes, lengths: PLAIN, sources: [ROWS] };
}

type WindowType = WindowSpec["type"];

/** A window of a kind, and the lengths to try it with. */
function windowOf(random: Random, type: WindowType): { readonly window: WindowSpec; readonly lengths: Lengths } {
  const graceMs = random.pick([0, 0, 3, 5, 10, 20]);
  if (type === "session") {
    const gapMs = random.between(2, 12);
    return { window: { type, gapMs, graceMs }, lengths: { sizeMs: gapMs, advanceMs: gapMs, graceMs, distances: [gapMs, gapMs + 1, gapMs + graceMs, gapMs + graceMs + 1, 2 * gapMs + graceMs] } };
  }
  const sizeMs = random.between(5, 20);
  if (type === "sliding") {
    const distances = [sizeMs, sizeMs + 1, 2 * sizeMs, sizeMs + graceMs, 2 * sizeMs + graceMs, graceMs + 1];
    return { window: { type, timeDifferenceMs: sizeMs, graceMs }, lengths: { sizeMs, advanceMs: sizeMs, graceMs, distances } };
  }
  const advanceMs = type === "hopping" ? random.between(Math.ceil(sizeMs / 5), sizeMs - 1) : sizeMs;
  return { window: type === "hopping" ? { type, sizeMs, advanceMs, graceMs } : { type, sizeMs, graceMs }, lengths: { sizeMs, advanceMs, graceMs, distances: [] } };
}

function windows(type: WindowType): Family {
  return (random) => {
    const { window, lengths } = windowOf(random, type);
    const mode = random.pick(["eager", "emitfinal", "emitfinal-default-retention", "suppress"]);
    const onClose = mode.startsWith("emitfinal");
    const aggregate = random.pick<Partial<CaseNode>>([{ op: "count" }, { op: "reduce", fn: "sum" }, { op: "aggregate", fn: "list" }]);
    const nodes: CaseNode[] = [
      stream("s", "in"),
      { id: "g", op: "groupByKey", in: "s" },
      { id: "w", op: "windowedBy", in: "g", window, ...(onClose ? { emit: "onWindowClose" } : {}) },
      { id: "t", in: "w", store: "win", op: "count", ...aggregate, ...(mode === "emitfinal" ? { retentionMs: 1_000_000 } : {}) },
      ...(mode === "suppress" ? [{ id: "o", op: "suppress", in: "t", until: "windowCloses" }] : []),
      to(mode === "suppress" ? "o" : "t"),
    ];
    return { variant: mode, nodes, lengths, sources: [{ ...INTEGERS, keys: KEYS.slice(0, 3) }] };
  };
}

function streamStreamJoin(random: Random): Plan {
  const type = random.pick(["inner", "left", "outer"]);
  const isSymmetric = random.chance(50);
  const afterMs = random.between(0, 12);
  const beforeMs = isSymmetric ? afterMs : random.between(random.chance(20) ? -Math.min(3, afterMs) : 0, 12);
  const graceMs = random.pick([0, 0, 3, 5, 10, 20]);
  const size = Math.max(4, afterMs, beforeMs);
  const lengths = { sizeMs: size, advanceMs: size, graceMs, distances: [afterMs, Math.abs(beforeMs), afterMs + beforeMs, afterMs + graceMs, Math.abs(beforeMs) + graceMs, afterMs + beforeMs + graceMs] };
  const nodes: CaseNode[] = [stream("l", "left"), stream("r", "right"), { id: "j", op: "streamStreamJoin", type, left: "l", right: "r", beforeMs, afterMs, graceMs }, to("j")];
  return { variant: `${type}-${isSymmetric ? "symmetric" : "asymmetric"}`, nodes, lengths, sources: [LEFT, RIGHT] };
}

function streamTableJoin(random: Random): Plan {
  const type = random.pick(["inner", "left"]);
  const nodes: CaseNode[] = [stream("l", "left"), table("r", "right", "tbl"), { id: "j", op: "streamTableJoin", type, left: "l", right: "r" }, to("j")];
  return { variant: type, nodes, lengths: PLAIN, sources: [{ ...LEFT, weight: 3 }, { ...deleting(RIGHT), weight: 2 }] };
}

function streamGlobalTableJoin(random: Random): Plan {
  const type = random.pick(["inner", "left"]);
  const fn = random.pick(["fieldRef", "key"]);
  const nodes: CaseNode[] = [stream("l", "left"), { id: "r", op: "globalTable", topic: "right", store: "gtbl" }, { id: "j", op: "streamGlobalTableJoin", type, left: "l", right: "r", fn }, to("j")];
  const left: Source = fn === "key" ? LEFT : { ...LEFT, values: "ref" };
  return { variant: `${type}-${fn}`, nodes, lengths: PLAIN, sources: [{ ...left, weight: 3 }, { ...deleting(RIGHT), weight: 2, keys: fn === "key" ? LEFT.keys : ["x", "y", "z"] }] };
}

function tableTableJoin(random: Random): Plan {
  const type = random.pick(["inner", "left", "outer"]);
  const nodes: CaseNode[] = [table("l", "left", "lt"), table("r", "right", "rt"), { id: "j", op: "tableTableJoin", type, left: "l", right: "r", ...(random.chance(50) ? { store: "jt" } : {}) }, to("j")];
  return { variant: type, nodes, lengths: PLAIN, sources: [deleting(LEFT), deleting(RIGHT)] };
}

function foreignKeyJoin(random: Random): Plan {
  const type = random.pick(["inner", "left"]);
  const nodes: CaseNode[] = [table("l", "left", "lt"), table("r", "right", "rt"), { id: "j", op: "foreignKeyJoin", type, left: "l", right: "r", extract: "fieldRef", store: "jt" }, to("j")];
  return { variant: type, nodes, lengths: PLAIN, sources: [{ ...deleting(LEFT), keys: KEYS, values: "ref", weight: 3 }, { ...deleting(RIGHT), keys: ["x", "y", "z"], weight: 2 }] };
}

function cogroup(random: Random): Plan {
  const type = random.pick<WindowType | "plain">(["plain", "tumbling", "hopping", "sliding", "session"]);
  const fn = random.chance(60) ? "list" : "sumCount";
  const parts = ["A", "B"].map((name, index) => ({ in: `g${index + 1}`, fn: fn === "list" ? `list:${name}` : fn }));
  const { window, lengths } = type === "plain" ? { window: undefined, lengths: PLAIN } : windowOf(random, type);
  const nodes: CaseNode[] = [
    ...[1, 2].flatMap((index): CaseNode[] => [stream(`s${index}`, `in${index}`), { id: `g${index}`, op: "groupByKey", in: `s${index}` }]),
    { id: "c", op: "cogroup", parts },
    ...(window === undefined ? [] : [{ id: "w", op: "windowedBy", in: "c", window }]),
    { id: "t", op: "aggregate", in: window === undefined ? "c" : "w", fn, store: "agg" },
    to("t"),
  ];
  return { variant: type, nodes, lengths, sources: [1, 2].map((index) => ({ ...INTEGERS, topic: `in${index}`, keys: KEYS.slice(0, 3) })) };
}

function versionedStreamTableJoin(random: Random): Plan {
  const type = random.pick(["inner", "left"]);
  const historyMs = random.between(5, 60);
  const graceMs = random.chance(50) ? random.between(0, Math.min(20, historyMs)) : undefined;
  const join: CaseNode = { id: "j", op: "streamTableJoin", type, left: "l", right: "r", ...(graceMs === undefined ? {} : { graceMs }) };
  const nodes: CaseNode[] = [stream("l", "left"), { ...table("r", "right", "vt"), historyMs }, join, to("j")];
  // A record without a key crashes Kafka Streams' left join with grace.
  const left = { ...LEFT, weight: 3, nullKeys: type === "left" && graceMs !== undefined ? 0 : 4 };
  return { variant: `${type}-${graceMs === undefined ? "asof" : "grace"}`, nodes, lengths: { sizeMs: 10, advanceMs: 10, graceMs: graceMs ?? 5, distances: [historyMs, Math.floor(historyMs / 2), graceMs ?? 5] }, sources: [left, { ...versions(RIGHT), weight: 3 }] };
}

function versionedKtable(random: Random): Plan {
  const historyMs = random.between(5, 60);
  const lengths = { sizeMs: 10, advanceMs: 10, graceMs: 5, distances: [historyMs, 5] };
  const right: Source = { ...versions(RIGHT), values: "int" };
  const source: CaseNode = { ...table("t", "right", "vt"), historyMs };
  const variant = random.pick(["toStream", "filter-groupby", "table-table-join"]);
  if (variant === "toStream") return { variant, nodes: [source, to("t")], lengths, sources: [right] };
  if (variant === "filter-groupby") {
    const nodes: CaseNode[] = [source, { id: "f", op: "filter", in: "t", pred: `gt:${random.between(2, 5)}` }, { id: "g", op: "groupBy", in: "f", fn: "mod:3" }, { id: "o", op: "aggregate", in: "g", fn: "sumCount", store: "agg" }, to("o")];
    return { variant, nodes, lengths, sources: [right] };
  }
  const other: CaseNode = { ...table("l", "left", "lv"), historyMs };
  const join: CaseNode = { id: "j", op: "tableTableJoin", type: random.pick(["inner", "left", "outer"]), left: "l", right: "t", store: "jt" };
  return { variant, nodes: [other, source, join, to("j")], lengths, sources: [versions(LEFT), { ...right, values: "id:R" }] };
}

function repartition(random: Random): Plan {
  const fn = groupingOf(random);
  const isWindowed = random.chance(30);
  const { window, lengths } = isWindowed ? windowOf(random, random.pick(["tumbling", "hopping", "session"])) : { window: undefined, lengths: PLAIN };
  const grouping = random.pick<readonly CaseNode[]>([
    [{ id: "k", op: "selectKey", in: "s", fn }, { id: "g", op: "groupByKey", in: "k" }],
    [{ id: "g", op: "groupBy", in: "s", fn }],
    [{ id: "k", op: "selectKey", in: "s", fn }, { id: "p", op: "repartition", in: "k", name: "rp" }, to("p", "through"), { id: "g", op: "groupByKey", in: "p" }],
  ]);
  const nodes: CaseNode[] = [
    stream("s", "in"),
    ...grouping,
    ...(window === undefined ? [] : [{ id: "w", op: "windowedBy", in: "g", window }]),
    { id: "t", in: window === undefined ? "g" : "w", store: "st", ...random.pick<{ readonly op: string; readonly fn?: string }>([{ op: "count" }, { op: "reduce", fn: "sum" }]) },
    to("t"),
  ];
  return { variant: isWindowed ? "windowed" : "plain", nodes, lengths, sources: [INTEGERS] };
}

function suppressTimeLimit(random: Random): Plan {
  const limitMs = random.between(0, 25);
  const bound = random.chance(50) ? { maxRecords: random.between(1, 4) } : {};
  const nodes: CaseNode[] = [table("t", "in", "src"), { id: "o", op: "suppress", in: "t", until: "timeLimit", limitMs, ...bound }, to("o")];
  return { variant: "maxRecords" in bound ? "maxrecords" : "unbounded", nodes, lengths: { ...PLAIN, distances: [limitMs, 5, 15] }, sources: [ROWS] };
}

function windowAfterFilter(random: Random): Plan {
  const { window, lengths } = windowOf(random, random.pick(["tumbling", "hopping", "sliding", "session"]));
  const nodes: CaseNode[] = [stream("s", "in"), { id: "f", op: "filter", in: "s", pred: predicateOf(random) }, { id: "g", op: "groupByKey", in: "f" }, { id: "w", op: "windowedBy", in: "g", window }, { id: "t", op: "count", in: "w", store: "win" }, to("t")];
  return { variant: "count", nodes, lengths, sources: [INTEGERS] };
}

function wallclock(random: Random): Plan {
  if (random.chance(50)) return { ...streamStreamJoin(random), variant: "join", emitIntervalMs: 1_000, wallClockMs: 600 };
  const { window, lengths } = windowOf(random, random.pick(["tumbling", "hopping", "session"]));
  const nodes: CaseNode[] = [stream("s", "in"), { id: "g", op: "groupByKey", in: "s" }, { id: "w", op: "windowedBy", in: "g", window, emit: "onWindowClose" }, { id: "t", op: "count", in: "w", store: "win", retentionMs: 1_000_000 }, to("t")];
  return { variant: "emitfinal", nodes, lengths, sources: [INTEGERS], emitIntervalMs: 1_000, wallClockMs: 600 };
}

function punctuator(random: Random): Plan {
  const intervalMs = random.between(3, 30);
  const nodes: CaseNode[] = [stream("s", "in"), { id: "p", op: "punctuator", in: "s", type: random.pick(["streamTime", "wallClock"]), intervalMs, forwardRecords: random.chance(80) }, to("p")];
  return { variant: nodes[1]?.type ?? "", nodes, lengths: { ...PLAIN, distances: [intervalMs, 5] }, sources: [INTEGERS], wallClockMs: Math.max(15, 2 * intervalMs) };
}

export const FAMILIES: Readonly<Record<string, Family>> = Object.freeze({
  stateless,
  "grouped-aggregate": groupedAggregate,
  ktable,
  "ktable-groupby": ktableGroupBy,
  "window-tumbling": windows("tumbling"),
  "window-hopping": windows("hopping"),
  "window-sliding": windows("sliding"),
  "window-session": windows("session"),
  "stream-stream-join": streamStreamJoin,
  "stream-table-join": streamTableJoin,
  "stream-globaltable-join": streamGlobalTableJoin,
  "table-table-join": tableTableJoin,
  "foreign-key-join": foreignKeyJoin,
  cogroup,
  "versioned-stream-table-join": versionedStreamTableJoin,
  "versioned-ktable": versionedKtable,
  repartition,
  "suppress-timelimit": suppressTimeLimit,
  "window-after-filter": windowAfterFilter,
  wallclock,
  punctuator,
});
