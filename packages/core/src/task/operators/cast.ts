import { CastFailure, compileDecoder } from "../../schema/index.ts";
import type { CastNode } from "../../topology/index.ts";
import type { TaskContext } from "../context.ts";
import type { Link } from "../link.ts";
import { compileRefuse } from "../refuse.ts";

/** Bytes to a schema's values; event time from a field; the key held against the field that the topic is partitioned by. */
export function castLink(context: TaskContext, node: CastNode, step: string, next: Link): Link {
  const refuse = compileRefuse(context, step, node.onError);
  const limits = { bytesMax: node.payloadBytesMax };
  const decode = node.format === undefined ? compileDecoder(node.schema, limits) : node.format.decoder(node.schema, limits);
  const { timestampField } = node;
  const keyField = context.partitionCount > 1 ? node.partitionedBy : undefined;
  return (record) => {
    const value = decode(record.value);
    if (value instanceof CastFailure) return refuse(value.code, value.message, value.field);
    if (keyField !== undefined) {
      const key = record.key;
      const text = key === null || typeof key === "string" ? key : (key as Buffer).utf8Slice(0, key.length);
      if (text !== value[keyField]) {
        return refuse("KEY_MISMATCH", `the key is ${text === null ? "absent" : JSON.stringify(text.slice(0, 200))}, the topic is partitioned by ${keyField}`, keyField);
      }
    }
    next({ key: record.key, value, timestamp: timestampField === undefined ? record.timestamp : value[timestampField] });
  };
}
