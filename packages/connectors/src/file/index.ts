/** Files as sources: the replay format, NDJSON and CSV, appended to the embedded log exactly once. */
export { ingestFile } from "./ingest-file.ts";
export type { FileFormat, IngestOptions, IngestResult } from "./ingest-file.ts";
export type { FieldNames } from "./field.ts";
export type { IngestProgress } from "./ingestion.ts";
