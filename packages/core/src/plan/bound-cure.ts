import type { SubTopology } from "./plan.ts";

const FIELDS = 'say by which field the topic is keyed, as in cast(..., { partitionedBy: "deviceId" }), and keep that field in the state\'s fields; bring equal keys together with .repartition(...); or use one partition';
const GROUPS = "bring the rows of a group together: table.groupBy(..., { repartition, value }); or use one partition";
const FOREIGN_KEYS = "read the other table of a join by foreign key as a global one, t.globalTable(...); or use topics of one partition";

/** What to do where steps of a part keep state that several partitions would split (see `stepsBoundToOnePartition`). */
export function boundCure({ nodes }: SubTopology): string {
  const has = (kind: string): boolean => nodes.some((node) => node.kind === kind);
  const cures = [...(has("foreign-key-join") ? [FOREIGN_KEYS] : []), ...(has("table-group") ? [GROUPS] : [])];
  return cures.length === 0 ? FIELDS : cures.join("; ");
}
