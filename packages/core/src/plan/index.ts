export { describe } from "./describe.ts";
export { stepsBoundToOnePartition } from "./partitioning.ts";
export type { Plan, PlanError, SubTopology } from "./plan.ts";
export { isRebuildable } from "./rebuildable.ts";
export { validate } from "./validate.ts";
