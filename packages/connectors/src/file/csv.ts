import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { TopologyError } from "@iot-topology/core";
import type { Clock } from "@iot-topology/core";
import { CsvError, parse } from "csv-parse";
import { type FieldNames, timestampOf } from "./field.ts";
import { type Ingestion, invalidLine } from "./ingestion.ts";

interface Row {
  readonly record: readonly string[];
  readonly info: { readonly bytes: number; readonly lines: number };
}

const ROW_BYTES_MAX = 8 << 20;
const BOM = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * Reads CSV: the first row names the columns, every other becomes a JSON object of texts. Bytes go through as they stand (the parser sees a
 * character a byte), so that invalid UTF-8 reaches the cast as it is. A row with another number of fields than the header is appended as its
 * own text, which no cast takes: it ends in the dead letters, not in the wrong columns.
 */
export async function readCsv(ingestion: Ingestion, chunks: AsyncIterable<Buffer>, topic: string, fields: FieldNames, clock: Clock): Promise<void> {
  const base = ingestion.position;
  const baseLines = ingestion.lines;
  // Bytes that the parser does not see stand before what it counts.
  let skipped = 0;
  const source = async function* (): AsyncGenerator<Buffer, void, undefined> {
    let isFirst = base === 0;
    for await (const chunk of chunks) {
      const hasBom = isFirst && chunk.subarray(0, 3).equals(BOM);
      isFirst = false;
      if (hasBom) skipped = 3;
      yield hasBom ? chunk.subarray(3) : chunk;
    }
  };
  const parser = parse({ encoding: "latin1", info: true, relax_column_count: true, skip_empty_lines: true, record_delimiter: ["\r\n", "\n"], max_record_size: ROW_BYTES_MAX });
  const consume = async (rows: AsyncIterable<Row>): Promise<void> => {
    for await (const { record, info } of rows) {
      const end = base + skipped + info.bytes;
      const line = baseLines + info.lines;
      if (ingestion.columns === undefined) ingestion.columns = header(ingestion, record, fields, line);
      else await ingestion.add(topic, rowRecord(ingestion, ingestion.columns, record, end, fields, clock.now()), line);
      ingestion.position = end;
      ingestion.lines = line;
      if (ingestion.isFull) await ingestion.commit(false);
    }
  };
  try {
    await pipeline(Readable.from(source()), parser, consume as (rows: AsyncIterable<unknown>) => Promise<void>);
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const line = baseLines + (typeof error["lines"] === "number" ? error["lines"] : 0);
    throw invalidLine(ingestion.path, line, error.message, "correct the quoting of this row, and run it again: what stands before it is in the log");
  }
}

/** Texts of the parser have a character a byte; names and keys are turned back into text. */
const decoded = (bytes: string): string => Buffer.from(bytes, "latin1").toString("utf8");

function header(ingestion: Ingestion, names: readonly string[], fields: FieldNames, line: number): readonly string[] {
  const known = names.map(decoded);
  const repeated = known.find((name, index) => known.indexOf(name) !== index);
  if (repeated !== undefined) throw invalidLine(ingestion.path, line, `the column ${JSON.stringify(repeated)} stands twice in the header`, "name every column once");
  for (const field of [fields.key, fields.timestamp]) {
    if (field === undefined || known.includes(field)) continue;
    throw new TopologyError("FILE_INVALID", `the header has no column ${JSON.stringify(field)}`, { place: `${ingestion.path}:${line}`, cure: `name one of ${known.join(", ")}` });
  }
  return known;
}

function rowRecord(ingestion: Ingestion, columns: readonly string[], row: readonly string[], end: number, fields: FieldNames, nowMs: number): { key: string | null; value: Buffer; timestamp: number } {
  if (row.length !== columns.length) return { key: null, value: trimmed(ingestion.bytes(ingestion.position, end)), timestamp: nowMs };
  const members = columns.map((name, index) => `${Buffer.from(JSON.stringify(name)).toString("latin1")}:${JSON.stringify(row[index])}`);
  const text = (field: string | undefined): string | undefined => (field === undefined ? undefined : decoded(row[columns.indexOf(field)] as string));
  return {
    key: text(fields.key) ?? null,
    value: Buffer.from(`{${members.join(",")}}`, "latin1"),
    timestamp: timestampOf(text(fields.timestamp), nowMs),
  };
}

/** A row's bytes without the ends of lines around it. */
function trimmed(bytes: Buffer): Buffer {
  const isEnd = (byte: number | undefined): boolean => byte === 10 || byte === 13;
  let start = 0;
  let end = bytes.length;
  while (start < end && isEnd(bytes[start])) start++;
  while (end > start && isEnd(bytes[end - 1])) end--;
  return bytes.subarray(start, end);
}
