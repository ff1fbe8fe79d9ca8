import { invariant, type RecordKey, TopologyError } from "../../model/index.ts";
import { type ChangeRepartitionForm, compileChangeDecoder, compileRepartitionDecoder, type RepartitionForm, type RepartitionNode } from "../../topology/index.ts";
import { drop, type TaskContext } from "../context.ts";
import { exactKeyText, keyText } from "../key-text.ts";
import type { AnyRecord, Link } from "../link.ts";
import { compileRefuse, messageOf } from "../refuse.ts";
import { SinkBuffer } from "../sink-buffer.ts";

const REFUSED: ReadonlySet<string> = new Set(["CAST_FAILED", "PAYLOAD_TOO_LARGE"]);

/** The writing end: rows of the commit, as those of a topic sink, but what does not fit goes by the step's policy, and what has no key is dropped. */
export function repartitionLink(context: TaskContext, node: RepartitionNode): Link {
  invariant(node.spec !== undefined, "a plan says for each repartition how values are kept");
  const buffer = new SinkBuffer(node.spec);
  context.sinks.push(buffer);
  const refuse = compileRefuse(context, node.name, node.onError);
  const { changes } = node;
  const add = (record: AnyRecord): void => {
    try {
      buffer.add(context, changes === undefined ? record : { ...record, value: { value: record.value, old: record.old } });
    } catch (cause) {
      if (cause instanceof TopologyError && REFUSED.has(cause.code)) return refuse(cause.code, messageOf(cause), "", cause);
      refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
  };
  const by = node.form?.by;
  if (typeof by !== "function") return add;
  const keyOf = by as (value: unknown, record: AnyRecord) => RecordKey;
  return (record) => {
    const { value, timestamp, headers } = record;
    let key: RecordKey;
    try {
      key = keyOf(value, record) ?? null;
    } catch (cause) {
      return refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
    if (key === null) return drop(context, "null-key");
    add({ key, value, timestamp, headers });
  };
}

/** The reading end. What cannot be read is not a record's fault: the task fails with TOPIC_MISMATCH. */
export function repartitionedLink(form: RepartitionForm, next: Link): Link {
  const decode = compileRepartitionDecoder(form);
  // As behind a decode: keys beside a serde are text, unless they are other bytes.
  const keyOf = form.values.kind === "serde" ? (key: RecordKey): RecordKey => exactKeyText(key) ?? key : (key: RecordKey): RecordKey => key;
  return (record) => {
    const { value, timestamp } = decode(record.value as Buffer | null);
    next({ key: keyOf(record.key), value, timestamp, headers: record.headers });
  };
}

/** The same for a table's changes. */
export function repartitionedChangesLink(form: ChangeRepartitionForm, next: Link): Link {
  const decode = compileChangeDecoder(form);
  return (record) => {
    const { value, old, timestamp } = decode(record.value as Buffer | null);
    next({ key: keyText(record.key), value, old, timestamp, headers: record.headers });
  };
}
