export { describe } from "./describe.ts";
export { warningsOf } from "./lint.ts";
export { type KnownPartitions, partitionsWanted } from "./internal-topics.ts";
export { stepsBoundToOnePartition } from "./partitioning.ts";
export type { InternalTopic, Plan, PlanError, SubTopology } from "./plan.ts";
export { isRebuildable } from "./rebuildable.ts";
export { validate } from "./validate.ts";
