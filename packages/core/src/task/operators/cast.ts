import { CastFailure, compileDecoder, compileStandardDecoder } from "../../schema/index.ts";
import type { CastNode } from "../../topology/index.ts";
import type { RecordKey } from "../../model/index.ts";
import type { TaskContext } from "../context.ts";
import { keyText } from "../key-text.ts";
import type { Link } from "../link.ts";
import { compileRefuse } from "../refuse.ts";

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the handles carry the types.
type AnyValue = any;

function compileDecode({ reads, payloadBytesMax }: CastNode, step: string): (bytes: Buffer | null) => AnyValue {
  const limits = { bytesMax: payloadBytesMax };
  if (reads.kind === "standard") return compileStandardDecoder(reads.schema, `step ${step}`, limits);
  return reads.format === undefined ? compileDecoder(reads.schema, limits) : reads.format.decoder(reads.schema, limits);
}

/** The event time of a value whose fields no column has checked. */
function compileTimeOf(field: string): (value: AnyValue) => number | undefined {
  return (value) => {
    const found: unknown = value?.[field];
    const ms = found instanceof Date ? found.getTime() : found;
    return typeof ms === "number" && Number.isSafeInteger(ms) ? ms : undefined;
  };
}

/** Whether a key is this text; ASCII is compared byte by byte, which is cheaper than making a text of the key. */
function isKeyText(key: RecordKey, text: unknown): boolean {
  if (key === null || typeof key === "string") return key === text;
  if (typeof text !== "string") return false;
  if (key.length === text.length) {
    let at = 0;
    while (at < text.length && key[at] === text.charCodeAt(at) && text.charCodeAt(at) < 0x80) at++;
    if (at === text.length) return true;
  }
  return (key as Buffer).utf8Slice(0, key.length) === text;
}

/** Bytes to a schema's values; event time from a field; the key held against the field that the topic is partitioned by. */
export function castLink(context: TaskContext, node: CastNode, step: string, next: Link): Link {
  const refuse = compileRefuse(context, step, node.onError);
  const decode = compileDecode(node, step);
  const { timestampField } = node;
  const timeOf = node.reads.kind === "standard" && timestampField !== undefined ? compileTimeOf(timestampField) : undefined;
  const keyField = context.partitionCount > 1 ? node.partitionedBy : undefined;
  return (record) => {
    const value = decode(record.value);
    if (value instanceof CastFailure) return refuse(value.code, value.message, value.field);
    if (keyField !== undefined) {
      const { key } = record;
      if (!isKeyText(key, value[keyField])) {
        const text = keyText(key);
        return refuse("KEY_MISMATCH", `the key is ${text === null ? "absent" : JSON.stringify(text.slice(0, 200))}, the topic is partitioned by ${keyField}`, keyField);
      }
    }
    if (timeOf !== undefined) {
      const timestamp = timeOf(value);
      if (timestamp === undefined) return refuse("CAST_FAILED", `${timestampField} is no event time: neither epoch milliseconds nor a Date`, timestampField as string);
      return next({ key: record.key, value, timestamp, headers: record.headers });
    }
    next({ key: record.key, value, timestamp: timestampField === undefined ? record.timestamp : value[timestampField], headers: record.headers });
  };
}
