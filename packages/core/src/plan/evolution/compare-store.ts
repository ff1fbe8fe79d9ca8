/** What becomes of a store when the step that keeps it is another. Asked by `iot-topology check`, and again when state is opened. */
import { type Difference, isRowShape, isSameShape, readingDifferences, type SerdeMigration, type ValueShape, valueShape } from "../../schema/index.ts";
import { duration } from "../duration.ts";
import type { StepStore, StoreShape } from "./store-shape.ts";
import { storedValues } from "./stored-value.ts";

/** Lengths of time that only say how long entries stay. */
const KEPT = /grace|retention|history|ttl|interval|limit/i;

/** A difference of a store; `migration` is what makes its values over, where they stand in a form that the serde has a way from. */
export interface StoreDifference extends Difference {
  readonly migration?: { readonly field: string; readonly migration: SerdeMigration<never> };
}

function nameOf({ serde, columns }: ValueShape): string {
  return columns === undefined || isRowShape({ serde }) ? serde : `${serde}(${columns.map(({ name, type }) => `${name} ${type}`).join(", ")})`;
}

function valueDifferences(field: string, before: ValueShape, after: ValueShape, { serdes, shape }: StepStore): readonly StoreDifference[] {
  if (isSameShape(before, after)) return [];
  const migration = serdes[field]?.migrations?.find(({ from }) => isSameShape(before, valueShape(from)));
  const message = `its values were ${nameOf(before)} and are ${nameOf(after)}`;
  if (migration !== undefined && storedValues(shape) === undefined) return [{ isBreaking: true, message, effect: "the entries of such a store cannot be made over: what is stored cannot be read" }];
  if (migration !== undefined) return [{ isBreaking: false, message, effect: "they are made over by the serde's migration when the topology is next opened", migration: { field, migration } }];
  const isJson = before.serde.startsWith("json") && after.serde.startsWith("json");
  if (isJson && before.columns !== undefined && after.columns !== undefined) return readingDifferences(before.columns, after.columns, "stored values");
  return [{ isBreaking: true, message, effect: "what is stored cannot be read" }];
}

function shown(value: string | number | undefined): string {
  return value === undefined ? "none" : typeof value === "number" ? duration(value) : value;
}

function settingDifference(name: string, before: string | number | undefined, after: string | number | undefined): StoreDifference {
  const message = `${name} was ${shown(before)} and is ${shown(after)}`;
  if (!KEPT.test(name)) return { isBreaking: true, message, effect: "what is stored was made for the other, and is not found or means something else" };
  const length = (value: string | number | undefined): number => (typeof value === "number" ? value : Number.POSITIVE_INFINITY);
  const isShorter = length(after) < length(before);
  return { isBreaking: false, message, effect: isShorter ? "what is older is dropped as stream time goes on" : "entries stay longer from now on; what was dropped does not come back" };
}

/** What has changed between a store as it was kept and a step's store of the same name. */
export function storeDifferences(before: StoreShape, store: StepStore): readonly StoreDifference[] {
  const { shape } = store;
  const found: StoreDifference[] = [];
  if (before.kind !== shape.kind) found.push({ isBreaking: true, message: `it was kept by ${before.kind} and is by ${shape.kind}`, effect: "what is stored cannot be read" });
  if (before.key !== shape.key) found.push({ isBreaking: true, message: `its entries were found by ${before.key} and are by ${shape.key}`, effect: "what is stored is not found any more" });
  if (found.length > 0) return found;
  for (const field of new Set([...Object.keys(before.values), ...Object.keys(shape.values)])) {
    const [was, is] = [before.values[field], shape.values[field]];
    if (was === undefined || is === undefined) found.push({ isBreaking: true, message: `its ${field} was ${was?.serde ?? "none"} and is ${is?.serde ?? "none"}`, effect: "what is stored cannot be read" });
    else found.push(...valueDifferences(field, was, is, store));
  }
  for (const name of new Set([...Object.keys(before.settings), ...Object.keys(shape.settings)])) {
    if (before.settings[name] !== shape.settings[name]) found.push(settingDifference(name, before.settings[name], shape.settings[name]));
  }
  return found;
}
