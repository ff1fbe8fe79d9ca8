/**
 * What a step keeps, as data: what tells whether a store that one version of a topology has written can be read by another. A new kind of step needs nothing here where its node
 * holds its serdes, and its lengths of time as fields whose names end in `Ms`, by themselves or one level deeper; what is kept otherwise has a line in the table below.
 */
import { isSerde, type Serde, serde as serdes, type ValueShape, valueShape } from "../../schema/index.ts";
import type { AggregateNode, DedupNode, StoreDeclaration, TopologyNode, WindowedGroupNode } from "../../topology/index.ts";

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

/** Lengths of time and the window's kind, from the node and one level deeper. */
function settingsOf(node: object): Record<string, string | number> {
  const settings: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(node)) {
    if (typeof value === "number" && name.endsWith("Ms")) settings[name] = plainTime(value);
    if (typeof value !== "object" || value === null || Array.isArray(value)) continue;
    if (name === "window" && "kind" in value && typeof value.kind === "string") settings["window"] = value.kind;
    for (const [inner, ms] of Object.entries(value as object)) if (typeof ms === "number" && inner.endsWith("Ms")) settings[inner] = plainTime(ms);
  }
  return settings;
}

/** The node's serdes by their fields, and those one level deeper, by the field that holds them. */
function serdesOf(node: object): Record<string, Serde<never>> {
  return Object.fromEntries(
    Object.entries(node).flatMap(([name, value]): [string, Serde<never>][] => {
      if (isSerde(value)) return [[name, value]];
      if (typeof value !== "object" || value === null || Array.isArray(value)) return [];
      return Object.entries(value as object).flatMap(([inner, serde]): [string, Serde<never>][] => (isSerde(serde) ? [[inner === "serde" ? name : `${name}.${inner}`, serde]] : []));
    }),
  );
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

function aggregateStores(node: AggregateNode | WindowedGroupNode): readonly StepStore[] {
  const { name, aggregation, groupBy } = node;
  const settings = settingsOf(node);
  if (aggregation.kind === "reduce") return [store(name, "reduce", keyOf(groupBy), { value: reduceSerde(aggregation) }, settings)];
  const columns = Object.values(aggregation.columns).map(({ kind, field = "" }) => `${kind}(${field})`);
  return [store(name, `aggregate of ${columns.join(", ")}`, keyOf(groupBy), {}, settings)];
}

function declaredStore({ name, form }: StoreDeclaration): StepStore {
  if (form.kind === "custom") return store(name, "process, custom", "the processor's", {}, {});
  // An entry with a time of its own to live is other bytes than one without.
  const kind = "ttlMs" in form && form.ttlMs !== undefined ? `${form.kind}, with a ttl` : form.kind;
  return store(name, `process, ${kind}`, "the processor's", { value: form.serde }, settingsOf(form));
}

const STORES: StoresOf = {
  dedup: dedupStores,
  aggregate: aggregateStores,
  process: (node) => node.stores.map(declaredStore),
  // How long and how often a call is tried says nothing of the records that wait for it.
  "map-async": (node) => [store(node.name, node.kind, "the order of records", { value: node.serde as Serde<never> }, {})],
  // Each task has all of its topic.
  "global-table": (node) => [store(node.name, node.kind, `the keys of ${node.topic}`, { serde: node.serde as Serde<never> }, {})],
  "foreign-key-join": (node) => [store(node.name, node.kind, "the foreign key", {}, {})],
  "windowed-group": (node) => aggregateStores(node).map(({ shape, ...rest }) => ({ ...rest, shape: { ...shape, kind: `windowed ${shape.kind}${node.emit === "close" ? ", on close" : ""}` } })),
};

/** Versions stand in another form than rows; and of rows that were kept without a ttl nobody has noted when they end. */
function keptBeside(node: TopologyNode): string {
  if (node.kind === "table" && node.historyMs !== undefined) return ", versioned";
  // An inner join has not noted which of the records that it keeps are unmatched.
  if (node.kind === "stream-stream-join") return `, ${node.join}`;
  // Windows that emit on close note which of them are open.
  if (node.kind === "windowed-aggregate" && node.emit === "close") return ", on close";
  return (node.kind === "table" || node.kind === "keyed-aggregate" || node.kind === "cogroup") && node.ttlMs !== undefined ? ", with a ttl" : "";
}

/** The store of a step whose state is kept by the records' keys; a step without a serde keeps nothing. */
function ofKeys(node: TopologyNode): readonly StepStore[] {
  const serdes = serdesOf(node);
  if (node.name === undefined || Object.keys(serdes).length === 0) return [];
  const form = ("aggregation" in node && "kind" in node.aggregation ? `${node.kind}, ${node.aggregation.kind}` : node.kind) + keptBeside(node);
  return [store(node.name, form, "the record's key", serdes, settingsOf(node))];
}

/** The stores of a step. */
export function storesOf(node: TopologyNode): readonly StepStore[] {
  const special = STORES[node.kind] as ((node: TopologyNode) => readonly StepStore[]) | undefined;
  if (special !== undefined) return special(node);
  return node.kind === "decode" || node.kind === "sink" ? [] : ofKeys(node);
}
