export * from "./aggregate.ts";
export * from "./dead-letter.ts";
export * from "./define.ts";
export * from "./grouped.ts";
export * from "./node.ts";
export type { OnError } from "./policy.ts";
export * from "./stream.ts";
export * from "./topic.ts";
export * from "./window.ts";
