/** Files as sources: the replay format, NDJSON and CSV, appended to a log exactly once. */
export { ingestFile } from "./ingest-file.ts";
export type { FileFormat, IngestOptions, IngestResult } from "./ingest-file.ts";
export type { FieldNames } from "./field.ts";
export type { IngestProgress } from "./ingestion.ts";
export type { PositionedLog, PositionedRecords } from "./positioned-log.ts";
