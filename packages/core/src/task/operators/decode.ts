import { type RecordKey, TopologyError } from "../../model/index.ts";
import type { DecodeNode } from "../../topology/index.ts";
import type { TaskContext } from "../context.ts";
import { exactKeyText } from "../key-text.ts";
import type { AnyRecord, Link } from "../link.ts";
import { compileRefuse, messageOf } from "../refuse.ts";

/** Bytes to values by a serde, keys to text. */
export function decodeLink(context: TaskContext, node: DecodeNode, step: string, next: Link): Link {
  const refuse = compileRefuse(context, step, node.onError);
  const { serde, timestamp: timestampOf, payloadBytesMax } = node;
  return (record) => {
    const bytes = record.value as Buffer | null;
    const key: RecordKey | undefined = exactKeyText(record.key);
    if (key === undefined) return refuse("INVALID_UTF8", "the key is not valid UTF-8", "");
    if (bytes === null) return next({ key, value: null, timestamp: record.timestamp, headers: record.headers });
    if (bytes.length > payloadBytesMax) return refuse("PAYLOAD_TOO_LARGE", `the value has ${bytes.length} bytes, and the limit is ${payloadBytesMax}`, "");
    let decoded: AnyRecord;
    try {
      const value: unknown = serde.decode(bytes);
      decoded = { key, value, timestamp: record.timestamp, headers: record.headers };
      if (timestampOf !== undefined) {
        const timestamp = timestampOf(value, decoded);
        if (!Number.isSafeInteger(timestamp)) return refuse("CAST_FAILED", `the event time is ${String(timestamp)}, not a whole number of milliseconds`, "");
        decoded = { key, value, timestamp, headers: record.headers };
      }
    } catch (cause) {
      return refuse(cause instanceof TopologyError ? cause.code : "STEP_FAILED", messageOf(cause), "", cause);
    }
    next(decoded);
  };
}
