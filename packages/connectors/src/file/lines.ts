import type { Clock } from "@iot-topology/core";
import { type FieldNames, keyOf, timestampOf } from "./field.ts";
import { type Ingestion, invalidLine } from "./ingestion.ts";
import { readReplayLine } from "./replay-line.ts";

/** Takes one line without its end. */
export type OnLine = (line: Buffer, number: number) => Promise<void>;

/** An envelope may write each byte of a payload as an escape of six. */
const LINE_BYTES_MAX = 64 << 20;
const NEWLINE = 10;
const RETURN = 13;

/** Splits a file's bytes into lines; an end without a newline is a line too. Empty lines are passed over. Commits as it goes. */
export async function readLines(ingestion: Ingestion, chunks: AsyncIterable<Buffer>, onLine: OnLine): Promise<void> {
  let rest: Buffer = Buffer.alloc(0);
  const take = async (line: Buffer, consumed: number): Promise<void> => {
    const number = ingestion.lines + 1;
    const text = number === 1 && line[0] === 0xef && line[1] === 0xbb && line[2] === 0xbf ? line.subarray(3) : line;
    const end = text[text.length - 1] === RETURN ? text.length - 1 : text.length;
    if (end > 0) await onLine(text.subarray(0, end), number);
    ingestion.position += consumed;
    ingestion.lines = number;
  };
  for await (const chunk of chunks) {
    let searched = rest.length;
    const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (;;) {
      const end = data.indexOf(NEWLINE, searched);
      if (end < 0) break;
      await take(data.subarray(start, end), end + 1 - start);
      start = end + 1;
      searched = start;
      if (ingestion.isFull) await ingestion.commit(false);
    }
    rest = data.subarray(start);
    if (rest.length > LINE_BYTES_MAX) throw invalidLine(ingestion.path, ingestion.lines + 1, `longer than ${LINE_BYTES_MAX} bytes`, "check that this is a file of lines");
  }
  if (rest.length > 0) await take(rest, rest.length);
}

/** Lines of the replay format: each names its topic. */
export function replayLines(ingestion: Ingestion, clock: Clock): OnLine {
  return async (line, number) => {
    const read = readReplayLine(line, clock.now());
    if ("problem" in read) {
      throw invalidLine(ingestion.path, number, read.problem, 'write each line as {"topic": ..., "key": ..., "ts": epoch ms, "payload": "text"}, and run it again: what stands before this line is in the log');
    }
    await ingestion.add(read.topic, read.record, number);
  };
}

/** Lines of NDJSON: each is a record's value, byte for byte, whether it is JSON or not (the topology's cast judges that). */
export function ndjsonLines(ingestion: Ingestion, topic: string, fields: FieldNames, clock: Clock): OnLine {
  return async (line, number) => {
    const nowMs = clock.now();
    let key: string | null = null;
    let timestamp = nowMs;
    if (fields.key !== undefined || fields.timestamp !== undefined) {
      const value = parsed(line);
      if (fields.key !== undefined) key = keyOf(value[fields.key]);
      if (fields.timestamp !== undefined) timestamp = timestampOf(value[fields.timestamp], nowMs);
    }
    await ingestion.add(topic, { key, value: line, timestamp }, number);
  };
}

function parsed(line: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line.toString("utf8"));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
