/** The public surface of @iot-topology/core: the language, the schema, the engine, and the ports that connectors implement. */
export * from "./model/index.ts";
export * from "./plan/index.ts";
export * from "./port/index.ts";
export * from "./runtime/index.ts";
export * from "./schema/index.ts";
export { crc32c } from "./state/crc32c.ts";
export * from "./state/level.ts";
export { openValue, sealedValue, sealValueInPlace } from "./state/sealed.ts";
export type { KeyRange, StateBackend, StateBatch } from "./state/backend.ts";
export { levelDisk, type StateDisk } from "./state/state-disk.ts";
export * from "./topology/index.ts";
