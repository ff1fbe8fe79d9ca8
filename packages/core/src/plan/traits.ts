import type { TopologyNode } from "../topology/index.ts";

/** What the plan must know of a kind of step. */
export interface NodeTraits {
  /** Whether records leave with the key with which they came. */
  readonly key: "keeps" | "changes";
  /** By what its state is kept: by fields of the value, or by the record's key; then equal keys must be in one task. By foreign keys, rows that meet may have come with any keys. */
  readonly state: "none" | "fields" | "key" | "foreign-key";
  /**
   * When its rows leave: with the record that makes them; with the last of several that make them, so that they depend on the order in which topics are read; at commits; or by
   * the clock. Only the first are the same rows of the same records again when the input is read again.
   */
  readonly emits: "record" | "order" | "commit" | "clock";
  /** What leaves: the values that came, other values, or rows of which a later one replaces an earlier one of its key. */
  readonly rows: "same" | "changed" | "updates";
}

const STATELESS: NodeTraits = { key: "keeps", state: "none", emits: "record", rows: "same" };
const REKEYED: NodeTraits = { key: "changes", state: "none", emits: "record", rows: "same" };
const KEYED: NodeTraits = { key: "keeps", state: "key", emits: "record", rows: "updates" };
const LOOKUP: NodeTraits = { key: "keeps", state: "key", emits: "record", rows: "changed" };
const CHANGED = { rows: "changed" } as const;

/** The traits of each kind of step. */
export const NODE_TRAITS: { readonly [K in TopologyNode["kind"]]: NodeTraits } = {
  source: STATELESS,
  cast: STATELESS,
  decode: STATELESS,
  filter: STATELESS,
  map: { ...STATELESS, ...CHANGED },
  flatMap: { ...STATELESS, ...CHANGED },
  peek: STATELESS,
  merge: STATELESS,
  branch: STATELESS,
  arm: STATELESS,
  late: STATELESS,
  sink: STATELESS,
  "to-stream": STATELESS,
  "dead-letter": STATELESS,
  rekey: REKEYED,
  "map-record": { ...REKEYED, ...CHANGED },
  "flat-map-record": { ...REKEYED, ...CHANGED },
  repartition: REKEYED,
  dedup: { key: "keeps", state: "fields", emits: "record", rows: "same" },
  aggregate: { key: "changes", state: "fields", emits: "commit", rows: "updates" },
  "map-async": { key: "keeps", state: "none", emits: "clock", rows: "changed" },
  // Of a process step, see traitsOf.
  process: { key: "changes", state: "key", emits: "clock", rows: "changed" },
  "process-child": STATELESS,
  table: KEYED,
  "table-filter": KEYED,
  "table-map": KEYED,
  "keyed-aggregate": KEYED,
  "stream-stream-join": { ...LOOKUP, emits: "order" },
  "stream-table-join": LOOKUP,
  // It is the same in every task, so it asks nothing of keys.
  "global-table": { key: "keeps", state: "fields", emits: "record", rows: "updates" },
  // How far a task is in the global table's topic when it processes a record is not the same the next time.
  "stream-global-table-join": { key: "keeps", state: "none", emits: "order", rows: "changed" },
  "table-group": { key: "changes", state: "none", emits: "record", rows: "changed" },
  "table-aggregate": KEYED,
  "table-join": { ...KEYED, emits: "order" },
  "foreign-key-join": { ...KEYED, state: "foreign-key", emits: "order" },
  cogroup: KEYED,
  "windowed-aggregate": KEYED,
  "windowed-group": { key: "changes", state: "fields", emits: "commit", rows: "updates" },
  suppress: KEYED,
};

/** The traits of a step: those of its kind, or what the step says of itself. */
export function traitsOf(node: TopologyNode): NodeTraits {
  const traits = NODE_TRAITS[node.kind];
  if (node.kind === "windowed-group" && node.emit !== "commit") return { ...traits, emits: "record" };
  if (node.kind !== "process") return traits;
  return { ...traits, key: node.keepsKey ? "keeps" : "changes", state: node.stores.length > 0 ? "key" : "none", emits: node.schedules === "wall-clock" ? "clock" : "record" };
}
