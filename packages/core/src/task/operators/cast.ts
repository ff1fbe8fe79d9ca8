import { CastFailure, compileDecoder, compileStandardDecoder } from "../../schema/index.ts";
import type { CastNode, ValueFormat } from "../../topology/index.ts";
import type { RecordKey } from "../../model/index.ts";
import type { TaskContext } from "../context.ts";
import { keyText } from "../key-text.ts";
import { type AnyRecord, type Link, takesLogRecords } from "../link.ts";
import { FrameRecord } from "../record-run.ts";
import { compileRefuse } from "../refuse.ts";

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the handles carry the types.
type AnyValue = any;

function compileDecode({ reads, payloadBytesMax }: CastNode, step: string): (record: AnyRecord) => AnyValue {
  const limits = { bytesMax: payloadBytesMax };
  if (reads.kind === "columns" && reads.format === undefined) {
    const decode = compileDecoder(reads.schema, limits);
    // A view of the value takes 100 ns and as much memory as the value.
    return (record) => {
      if (!(record instanceof FrameRecord)) return decode(record.value);
      const { bytes, valueStart, valueEnd } = record.frame;
      return valueStart < 0 ? decode(null) : decode(bytes, valueStart, valueEnd);
    };
  }
  const decode = reads.kind === "standard" ? compileStandardDecoder(reads.schema, `step ${step}`, limits) : (reads.format as ValueFormat).decoder(reads.schema, limits);
  return (record) => decode(record.value);
}

/** The event time of a value whose fields no column has checked. */
function compileTimeOf(field: string): (value: AnyValue) => number | undefined {
  return (value) => {
    const found: unknown = value?.[field];
    const ms = found instanceof Date ? found.getTime() : found;
    return typeof ms === "number" && Number.isSafeInteger(ms) ? ms : undefined;
  };
}

/** Whether a piece of bytes is this text, all of it ASCII. */
function isAscii(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  const { length } = text;
  if (end - start !== length) return false;
  for (let at = 0; at < length; at++) {
    const code = text.charCodeAt(at);
    if (bytes[start + at] !== code || code >= 0x80) return false;
  }
  return true;
}

/** The record's key, as the very text that it is where that is known without making one; undefined where it is not this text. */
function matchingKey(record: AnyRecord, text: unknown): RecordKey | undefined {
  if (typeof text !== "string") return text === null && record.key === null ? null : undefined;
  if (record instanceof FrameRecord) {
    const { bytes, keyStart, keyEnd } = record.frame;
    if (keyStart >= 0 && isAscii(bytes, keyStart, keyEnd, text)) return text;
  }
  const { key } = record;
  if (key === null || typeof key === "string") return key === text ? text : undefined;
  if (isAscii(key, 0, key.length, text)) return text;
  // Bytes that are not valid UTF-8 stay as they are.
  return keyText(key) === text ? key : undefined;
}

/** Bytes to a schema's values; event time from a field; the key held against the field that the topic is partitioned by. */
export function castLink(context: TaskContext, node: CastNode, step: string, next: Link): Link {
  const refuse = compileRefuse(context, step, node.onError);
  const decode = compileDecode(node, step);
  const { timestampField } = node;
  const timeOf = node.reads.kind === "standard" && timestampField !== undefined ? compileTimeOf(timestampField) : undefined;
  const keyField = node.partitionedBy;
  const isPartitioned = context.partitionCount > 1;
  return takesLogRecords((record) => {
    const value = decode(record);
    if (value instanceof CastFailure) return refuse(value.code, value.message, value.field);
    let key = keyField === undefined ? undefined : matchingKey(record, value[keyField]);
    if (key === undefined) {
      key = record.key;
      if (isPartitioned && keyField !== undefined) {
        const text = keyText(key);
        return refuse("KEY_MISMATCH", `the key is ${text === null ? "absent" : JSON.stringify(text.slice(0, 200))}, the topic is partitioned by ${keyField}`, keyField);
      }
    }
    if (timeOf !== undefined) {
      const timestamp = timeOf(value);
      if (timestamp === undefined) return refuse("CAST_FAILED", `${timestampField} is no event time: neither epoch milliseconds nor a Date`, timestampField as string);
      return next({ key, value, timestamp, headers: record.headers });
    }
    next({ key, value, timestamp: timestampField === undefined ? record.timestamp : value[timestampField], headers: record.headers });
  });
}
