import type { BranchNode, FilterNode, FlatMapNode, FlatMapRecordNode, KeyValue, MapNode, MapRecordNode, PeekNode, RekeyNode } from "../../topology/index.ts";
import type { TaskContext } from "../context.ts";
import type { Link } from "../link.ts";
import { compileRefuse, messageOf } from "../refuse.ts";

// In each operator only the user's function stands inside the try, so that a failure behind it is not taken for its own.

export function filterLink(context: TaskContext, node: FilterNode, step: string, next: Link): Link {
  const refuse = compileRefuse(context, step, node.onError);
  const { predicate } = node;
  return (record) => {
    let keep: boolean;
    try {
      keep = predicate(record.value, record);
    } catch (cause) {
      return refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
    if (keep) next(record);
    else context.counters.filtered++;
  };
}

export function mapLink(context: TaskContext, node: MapNode, step: string, next: Link): Link {
  const refuse = compileRefuse(context, step, node.onError);
  const { map } = node;
  return (record) => {
    let value: unknown;
    try {
      value = map(record.value, record);
    } catch (cause) {
      return refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
    next({ key: record.key, value, timestamp: record.timestamp, headers: record.headers });
  };
}

export function flatMapLink(context: TaskContext, node: FlatMapNode, step: string, next: Link): Link {
  const refuse = compileRefuse(context, step, node.onError);
  const { map } = node;
  return (record) => {
    // Gathered before any is passed on: a generator that throws half way must not leave half of its values behind.
    let values: unknown[];
    try {
      values = [...map(record.value, record)];
    } catch (cause) {
      return refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
    for (const value of values) next({ key: record.key, value, timestamp: record.timestamp, headers: record.headers });
  };
}

export function peekLink(context: TaskContext, node: PeekNode, step: string, next: Link): Link {
  const refuse = compileRefuse(context, step, node.onError);
  const { action } = node;
  return (record) => {
    try {
      action(record.value, record);
    } catch (cause) {
      return refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
    next(record);
  };
}

export function rekeyLink(context: TaskContext, node: RekeyNode, step: string, next: Link): Link {
  const refuse = compileRefuse(context, step, node.onError);
  const { key } = node;
  return (record) => {
    let newKey: ReturnType<typeof key>;
    try {
      newKey = key(record.value, record);
    } catch (cause) {
      return refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
    next({ key: newKey, value: record.value, timestamp: record.timestamp, headers: record.headers });
  };
}

/** `arms` are the links behind each arm, by index; the last is `rest`. */
export function branchLink(context: TaskContext, node: BranchNode, step: string, arms: ReadonlyMap<number, Link>): Link {
  const refuse = compileRefuse(context, step, node.onError);
  const predicates = node.arms.map((arm) => arm.predicate);
  return (record) => {
    let index = 0;
    try {
      while (index < predicates.length && predicates[index]?.(record.value, record) !== true) index++;
    } catch (cause) {
      return refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
    const link = arms.get(index);
    // An arm that nothing reads is a filter.
    if (link === undefined) context.counters.filtered++;
    else link(record);
  };
}

export function mapRecordLink(context: TaskContext, node: MapRecordNode, step: string, next: Link): Link {
  const refuse = compileRefuse(context, step, node.onError);
  const { map } = node;
  return (record) => {
    let made: KeyValue<unknown>;
    try {
      made = map(record);
    } catch (cause) {
      return refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
    next({ key: made.key, value: made.value, timestamp: made.timestamp ?? record.timestamp, headers: made.headers ?? record.headers });
  };
}

export function flatMapRecordLink(context: TaskContext, node: FlatMapRecordNode, step: string, next: Link): Link {
  const refuse = compileRefuse(context, step, node.onError);
  const { map } = node;
  return (record) => {
    let made: KeyValue<unknown>[];
    try {
      made = [...map(record)];
    } catch (cause) {
      return refuse("STEP_FAILED", messageOf(cause), "", cause);
    }
    for (const { key, value, timestamp, headers } of made) next({ key, value, timestamp: timestamp ?? record.timestamp, headers: headers ?? record.headers });
  };
}
