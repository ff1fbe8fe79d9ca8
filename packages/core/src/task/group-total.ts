/**
 * Totals of windowed groups of fields. One is stored as
 *
 *   the group's fields, each a tag u8 and its value | updates varint, timestamp f64 (0), the total: as operators/aggregate.ts stores it
 */
import type { ByteReader, ByteWriter } from "../model/index.ts";
import type { ValueCodec } from "../state/codec.ts";
import type { Accumulation } from "./accumulation.ts";

/** The total of a group and window. */
export interface GroupTotal<S> {
  readonly group: readonly unknown[];
  readonly total: S;
  readonly updates: number;
}

const NULL = 0;
const TEXT = 1;
const NUMBER = 2;
const BIGINT = 3;
const FALSE = 4;
const TRUE = 5;

function writeScalar(writer: ByteWriter, value: unknown): void {
  switch (typeof value) {
    case "string":
      writer.u8(TEXT);
      return writer.text(value);
    case "number":
      writer.u8(NUMBER);
      return writer.f64(value);
    case "bigint":
      writer.u8(BIGINT);
      return writer.text(value.toString());
    case "boolean":
      return writer.u8(value ? TRUE : FALSE);
    default:
      writer.u8(NULL);
  }
}

function readScalar(reader: ByteReader): unknown {
  switch (reader.u8()) {
    case TEXT:
      return reader.text();
    case NUMBER:
      return reader.f64();
    case BIGINT:
      return BigInt(reader.text());
    case FALSE:
      return false;
    case TRUE:
      return true;
    default:
      return null;
  }
}

/** How it is stored. */
export function groupTotalCodec<S>({ codec }: Accumulation<S>, fieldCount: number): ValueCodec<GroupTotal<S>> {
  return {
    encode(writer, { group, total, updates }) {
      for (const field of group) writeScalar(writer, field);
      codec.encode(writer, { total, updates, timestamp: 0, waiting: false, windowStart: 0, group: undefined, origin: undefined });
    },
    decode(reader) {
      const group = Array.from({ length: fieldCount }, () => readScalar(reader));
      const { total, updates } = codec.decode(reader);
      return { group, total, updates };
    },
  };
}

/** The row of a window, as the step sends it on. */
export function windowRow<S>(accumulation: Accumulation<S>, groupBy: readonly string[], start: number, end: number, { group, total, updates }: GroupTotal<S>): Record<string, unknown> {
  const row: Record<string, unknown> = {};
  groupBy.forEach((field, place) => {
    row[field] = group[place];
  });
  row["window_start"] = start;
  row["window_end"] = end;
  accumulation.fill(row, total);
  row["updates"] = updates;
  return row;
}
