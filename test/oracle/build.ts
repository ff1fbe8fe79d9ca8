/** A case's topology by the project's public builder. */
import { defineTopology, type KeyedGroup, type KeyValue, type Serde, serde, type Stream, type StreamRecord, type Table, type Topology, type TopologyBuilder } from "@iot-topology/core";
import { collect } from "@iot-topology/core/testing";
import type { CaseNode, OracleCase } from "./case.ts";
import { aggregation, flatMapper, flatValueMapper, keyMapper, predicate, recordMapper, reducer, valueMapper } from "./functions.ts";

type Value = NonNullable<unknown>;
type Values = Stream<Value | null>;

/** What stands under an id. */
type Handle =
  | { readonly kind: "stream"; readonly stream: Values }
  | { readonly kind: "table"; readonly table: Table<Value> }
  | { readonly kind: "group"; readonly group: KeyedGroup<Value, Value | null> };

/** A case asks for a step that the format does not have. */
export class UnknownStepError extends Error {}

const json: Serde<Value> = serde.json<Value>();
const keyOf = ({ key }: StreamRecord<Value | null>): string | null => (key === null || typeof key === "string" ? key : Buffer.from(key).toString("utf8"));

class CaseBuilder {
  readonly #builder: TopologyBuilder;
  readonly #handles = new Map<string, Handle>();

  constructor(builder: TopologyBuilder) {
    this.#builder = builder;
  }

  #get<K extends Handle["kind"]>(id: string | undefined, kind: K): Extract<Handle, { readonly kind: K }> {
    const handle = this.#handles.get(id ?? "");
    if (handle?.kind !== kind) throw new UnknownStepError(`"${id}" is ${handle === undefined ? "not there" : `a ${handle.kind}`}, and a ${kind} is needed`);
    return handle as Extract<Handle, { readonly kind: K }>;
  }
  #stream(id: string | undefined): Values {
    return this.#get(id, "stream").stream;
  }
  #kindOf(id: string | undefined): Handle["kind"] | undefined {
    return this.#handles.get(id ?? "")?.kind;
  }

  add(node: CaseNode): void {
    const handle = this.#make(node);
    if (handle !== undefined && node.id !== undefined) this.#handles.set(node.id, handle);
  }

  #make(node: CaseNode): Handle | undefined {
    switch (node.op) {
      case "stream":
        return { kind: "stream", stream: this.#builder.source(node.topic ?? "").decode(json) };
      case "table":
        return { kind: "table", table: this.#builder.table(node.topic ?? "", { store: storeName(node), value: json }) };
      case "filter":
      case "filterNot":
      case "mapValues":
        return this.#kindOf(node.in) === "table" ? { kind: "table", table: this.#tableStep(node) } : { kind: "stream", stream: this.#streamStep(node) };
      case "map":
      case "flatMap":
      case "flatMapValues":
      case "selectKey":
        return { kind: "stream", stream: this.#streamStep(node) };
      case "split":
        return this.#split(node);
      case "merge": {
        const [first, ...rest] = (node.ins ?? []).map((id) => this.#stream(id));
        return { kind: "stream", stream: rest.reduce((all, other) => all.merge(other), first as Values) };
      }
      case "toTable":
        return { kind: "table", table: this.#stream(node.in).toTable(storeName(node), { value: json }) };
      case "toStream":
        return { kind: "stream", stream: this.#get(node.in, "table").table.toStream() };
      case "groupByKey":
        return { kind: "group", group: this.#stream(node.in).groupByKey() };
      case "groupBy": {
        const key = keyMapper(node.fn ?? "");
        return { kind: "group", group: this.#stream(node.in).groupBy((value, record) => key(keyOf(record), value)) };
      }
      case "count":
      case "reduce":
      case "aggregate":
        return { kind: "table", table: this.#aggregate(node) };
      case "to":
        return this.#to(node);
      default:
        throw new UnknownStepError(`the format has no step "${node.op}"`);
    }
  }

  #streamStep(node: CaseNode): Values {
    const { op, fn = "", pred = "" } = node;
    const stream = this.#stream(node.in);
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
        return stream.mapRecord((record) => map(keyOf(record), record.value) as KeyValue<Value | null>);
      }
      case "flatMap": {
        const map = flatMapper(fn);
        return stream.flatMapRecord((record) => map(keyOf(record), record.value) as KeyValue<Value | null>[]);
      }
      case "flatMapValues":
        return stream.flatMap(flatValueMapper(fn) as (value: Value | null) => (Value | null)[]);
      default: {
        const key = keyMapper(fn);
        return stream.rekey((value, record) => key(keyOf(record), value));
      }
    }
  }

  #tableStep(node: CaseNode): Table<Value> {
    const { op, fn = "", pred = "" } = node;
    const { table } = this.#get(node.in, "table");
    const options = node.store === undefined ? {} : { store: node.store, value: json };
    if (op === "mapValues") {
      const map = valueMapper(fn);
      return table.mapValues((value) => map(value) as Value | null, options);
    }
    const holds = predicate(pred);
    return op === "filter" ? table.filter((value, key) => holds(key, value), options) : table.filterNot((value, key) => holds(key, value), options);
  }

  #split(node: CaseNode): undefined {
    const branches = node.branches ?? [];
    const arms = this.#stream(node.in).branch(
      Object.fromEntries(
        branches.map(({ id, pred }) => {
          const holds = predicate(pred);
          return [id, (value: Value | null, record: StreamRecord<Value | null>) => holds(keyOf(record), value)];
        }),
      ),
    );
    for (const { id } of branches) this.#handles.set(id, { kind: "stream", stream: arms[id] as Values });
    if (node.default !== undefined) this.#handles.set(node.default, { kind: "stream", stream: arms["rest"] as Values });
  }

  #aggregate(node: CaseNode): Table<Value> {
    const { group } = this.#get(node.in, "group");
    const { op, fn = "" } = node;
    if (op === "count") {
      const counts: unknown = group.count(storeName(node));
      return counts as Table<Value>;
    }
    if (op === "reduce") {
      const reduce = reducer(fn);
      return group.reduce(storeName(node), { value: json }, (total, value) => reduce(total, value) as Value | null);
    }
    const { init, add } = aggregation(fn);
    return group.aggregate<Value>(storeName(node), { value: json, init: init as () => Value, add: (total, value) => add(total, value) as Value | null });
  }

  #to(node: CaseNode): undefined {
    const kind = this.#kindOf(node.in);
    const stream = kind === "table" ? this.#get(node.in, "table").table.toStream() : this.#stream(node.in);
    stream.sink(collect(node.topic ?? ""));
  }
}

/** A store of our own name where the case leaves it to Kafka Streams. */
function storeName({ store, id }: CaseNode): string {
  return store ?? `${id}-store`;
}

/** The topology of a case. Throws an {@link UnknownStepError} for what the format does not have, and what the builder throws. */
export function buildCase({ topology: { nodes } }: OracleCase): Topology {
  return defineTopology("oracle", (builder) => {
    const cases = new CaseBuilder(builder);
    for (const node of nodes) cases.add(node);
  });
}
