export * from "./clock.ts";
export * from "./cluster.ts";
export * from "./failpoint.ts";
export * from "./logger.ts";
export * from "./sink.ts";
export * from "./source-log.ts";
