export { Entity } from "./entity.ts";
export { DEFAULT_GENERATOR, FleetGenerator, generateRecords, replayLine } from "./generate.ts";
export type { GeneratedRecord, GeneratorOptions, GeneratorPosition } from "./generate.ts";
export { Reading, ReadingWindow } from "./reading.ts";
export { default as iot } from "./topology.ts";
export { default } from "./topology.ts";
