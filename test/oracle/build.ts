/** A case's topology by the project's public builder. */
import { defineTopology, type Topology, type TopologyBuilder, untilTimeLimit, untilWindowCloses } from "@iot-topology/core";
import { collect } from "@iot-topology/core/testing";
import { aggregate, cogroup, tableGroup } from "./build-aggregate.ts";
import { foreignKeyJoin, streamGlobalTableJoin, streamJoin, streamTableJoin, tableJoin } from "./build-join.ts";
import { punctuator, split, streamStep } from "./build-stream.ts";
import type { CaseNode, OracleCase } from "./case.ts";
import { keyMapper, predicate, valueMapper } from "./functions.ts";
import { type Handle, Handles, json, keyOf, storeName, UnknownStepError, type Value, type Values } from "./handles.ts";

/** `filter`, `filterNot` and `mapValues`, of whatever stands before them. */
function valueStep(node: CaseNode, handles: Handles): Handle {
  const from = handles.any(node.in);
  if (from.kind === "stream") return { kind: "stream", stream: streamStep(node, from.stream) };
  const { op, fn = "", pred = "", store } = node;
  const options = store === undefined ? {} : { store, value: json };
  const map = op === "mapValues" ? (valueMapper(fn) as (value: Value) => Value | null) : undefined;
  const holds = map === undefined ? predicate(pred) : undefined;
  const keeps = (value: Value, key: string): boolean => holds?.(key, value) === (op === "filter");
  if (from.kind === "table") return { kind: "table", table: map === undefined ? from.table.filter(keeps, options) : from.table.mapValues(map, options) };
  if (from.kind === "windowed table" && store === undefined) return { kind: "windowed table", table: map === undefined ? from.table.filter(keeps) : from.table.mapValues(map) };
  throw new UnknownStepError(`a ${from.kind} has no ${op}${store === undefined ? "" : " with a store"}`);
}

function suppress(node: CaseNode, handles: Handles): Handle {
  const from = handles.any(node.in);
  const name = node.id ?? "suppress";
  if (node.until === "windowCloses") return { kind: "windowed table", table: handles.get(node.in, "windowed table").table.suppress(name, untilWindowCloses()) };
  if (from.kind !== "table") throw new UnknownStepError(`a ${from.kind} is not suppressed until a time limit`);
  const buffer = node.maxRecords === undefined ? {} : { buffer: { full: "emit-early" as const, recordsMax: node.maxRecords } };
  return { kind: "table", table: from.table.suppress(name, untilTimeLimit(node.limitMs ?? 0, buffer)) };
}

/** A table's changes as a stream; those of a windowed table carry their window in the value. */
function changes(id: string | undefined, handles: Handles): Values {
  const from = handles.any(id);
  if (from.kind === "stream") return from.stream;
  if (from.kind === "table") return from.table.toStream();
  if (from.kind === "windowed table") return from.table.toStream() as unknown as Values;
  throw new UnknownStepError(`a ${from.kind} has no changes`);
}

function group(node: CaseNode, handles: Handles): Handle {
  const from = handles.any(node.in);
  if (from.kind === "table") return tableGroup(node, from.table);
  const key = keyMapper(node.fn ?? "");
  return { kind: "group", group: handles.stream(node.in).groupBy((value, record) => key(keyOf(record), value)) };
}

/** What a step makes; undefined for those that make nothing with a name, or several things. */
function make(node: CaseNode, handles: Handles, builder: TopologyBuilder): Handle | undefined {
  const { topic = "" } = node;
  switch (node.op) {
    case "stream":
      return { kind: "stream", stream: builder.source(topic).decode(json) };
    case "table":
      return { kind: "table", table: builder.table(topic, { store: storeName(node), value: json, ...(node.historyMs === undefined ? {} : { history: node.historyMs }) }) };
    case "globalTable":
      return { kind: "global table", table: builder.globalTable(topic, { store: storeName(node), value: json }) };
    case "filter":
    case "filterNot":
    case "mapValues":
      return valueStep(node, handles);
    case "map":
    case "flatMap":
    case "flatMapValues":
    case "selectKey":
      return { kind: "stream", stream: streamStep(node, handles.stream(node.in)) };
    case "split":
      return void split(node, handles);
    case "merge": {
      const [first, ...rest] = (node.ins ?? []).map((id) => handles.stream(id));
      return { kind: "stream", stream: rest.reduce((all, other) => all.merge(other), first as Values) };
    }
    case "repartition": {
      const form = { by: (_value: Value | null, record: Parameters<typeof keyOf>[0]) => keyOf(record), value: json };
      return { kind: "stream", stream: handles.stream(node.in).repartition(node.name ?? "", form) };
    }
    case "toTable":
      return { kind: "table", table: handles.stream(node.in).toTable(storeName(node), { value: json }) };
    case "toStream":
      return { kind: "stream", stream: changes(node.in, handles) };
    case "groupByKey":
      return { kind: "group", group: handles.stream(node.in).groupByKey() };
    case "groupBy":
      return group(node, handles);
    case "windowedBy":
      if (node.window === undefined) throw new UnknownStepError(`step ${node.id} has no window`);
      return { kind: "windows", of: node.in ?? "", window: node.window, emitsOnClose: node.emit === "onWindowClose" };
    case "cogroup":
      return cogroup(node, handles);
    case "count":
    case "reduce":
    case "aggregate":
      return aggregate(node, handles);
    case "suppress":
      return suppress(node, handles);
    case "streamStreamJoin":
      return { kind: "stream", stream: streamJoin(node, handles) };
    case "streamTableJoin":
      return { kind: "stream", stream: streamTableJoin(node, handles) };
    case "streamGlobalTableJoin":
      return { kind: "stream", stream: streamGlobalTableJoin(node, handles) };
    case "tableTableJoin":
      return { kind: "table", table: tableJoin(node, handles) };
    case "foreignKeyJoin":
      return { kind: "table", table: foreignKeyJoin(node, handles) };
    case "punctuator":
      return { kind: "stream", stream: punctuator(node, handles.stream(node.in)) };
    case "to":
      return void changes(node.in, handles).sink(collect(topic));
    default:
      throw new UnknownStepError(`the format has no step "${node.op}"`);
  }
}

/** The topology of a case, its joins by foreign key in one task or through topics. Throws an {@link UnknownStepError} for what the format does not have, and what the builder throws. */
export function buildCase({ topology: { nodes } }: OracleCase, throughTopics: boolean): Topology {
  return defineTopology("oracle", (builder) => {
    const handles = new Handles(throughTopics);
    for (const node of nodes) {
      const handle = make(node, handles, builder);
      if (handle !== undefined && node.id !== undefined) handles.set(node.id, handle);
    }
  });
}
