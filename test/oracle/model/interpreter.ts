/** An interpreter of cases, small and independent of the engine, for steps at which Kafka Streams' semantics are replaced. */
import { type CaseNode, type CaseOutput, type CaseResult, momentsOf, type OracleCase, type StoreDump } from "../case.ts";
import { aggregation, flatMapper, flatValueMapper, keyMapper, predicate, recordMapper, reducer, valueMapper } from "../functions.ts";
import { keptTable, keyedAggregate, tableAggregate, tableFilter, tableGroup, tableMap } from "./keyed.ts";
import { type Forward, type ModelContext, type ModelRecord, type ModelRules } from "./rules.ts";
import { sessionWindows } from "./session-windows.ts";
import { slidingWindows } from "./sliding-windows.ts";
import { streamJoin } from "./stream-join.ts";
import { suppressWindows } from "./suppress.ts";
import { streamTableJoin, tableTableJoin } from "./table-join.ts";
import { timeWindows } from "./time-windows.ts";
import { type VersionedModel, versionedTable } from "./versioned-table.ts";
import type { ModelAggregation, WindowedModel } from "./windowing.ts";

type PlainKey = string | null;

/** What stands under an id: where its records go to, and what of a group's declaration is still to come. */
interface Place {
  readonly listeners: Forward[];
  /** Set for a group: its parts with their functions, and whether keys were changed on the way. */
  readonly group?: readonly { readonly place: Place; readonly fn: string | undefined }[];
  readonly windowedBy?: CaseNode;
  /** Set for a table; `isKept` where a store in front of its readers tells what a key's value was. */
  readonly table?: { readonly isKept: boolean; readonly isVersioned?: boolean };
  /** Set for a versioned table itself. */
  readonly versions?: VersionedModel;
  /** Set for a group of a table's rows. */
  readonly isOfTable?: boolean;
  /** Set where the key was changed since the last topic. */
  readonly isRekeyed?: boolean;
}

const STATELESS = new Set(["filter", "filterNot", "mapValues", "map", "flatMap", "flatMapValues", "selectKey"]);
/** Steps that make tables, and those that make tables of tables. */
const TABLES = new Set(["table", "toTable", "count", "reduce", "aggregate"]);
const OF_TABLES = new Set(["filter", "filterNot", "mapValues", "suppress"]);
const MODELLED = new Set([...STATELESS, "stream", "table", "merge", "repartition", "groupByKey", "groupBy", "windowedBy", "count", "reduce", "aggregate", "cogroup", "suppress", "streamStreamJoin", "streamTableJoin", "tableTableJoin", "toTable", "toStream", "to"]);
/** Steps behind a table that make none. */
const BEHIND_TABLES = new Set(["toStream", "to"]);

/** Whether the model knows all steps of a case: those of streams, aggregates of streams, suppression of windows, joins of streams; joins with versioned tables, and groups of those. */
export function isModelled({ topology: { nodes } }: OracleCase): boolean {
  const tables = new Set<string>();
  const versioned = new Set<string>();
  /** Versioned tables, and those that are made of them value by value. */
  const ofVersions = new Set<string>();
  return nodes.every((node) => {
    const { op, id = "", in: from = "", left = "", right = "" } = node;
    const isOfTable = tables.has(from);
    const isTable = TABLES.has(op) || (isOfTable && OF_TABLES.has(op));
    if (isTable || op === "tableTableJoin") tables.add(id);
    if (node.historyMs !== undefined) versioned.add(id);
    if (node.historyMs !== undefined || (isTable && ofVersions.has(from))) ofVersions.add(id);
    if (op === "suppress") return node.until === "windowCloses";
    if (op === "streamTableJoin") return versioned.has(right);
    if (op === "tableTableJoin") return versioned.has(left) && versioned.has(right);
    // What is made of versions and kept has none.
    if (ofVersions.has(from)) return op === "groupBy" || BEHIND_TABLES.has(op) || (isTable && node.store === undefined);
    return (node.historyMs === undefined || op === "table") && MODELLED.has(op) && (!isOfTable || isTable || BEHIND_TABLES.has(op));
  });
}

function statelessStep({ op, fn = "", pred = "" }: CaseNode, forward: Forward): Forward {
  const each = (step: (key: PlainKey, value: unknown) => readonly { readonly key: PlainKey; readonly value: unknown }[]): Forward => (record) => {
    for (const { key, value } of step(record.key as PlainKey, record.value)) forward({ key, value, ts: record.ts });
  };
  switch (op) {
    case "filter":
    case "filterNot": {
      const holds = predicate(pred);
      return (record) => (holds(record.key as PlainKey, record.value) === (op === "filter") ? forward(record) : undefined);
    }
    case "mapValues": {
      const map = valueMapper(fn);
      return (record) => forward({ ...record, value: map(record.value) });
    }
    case "map": {
      const map = recordMapper(fn);
      return each((key, value) => [map(key, value)]);
    }
    case "flatMap":
      return each(flatMapper(fn));
    case "flatMapValues": {
      const map = flatValueMapper(fn);
      return each((key, value) => map(value).map((made) => ({ key, value: made })));
    }
    default: {
      const map = keyMapper(fn);
      return each((key, value) => [{ key: map(key, value), value }]);
    }
  }
}

function aggregationOf({ op, fn = "", subtractFn }: CaseNode, partFn: string | undefined): ModelAggregation {
  if (op === "count") return { init: () => 0, add: (total) => ((total as number | undefined) ?? 0) + 1, subtract: (total) => (total as number) - 1, merge: (left, right) => (left as number) + (right as number) };
  if (op === "reduce") {
    const reduce = reducer(fn);
    const both = (left: unknown, right: unknown): unknown => (left === undefined || left === null ? right : reduce(left, right));
    return { init: () => undefined, add: both, subtract: (total, value) => reducer(subtractFn ?? "")(total, value), merge: both };
  }
  const { init, subtract, merge } = aggregation(fn);
  const { add } = aggregation(partFn ?? fn);
  return { init, add: (total, value) => add(total === undefined ? init() : total, value), subtract, merge };
}

class Interpreter {
  readonly context: ModelContext;
  readonly outputs: CaseOutput[] = [];
  readonly #places = new Map<string, Place>();
  readonly #topics = new Map<string, Place>();
  readonly #stores = new Map<string, () => StoreDump>();
  readonly #queue: { readonly place: Place; readonly record: ModelRecord }[] = [];
  #by = 0;

  readonly #inputs: OracleCase["inputs"];

  constructor({ topology: { config, nodes }, inputs }: OracleCase, rules: ModelRules) {
    this.#inputs = inputs;
    this.context = { rules, emitIntervalMs: config.emitIntervalMs ?? 0, wallClockMs: config.initialWallClockMs ?? 0, droppedRecords: 0 };
    for (const node of nodes) this.#add(node);
  }

  #place(id: string | undefined): Place {
    const place = this.#places.get(id ?? "");
    if (place === undefined) throw new Error(`a step stands behind "${id}", which is not there`);
    return place;
  }
  #open(node: CaseNode, more: Partial<Place> = {}): Place {
    const place: Place = { listeners: [], ...more };
    if (node.id !== undefined) this.#places.set(node.id, place);
    return place;
  }
  #forwardTo(place: Place): Forward {
    return (record) => {
      for (const listener of place.listeners) listener(record);
    };
  }

  /** Records with a key go on to the place behind a topic; those without one end here. */
  #throughTopic(from: Place): Place {
    const place: Place = { listeners: [] };
    from.listeners.push((record) => {
      if (record.key !== null) this.#queue.push({ place, record });
      else if (this.context.rules.countsNullKeys) this.context.droppedRecords++;
    });
    return place;
  }

  #add(node: CaseNode): void {
    switch (node.op) {
      case "stream":
        return void this.#topics.set(node.topic ?? "", this.#open(node));
      case "merge": {
        const ins = (node.ins ?? []).map((id) => this.#place(id));
        const place = this.#open(node, { isRekeyed: ins.some(({ isRekeyed }) => isRekeyed === true) });
        for (const input of ins) input.listeners.push(this.#forwardTo(place));
        return;
      }
      case "repartition":
        return void this.#places.set(node.id ?? "", this.#throughTopic(this.#place(node.in)));
      case "groupByKey":
        return this.#addGroup(node, this.#place(node.in));
      case "groupBy": {
        const input = this.#place(node.in);
        const place: Place = { listeners: [], isRekeyed: true, isOfTable: input.table !== undefined };
        const forward = this.#forwardTo(place);
        input.listeners.push(input.table === undefined ? statelessStep({ op: "selectKey", fn: node.fn ?? "" }, forward) : tableGroup(recordMapper(node.fn ?? ""), forward));
        return this.#addGroup(node, place);
      }
      case "cogroup":
        return void this.#open(node, { group: (node.parts ?? []).map((part) => ({ place: this.#place(part.in).group?.[0]?.place as Place, fn: part.fn })) });
      case "windowedBy":
        return void this.#open(node, { group: this.#place(node.in).group ?? [], windowedBy: node });
      case "count":
      case "reduce":
      case "aggregate":
        return this.#addAggregate(node);
      case "table": {
        const source: Place = { listeners: [] };
        this.#topics.set(node.topic ?? "", source);
        return node.historyMs === undefined ? this.#keep(node, source, node.store !== undefined) : this.#keepVersions(node, source, node.historyMs);
      }
      case "toTable": {
        const input = this.#place(node.in);
        return this.#keep(node, input.isRekeyed === true ? this.#throughTopic(input) : input, true);
      }
      case "suppress":
        return this.#addSuppress(node);
      case "streamStreamJoin":
        return this.#addJoin(node);
      case "streamTableJoin":
        return this.#addStreamTableJoin(node);
      case "tableTableJoin":
        return this.#addTableTableJoin(node);
      case "toStream":
        return void this.#places.set(node.id ?? "", this.#place(node.in));
      case "to":
        return void this.#place(node.in).listeners.push(({ key, value, ts }) => this.outputs.push({ topic: node.topic ?? "", key, value, ts, by: this.#by }));
      default: {
        const input = this.#place(node.in);
        if (input.table !== undefined) return this.#addTableStep(node, input, input.table);
        const place = this.#open(node, { isRekeyed: input.isRekeyed === true || ["map", "flatMap", "selectKey"].includes(node.op) });
        input.listeners.push(statelessStep(node, this.#forwardTo(place)));
      }
    }
  }

  #keep(node: CaseNode, input: Place, isKept: boolean): void {
    const place = this.#open(node, { table: { isKept } });
    const model = keptTable(this.context, this.#forwardTo(place));
    this.#show(node, "kv", model);
    input.listeners.push(model.process);
  }

  #keepVersions(node: CaseNode, input: Place, historyMs: number): void {
    const listeners: Forward[] = [];
    const versions = versionedTable(this.context, historyMs, this.#forwardTo({ listeners }));
    this.#open(node, { listeners, table: { isKept: true, isVersioned: true }, versions });
    if (node.store !== undefined) this.#stores.set(node.store, () => versions.dump(momentsOf({ inputs: this.#inputs }, node.topic)));
    input.listeners.push(versions.process);
  }

  #show({ store }: CaseNode, type: StoreDump["type"], model: Pick<WindowedModel, "rows">): void {
    if (store !== undefined) this.#stores.set(store, () => ({ type, entries: model.rows() }));
  }

  #addTableStep(node: CaseNode, input: Place, { isKept, isVersioned = false }: NonNullable<Place["table"]>): void {
    const { op, pred = "", fn = "" } = node;
    const made: Place = { listeners: [], table: { isKept, isVersioned } };
    const holds = op === "mapValues" ? undefined : predicate(pred);
    const forward = this.#forwardTo(made);
    input.listeners.push(holds === undefined ? tableMap(valueMapper(fn), forward) : tableFilter(this.context, op === "filter" ? holds : (key, value) => !holds(key, value), { isKnown: isKept, isVersioned }, forward));
    if (node.store === undefined) this.#places.set(node.id ?? "", made);
    else this.#keep(node, made, true);
  }

  #addGroup(node: CaseNode, input: Place): void {
    this.#open(node, { group: [{ place: input.isRekeyed === true ? this.#throughTopic(input) : input, fn: undefined }], isOfTable: input.isOfTable === true });
  }

  #addAggregate(node: CaseNode): void {
    const { group = [], windowedBy, isOfTable } = this.#place(node.in);
    const window = windowedBy?.window;
    const place = this.#open(node, windowedBy === undefined ? {} : { windowedBy });
    if (isOfTable === true) {
      const model = tableAggregate(aggregationOf(node, undefined), this.#forwardTo(place));
      this.#show(node, "kv", model);
      this.#places.set(node.id ?? "", { ...place, table: { isKept: true } });
      for (const { place: input } of group) input.listeners.push(model.process);
      return;
    }
    if (window === undefined) {
      const model = keyedAggregate(this.context, this.#forwardTo(place));
      this.#show(node, "kv", model);
      this.#places.set(node.id ?? "", { ...place, table: { isKept: true } });
      for (const { place: input, fn } of group) input.listeners.push(({ key, value, ts }) => model.process(key as PlainKey, value, ts, aggregationOf(node, fn)));
      return;
    }
    const make = window.type === "session" ? sessionWindows : window.type === "sliding" ? slidingWindows : timeWindows;
    const model = make({ context: this.context, window, emitsOnClose: windowedBy?.emit === "onWindowClose", retentionMs: node.retentionMs, dropsNullValues: false, forward: this.#forwardTo(place) });
    this.#show(node, window.type === "session" ? "session" : "window", model);
    for (const [input, part] of group.entries()) {
      const parts = aggregationOf(node, part.fn);
      part.place.listeners.push(({ key, value, ts }) => model.process(key as PlainKey, value, ts, input, parts));
    }
  }

  #addSuppress(node: CaseNode): void {
    const input = this.#place(node.in);
    const window = input.windowedBy?.window;
    if (window === undefined) throw new Error("the model suppresses windows only");
    const place = this.#open(node, { windowedBy: input.windowedBy as CaseNode });
    input.listeners.push(suppressWindows(this.context, window, this.#forwardTo(place)));
  }

  #addJoin(node: CaseNode): void {
    const { type = "inner", beforeMs = 0, afterMs = 0, graceMs = 0 } = node;
    const place = this.#open(node);
    const join = streamJoin({ context: this.context, type: type as "inner", beforeMs, afterMs, graceMs, forward: this.#forwardTo(place) });
    this.#byKey(node.left).listeners.push((record) => join(record, true));
    this.#byKey(node.right).listeners.push((record) => join(record, false));
  }

  /** A stream's place, behind a topic where its keys were changed. */
  #byKey(id: string | undefined): Place {
    const input = this.#place(id);
    return input.isRekeyed === true ? this.#throughTopic(input) : input;
  }

  #versionsOf(id: string | undefined): VersionedModel {
    const { versions } = this.#place(id);
    if (versions === undefined) throw new Error(`the model joins with versioned tables only, and "${id}" is none`);
    return versions;
  }

  #addStreamTableJoin(node: CaseNode): void {
    const { type = "inner", graceMs } = node;
    const forward = this.#forwardTo(this.#open(node));
    this.#byKey(node.left).listeners.push(streamTableJoin({ context: this.context, type: type as "inner", graceMs, table: this.#versionsOf(node.right), forward }));
  }

  #addTableTableJoin(node: CaseNode): void {
    const { type = "inner" } = node;
    const made: Place = { listeners: [], table: { isKept: true } };
    const join = tableTableJoin({ context: this.context, type: type as "inner", left: this.#versionsOf(node.left), right: this.#versionsOf(node.right), forward: this.#forwardTo(made) });
    if (node.store === undefined) this.#places.set(node.id ?? "", made);
    else this.#keep(node, made, true);
    this.#place(node.left).listeners.push((record) => join(record, true));
    this.#place(node.right).listeners.push((record) => join(record, false));
  }

  run(): CaseResult {
    for (const [by, input] of this.#inputs.entries()) {
      this.#by = by;
      if ("advanceWallClockMs" in input) {
        this.context.wallClockMs += input.advanceWallClockMs;
        continue;
      }
      const { topic, key, value, ts } = input;
      const place = this.#topics.get(topic);
      if (place !== undefined) this.#forwardTo(place)({ key, value, ts });
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) this.#forwardTo(next.place)(next.record);
    }
    const stores: Record<string, StoreDump> = {};
    for (const [name, dump] of this.#stores) stores[name] = dump();
    return { outputs: this.outputs, stores, droppedRecords: this.context.droppedRecords };
  }
}

/** What the rules make of a case's inputs. */
export function modelResult(test: OracleCase, rules: ModelRules): CaseResult {
  return new Interpreter(test, rules).run();
}
