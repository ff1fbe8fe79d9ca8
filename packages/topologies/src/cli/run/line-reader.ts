import { TopologyError } from "@iot-topology/core";

const LINE_BYTES_MAX = 16 << 20;
const NEWLINE = 10;
const RETURN = 13;

/** A line of a stream, without its end. */
export interface Line {
  readonly bytes: Buffer;
  /** From 1. */
  readonly number: number;
}

/** Splits a stream of bytes into lines; an end without a newline is a line too, and empty lines are passed over. */
export async function* lines(chunks: AsyncIterable<Buffer>, place: string): AsyncGenerator<Line, void, undefined> {
  let rest: Buffer = Buffer.alloc(0);
  let number = 0;
  for await (const chunk of chunks) {
    const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = data.indexOf(NEWLINE, rest.length); end >= 0; end = data.indexOf(NEWLINE, start)) {
      number++;
      const bytes = trimmed(data.subarray(start, end));
      start = end + 1;
      if (bytes.length > 0) yield { bytes, number };
    }
    rest = data.subarray(start);
    if (rest.length > LINE_BYTES_MAX) throw new TopologyError("FILE_INVALID", `line ${number + 1} is longer than ${LINE_BYTES_MAX} bytes`, { place, cure: "check that these are lines of text" });
  }
  const bytes = trimmed(rest);
  if (bytes.length > 0) yield { bytes, number: number + 1 };
}

function trimmed(line: Buffer): Buffer {
  return line[line.length - 1] === RETURN ? line.subarray(0, -1) : line;
}
