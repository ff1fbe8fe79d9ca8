/**
 * What a step keeps, as data: what tells whether a store that one version of a topology has written can be read by another. A new kind of step needs nothing here where its node
 * holds its serdes, and its lengths of time as fields whose names end in `Ms`, by themselves or in its `window`; what is kept otherwise has a line in the table below.
 */
import { isSerde, type Serde, serde as serdes, type ValueShape, valueShape } from "../../schema/index.ts";
import type { AggregateNode, DedupNode, TopologyNode } from "../../topology/index.ts";
import { NODE_TRAITS } from "../traits.ts";

/** A store, as a lock file and the state itself keep it. */
export interface StoreShape {
  /** The kind of step, and its form where a kind has several: what is kept under one is unreadable under another. */
  readonly kind: string;
  /** What an entry is found by. */
  readonly key: string;
  /** How values are kept, by the field of the step that says it. */
  readonly values: Readonly<Record<string, ValueShape>>;
  /** Kinds of windows and lengths of time; without end is `unbounded`. */
  readonly settings: Readonly<Record<string, string | number>>;
}

/** A store of a step: its name, its shape, and the serdes of its values. */
export interface StepStore {
  readonly name: string;
  readonly shape: StoreShape;
  readonly serdes: Readonly<Record<string, Serde<never>>>;
}

type NodeOf<K extends TopologyNode["kind"]> = Extract<TopologyNode, { readonly kind: K }>;
type StoresOf = { readonly [K in TopologyNode["kind"]]?: (node: NodeOf<K>) => readonly StepStore[] };

/** A function is told by nothing. */
function keyOf(fields: readonly string[] | undefined): string {
  return fields === undefined ? "a function" : fields.join(", ");
}

function plainTime(ms: number): number | string {
  return Number.isFinite(ms) ? ms : "unbounded";
}

/** Lengths of time and the window's kind, from wherever the node has them. */
function settingsOf(node: object): Record<string, string | number> {
  const settings: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(node)) {
    if (typeof value === "number" && name.endsWith("Ms")) settings[name] = plainTime(value);
    if (name !== "window" && name !== "windows") continue;
    const window = value as { readonly kind?: unknown } | undefined;
    if (typeof window !== "object" || window === null) continue;
    if (typeof window.kind === "string") settings["window"] = window.kind;
    Object.assign(settings, settingsOf(window));
  }
  return settings;
}

function serdesOf(node: object): Record<string, Serde<never>> {
  return Object.fromEntries(Object.entries(node).filter((entry): entry is [string, Serde<never>] => isSerde(entry[1])));
}

function store(name: string, kind: string, key: string, serdes: Readonly<Record<string, Serde<never>>>, settings: Readonly<Record<string, string | number>>): StepStore {
  const values = Object.fromEntries(Object.entries(serdes).map(([field, serde]) => [field, valueShape(serde)]));
  return { name, shape: { kind, key, values, settings }, serdes };
}

function dedupStores(node: DedupNode): readonly StepStore[] {
  const form = node.withinMs !== undefined ? "moments" : node.sequenceField !== undefined ? `sequences of ${node.sequenceField}` : "identities";
  return [store(node.name, `dedup, ${form}`, keyOf(node.fields), {}, settingsOf(node))];
}

function reduceSerde({ schema, migrations }: Extract<AggregateNode["aggregation"], { readonly kind: "reduce" }>): Serde<never> {
  return serdes.migrating(serdes.binary(schema), ...migrations) as Serde<never>;
}

function aggregateStores(node: AggregateNode): readonly StepStore[] {
  const { name, aggregation, groupBy } = node;
  const settings = settingsOf(node);
  if (aggregation.kind === "reduce") return [store(name, "reduce", keyOf(groupBy), { value: reduceSerde(aggregation) }, settings)];
  const columns = Object.values(aggregation.columns).map(({ kind, field = "" }) => `${kind}(${field})`);
  return [store(name, `aggregate of ${columns.join(", ")}`, keyOf(groupBy), {}, settings)];
}

const STORES: StoresOf = {
  dedup: dedupStores,
  aggregate: aggregateStores,
  // Without a serde its rows are made again when they are asked for.
  "table-filter": (node) => (node.serde === undefined ? [] : ofKeys(node)),
  "table-map": (node) => (node.serde === undefined ? [] : ofKeys(node)),
  "table-join": (node) => (node.serde === undefined ? [] : ofKeys(node)),
};

/** Versions stand in another form than rows; and of rows that were kept without a ttl nobody has noted when they end. */
function keptBeside(node: TopologyNode): string {
  if (node.kind === "table" && node.historyMs !== undefined) return ", versioned";
  return (node.kind === "table" || node.kind === "keyed-aggregate") && node.ttlMs !== undefined ? ", with a ttl" : "";
}

/** The store of a step whose state is kept by the records' keys. */
function ofKeys(node: TopologyNode): readonly StepStore[] {
  if (node.name === undefined) return [];
  const form = ("aggregation" in node && "kind" in node.aggregation ? `${node.kind}, ${node.aggregation.kind}` : node.kind) + keptBeside(node);
  return [store(node.name, form, "the record's key", serdesOf(node), settingsOf(node))];
}

/** The stores of a step. */
export function storesOf(node: TopologyNode): readonly StepStore[] {
  const special = STORES[node.kind] as ((node: TopologyNode) => readonly StepStore[]) | undefined;
  if (special !== undefined) return special(node);
  return NODE_TRAITS[node.kind].state === "none" ? [] : ofKeys(node);
}
