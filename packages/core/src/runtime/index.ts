export { changelogTopic, OWN_TOPIC_CONFIG } from "./cluster-topics.ts";
export { type Instance, openInstance, resetTopology } from "./instance.ts";
export type { InstanceOptions } from "./options.ts";
export type { ClusterStatus, CounterStatus, HangingTransactionStatus, InputStatus, InstanceState, InstanceStatus, OutboxStatus, TaskStatus } from "./status.ts";
export type { StoreInfo, StoreLocation } from "./queries.ts";
export type { StoreKey, WindowRange } from "../task/store-query.ts";
export { openSavepoint } from "./open-savepoint.ts";
export { readStoredOffsets, type SavepointOptions, writeSavepoint } from "./savepoint.ts";
export type { SavepointManifest, SavepointTask } from "./savepoint-manifest.ts";
