export { type Instance, openInstance, resetTopology } from "./instance.ts";
export type { InstanceOptions } from "./options.ts";
export type { CounterStatus, InputStatus, InstanceState, InstanceStatus, OutboxStatus, TaskStatus } from "./status.ts";
