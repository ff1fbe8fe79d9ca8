/** Steps of streams without state, and the Processor API. */
import { carries, type KeyValue, type StreamRecord } from "@iot-topology/core";
import type { CaseNode } from "./case.ts";
import { flatMapper, flatValueMapper, keyMapper, predicate, recordMapper, valueMapper } from "./functions.ts";
import { type Handles, keyOf, type Value, type Values } from "./handles.ts";

type Pair = KeyValue<Value | null>;

export function streamStep(node: CaseNode, stream: Values): Values {
  const { op, fn = "", pred = "" } = node;
  switch (op) {
    case "filter":
    case "filterNot": {
      const holds = predicate(pred);
      return op === "filter" ? stream.filter((value, record) => holds(keyOf(record), value)) : stream.filterNot((value, record) => holds(keyOf(record), value));
    }
    case "mapValues":
      return stream.map(valueMapper(fn) as (value: Value | null) => Value | null);
    case "map": {
      const map = recordMapper(fn);
      return stream.mapRecord((record) => map(keyOf(record), record.value) as Pair);
    }
    case "flatMap": {
      const map = flatMapper(fn);
      return stream.flatMapRecord((record) => map(keyOf(record), record.value) as Pair[]);
    }
    case "flatMapValues":
      return stream.flatMap(flatValueMapper(fn) as (value: Value | null) => (Value | null)[]);
    default: {
      const key = keyMapper(fn);
      return stream.rekey((value, record) => key(keyOf(record), value));
    }
  }
}

export function split(node: CaseNode, handles: Handles): void {
  const branches = node.branches ?? [];
  const predicates = branches.map(({ id, pred }) => {
    const holds = predicate(pred);
    return [id, (value: Value | null, record: StreamRecord<Value | null>) => holds(keyOf(record), value)] as const;
  });
  const arms: Readonly<Record<string, Values>> = handles.stream(node.in).branch(Object.fromEntries(predicates));
  for (const { id } of branches) handles.set(id, { kind: "stream", stream: arms[id] as Values });
  if (node.default !== undefined) handles.set(node.default, { kind: "stream", stream: arms["rest"] as Values });
}

/** A step that forwards each call of its schedule with the times it was told, and the records in between if it is asked to. */
export function punctuator(node: CaseNode, stream: Values): Values {
  const { intervalMs = 1, forwardRecords = false } = node;
  return stream.process(node.id ?? "punctuator", {
    output: carries<Value | null>(),
    init(context) {
      context.schedule(intervalMs, node.type === "streamTime" ? "stream-time" : "wall-clock", (time, { forward, streamTime, wallClock }) =>
        forward({ key: "P", value: { punctuate: time, streamTime, wallClock } }),
      );
    },
    process(record, { forward }) {
      if (forwardRecords) forward(record);
    },
  });
}
