import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { resolve } from "node:path";
import { TopologyError, systemClock } from "@iot-topology/core";
import type { Clock } from "@iot-topology/core";
import type { PositionedLog } from "./positioned-log.ts";
import { readCsv } from "./csv.ts";
import type { FieldNames } from "./field.ts";
import { findStart } from "./file-position.ts";
import { type IngestProgress, Ingestion } from "./ingestion.ts";
import { ndjsonLines, readLines, replayLines } from "./lines.ts";

/** What a file's records look like. */
export type FileFormat = "replay" | "ndjson" | "csv";

/** How {@link ingestFile} reads. */
export interface IngestOptions extends FieldNames {
  readonly path: string;
  readonly format: FileFormat;
  readonly log: PositionedLog;
  /** Where the records of NDJSON and CSV go; the replay format names a topic in each line. */
  readonly topic?: string;
  /** The field that becomes the record's key (NDJSON, CSV); without it records have none. */
  readonly key?: string;
  /** The field that becomes the record's timestamp (NDJSON, CSV): epoch milliseconds or ISO-8601. Without it, the moment of ingestion. */
  readonly timestamp?: string;
  /** Reads the file from its start though it was read before. One that was interrupted is continued by the next reading with `again`. */
  readonly again?: boolean;
  /** Stops between two appends; what was appended stands, and the next call goes on from there. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: IngestProgress) => void;
  readonly clock?: Clock;
}

/** What a reading came to. */
export interface IngestResult {
  /** `new`: not read before. `continued`: from where an earlier reading ended. `unchanged`: nothing to add. `changed`: read before with other content, so read anew. `again`: forced. */
  readonly status: "new" | "continued" | "unchanged" | "changed" | "again";
  /** Records appended by this call. */
  readonly records: number;
  /** Bytes of the file that are in the log now, and its size. */
  readonly bytesRead: number;
  readonly bytesTotal: number;
  /** False where the signal stopped it before the file's end. */
  readonly finished: boolean;
}

const CHUNK = 1 << 20;
/** Readings into one log go one after the other: two of the same file would not see each other's positions. */
const turns = new WeakMap<PositionedLog, Promise<unknown>>();

/**
 * Appends a file's records to a log exactly once: each group of records and the position behind it are one commit, so that a kill
 * at any moment neither loses nor doubles a record, and reading the same content again adds nothing. The file is streamed in memory of a few MiB.
 *
 * Throws FILE_NOT_FOUND, FILE_INVALID and TOPIC_NOT_FOUND (place is path:line; what stands before that line is in the log), USAGE, and what the log throws.
 *
 * ```ts
 * await ingestFile({ path: "readings.ndjson", format: "ndjson", topic: "iot.readings", key: "deviceId", log });
 * ```
 */
export function ingestFile(options: IngestOptions): Promise<IngestResult> {
  const before = turns.get(options.log) ?? Promise.resolve();
  const turn = before.then(() => ingest(options));
  turns.set(options.log, turn.catch(() => undefined));
  return turn;
}

async function ingest(options: IngestOptions): Promise<IngestResult> {
  const { log, format, topic, again = false } = options;
  const path = resolve(options.path);
  if (format !== "replay" && topic === undefined) throw new TopologyError("USAGE", `the format ${format} needs a topic`, { place: path, cure: "name the topic its records go to" });
  const file = await openFile(path);
  try {
    const { size } = await file.stat();
    const reading = JSON.stringify(format === "replay" ? [format] : [format, topic, options.key ?? null, options.timestamp ?? null]);
    const start = await findStart(log, file, { path, reading, again, size });
    const ingestion = new Ingestion(log, start, { base: { path, reading, again: start.from?.again ?? again }, size, onProgress: options.onProgress });
    const from = ingestion.position;
    ingestion.tell();
    const finished = await readAll(options, ingestion, file);
    const { records, position } = ingestion;
    const status = again ? "again" : start.changed ? "changed" : from === 0 ? "new" : position === from ? "unchanged" : "continued";
    return { status, records, bytesRead: position, bytesTotal: ingestion.size, finished };
  } finally {
    await file.close();
  }
}

/** Reads from the ingestion's position to the end, or until the signal; gives whether the end was reached. */
async function readAll(options: IngestOptions, ingestion: Ingestion, file: FileHandle): Promise<boolean> {
  const { format, signal, clock = systemClock } = options;
  const topic = options.topic ?? "";
  const chunks = async function* (): AsyncGenerator<Buffer, void, undefined> {
    for (let at = ingestion.position; ; ) {
      signal?.throwIfAborted();
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafeSlow(CHUNK), 0, CHUNK, at);
      if (bytesRead === 0) return;
      const chunk = buffer.subarray(0, bytesRead);
      ingestion.read(chunk);
      at += bytesRead;
      yield chunk;
    }
  };
  try {
    if (format === "csv") await readCsv(ingestion, chunks(), topic, options, clock);
    else await readLines(ingestion, chunks(), format === "replay" ? replayLines(ingestion, clock) : ndjsonLines(ingestion, topic, options, clock));
  } catch (error) {
    // What was read before the fault, or before the signal, is whole: it goes into the log.
    const isStopped = signal?.aborted === true && error === signal.reason;
    const isInput = error instanceof TopologyError && (error.code === "FILE_INVALID" || error.code === "TOPIC_NOT_FOUND");
    if (isStopped || isInput) await ingestion.commit(false);
    if (isStopped) return false;
    throw error;
  }
  await ingestion.commit(true);
  return true;
}

async function openFile(path: string): Promise<FileHandle> {
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") throw new TopologyError("FILE_NOT_FOUND", "the file does not exist", { place: path, cure: "check the path", cause });
    throw new TopologyError("FILE_INVALID", `the file cannot be opened: ${message}`, { place: path, cure: "check its permissions", cause });
  }
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new TopologyError("FILE_INVALID", "this is no regular file, so no position in it can be kept", { place: path, cure: "write it to a file first" });
}
