export * from "./assert.ts";
export * from "./byte-reader.ts";
export * from "./byte-writer.ts";
export * from "./error.ts";
export * from "./frame.ts";
export * from "./id.ts";
export * from "./record.ts";
export * from "./time.ts";
