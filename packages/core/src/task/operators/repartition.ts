import { invariant, TopologyError } from "../../model/index.ts";
import { type ChangeRepartitionForm, compileChangeDecoder, compileRepartitionDecoder, type RepartitionForm, type RepartitionNode } from "../../topology/index.ts";
import type { TaskContext } from "../context.ts";
import { keyText } from "../key-text.ts";
import type { Link } from "../link.ts";
import { compileRefuse, messageOf } from "../refuse.ts";
import { SinkBuffer } from "../sink-buffer.ts";

const REFUSED: ReadonlySet<string> = new Set(["CAST_FAILED", "PAYLOAD_TOO_LARGE"]);

/** The writing end: rows of the commit, as those of a topic sink, but what does not fit goes by the step's policy. */
export function repartitionLink(context: TaskContext, node: RepartitionNode): Link {
  invariant(node.spec !== undefined, "a plan has a schema for each repartition");
  const buffer = new SinkBuffer(node.spec);
  context.sinks.push(buffer);
  const refuse = compileRefuse(context, node.name, node.onError);
  const { changes } = node;
  return (record) => {
    try {
      buffer.add(context, changes === undefined ? record : { ...record, value: { value: record.value, old: record.old } });
    } catch (cause) {
      if (cause instanceof TopologyError && REFUSED.has(cause.code)) return refuse(cause.code, messageOf(cause), "", cause);
      refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
  };
}

/** The reading end. What cannot be read is not a record's fault: the task fails with TOPIC_MISMATCH. */
export function repartitionedLink(form: RepartitionForm, next: Link): Link {
  const decode = compileRepartitionDecoder(form);
  return (record) => {
    const { value, timestamp } = decode(record.value as Buffer | null);
    next({ key: record.key, value, timestamp, headers: record.headers });
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
