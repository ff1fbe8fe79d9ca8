/** Groups, windows and aggregates. */
import { hopping, session, sliding, type Table, tumbling, type Window, type WindowedOptions, type WindowedTable } from "@iot-topology/core";
import type { CaseNode, WindowSpec } from "./case.ts";
import { aggregation, recordMapper, reducer } from "./functions.ts";
import { type Handle, type HandleOf, type Handles, json, storeName, UnknownStepError, type Value } from "./handles.ts";

type Combine = (total: Value, value: Value | null) => Value | null;

interface Form {
  readonly value: typeof json;
  readonly init: () => Value;
  readonly add: Combine;
  readonly subtract: Combine;
  readonly merge: Combine;
}

/** An aggregate's functions by their name. */
function formOf(fn: string): Form {
  const { init, add, subtract, merge } = aggregation(fn);
  return { value: json, init: init as () => Value, add: add as Combine, subtract: subtract as Combine, merge: merge as Combine };
}

function windowOf(spec: WindowSpec): Window {
  const { type, sizeMs = 0, advanceMs = sizeMs, timeDifferenceMs = 0, gapMs = 0, graceMs } = spec;
  switch (type) {
    case "tumbling":
      return tumbling(sizeMs, { grace: graceMs });
    case "hopping":
      return hopping(sizeMs, { advance: advanceMs, grace: graceMs });
    case "sliding":
      return sliding(timeDifferenceMs, { grace: graceMs });
    default:
      return session(gapMs, { grace: graceMs });
  }
}

function keyedTable(node: CaseNode, { group }: HandleOf<"group">): unknown {
  const { op, fn = "" } = node;
  if (op === "count") return group.count(storeName(node));
  if (op === "reduce") return group.reduce(storeName(node), { value: json }, reducer(fn) as Combine);
  const { value, init, add } = formOf(fn);
  return group.aggregate(storeName(node), { value, init, add });
}

function tableOfTable(node: CaseNode, { group }: HandleOf<"table group">): unknown {
  const { op, fn = "", subtractFn = "" } = node;
  if (op === "count") return group.count(storeName(node));
  if (op === "reduce") return group.reduce(storeName(node), { value: json }, { add: reducer(fn) as Combine, subtract: reducer(subtractFn) as Combine });
  const { value, init, add, subtract } = formOf(fn);
  return group.aggregate(storeName(node), { value, init, add, subtract });
}

function windowedTable(node: CaseNode, { of, window: spec, emitsOnClose }: HandleOf<"windows">, handles: Handles): unknown {
  const { op, fn = "", retentionMs } = node;
  const options: WindowedOptions = { emit: emitsOnClose ? "close" : "update", ...(retentionMs === undefined ? {} : { retention: retentionMs }) };
  const window = windowOf(spec);
  const from = handles.any(of);
  const { value, init, add, merge } = op === "aggregate" ? formOf(fn) : formOf("list");
  if (from.kind === "cogroup") {
    if (window.kind === "session") return from.cogroup.windowed(window, options).aggregate(storeName(node), { value, init, merge });
    return from.cogroup.windowed(window, options).aggregate(storeName(node), { value, init });
  }
  const { group } = handles.get(of, "group");
  const windowed = group.windowed(window, options);
  if (op === "count") return windowed.count(storeName(node));
  if (op === "reduce") return windowed.reduce(storeName(node), { value: json }, reducer(fn) as Combine);
  if (window.kind === "session") return group.windowed(window, options).aggregate(storeName(node), { value, init, add, merge });
  return group.windowed(window, options).aggregate(storeName(node), { value, init, add });
}

/** `count`, `reduce` and `aggregate` of whatever was grouped. */
export function aggregate(node: CaseNode, handles: Handles): Handle {
  const from = handles.any(node.in);
  switch (from.kind) {
    case "group":
      return { kind: "table", table: keyedTable(node, from) as Table<Value> };
    case "table group":
      return { kind: "table", table: tableOfTable(node, from) as Table<Value> };
    case "cogroup": {
      const { value, init } = formOf(node.fn ?? "");
      return { kind: "table", table: from.cogroup.aggregate(storeName(node), { value, init }) };
    }
    case "windows":
      return { kind: "windowed table", table: windowedTable(node, from, handles) as WindowedTable<Value> };
    default:
      throw new UnknownStepError(`a ${from.kind} cannot be aggregated`);
  }
}

export function cogroup({ parts = [] }: CaseNode, handles: Handles): Handle {
  const [first, ...rest] = parts;
  let grouped = handles.get(first?.in, "group").group.cogroup<Value>(formOf(first?.fn ?? "").add);
  for (const part of rest) grouped = grouped.cogroup(handles.get(part.in, "group").group, formOf(part.fn).add);
  return { kind: "cogroup", cogroup: grouped };
}

/** A table's rows, regrouped. */
export function tableGroup({ fn = "" }: CaseNode, table: Table<Value>): Handle {
  const map = recordMapper(fn);
  return { kind: "table group", group: table.groupBy((value, key) => map(key, value) as { readonly key: string | null; readonly value: Value }) };
}
