/** Joins. */
import { joinWindow, type Table } from "@iot-topology/core";
import type { CaseNode } from "./case.ts";
import { fieldRef, joined, keyMapper } from "./functions.ts";
import { type Handles, json, keyOf, storeName, UnknownStepError, type Value, type Values } from "./handles.ts";

const name = ({ id }: CaseNode): string => id ?? "join";
const isOuter = ({ type }: CaseNode): boolean => type === "outer";

function isInner({ type }: CaseNode): boolean {
  if (type !== "inner" && type !== "left" && type !== "outer") throw new UnknownStepError(`no join is of type "${type}"`);
  return type === "inner";
}

export function streamJoin(node: CaseNode, handles: Handles): Values {
  const left = handles.stream(node.left);
  const right = handles.stream(node.right);
  const { beforeMs = 0, afterMs = 0, graceMs = 0 } = node;
  const options = { name: name(node), within: joinWindow({ before: beforeMs, after: afterMs, grace: graceMs }), left: json, right: json };
  if (isInner(node)) return left.join<Value | null, Value>(right, joined, options) as unknown as Values;
  if (isOuter(node)) return left.outerJoin<Value | null, Value>(right, joined, options) as unknown as Values;
  return left.leftJoin<Value | null, Value>(right, joined, options) as unknown as Values;
}

export function streamTableJoin(node: CaseNode, handles: Handles): Values {
  const left = handles.stream(node.left);
  const right = handles.table(node.right);
  const options = node.graceMs === undefined ? {} : { name: name(node), grace: node.graceMs, value: json };
  return (isInner(node) ? left.join<Value, Value>(right, joined, options) : left.leftJoin<Value, Value>(right, joined, options)) as unknown as Values;
}

export function streamGlobalTableJoin(node: CaseNode, handles: Handles): Values {
  const left = handles.stream(node.left);
  const { table } = handles.get(node.right, "global table");
  const map = keyMapper(node.fn ?? "");
  const options = { key: (value: Value, record: Parameters<typeof keyOf>[0]) => map(keyOf(record), value) };
  return (isInner(node) ? left.join<Value, Value>(table, joined, options) : left.leftJoin<Value, Value>(table, joined, options)) as unknown as Values;
}

export function tableJoin(node: CaseNode, handles: Handles): Table<Value> {
  const left = handles.table(node.left);
  const right = handles.table(node.right);
  const options = node.store === undefined ? {} : { store: node.store, value: json };
  if (isInner(node)) return left.join<Value, Value>(right, joined, options);
  return isOuter(node) ? left.outerJoin<Value, Value>(right, joined, options) : left.leftJoin<Value, Value>(right, joined, options);
}

export function foreignKeyJoin(node: CaseNode, handles: Handles): Table<Value> {
  const left = handles.table(node.left);
  const right = handles.table(node.right);
  const options = { name: name(node), foreignKey: fieldRef, store: storeName(node), value: json, ...(handles.throughTopics ? { repartition: { left: json, right: json } } : {}) };
  return isInner(node) ? left.joinByForeignKey<Value, Value>(right, joined, options) : left.leftJoinByForeignKey<Value, Value>(right, joined, options);
}
