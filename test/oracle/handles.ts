/** What a case's steps make, by their ids. Values are whatever JSON holds. */
import { type GlobalTable, type KeyedGroup, type CogroupedGroup, type Serde, serde, type Stream, type StreamRecord, type Table, type TableGroup, type WindowedTable } from "@iot-topology/core";
import type { CaseNode, WindowSpec } from "./case.ts";

export type Value = NonNullable<unknown>;
export type Values = Stream<Value | null>;

export type Handle =
  | { readonly kind: "stream"; readonly stream: Values }
  | { readonly kind: "table"; readonly table: Table<Value> }
  | { readonly kind: "global table"; readonly table: GlobalTable<Value> }
  | { readonly kind: "group"; readonly group: KeyedGroup<Value, Value | null> }
  | { readonly kind: "table group"; readonly group: TableGroup<Value> }
  | { readonly kind: "cogroup"; readonly cogroup: CogroupedGroup<Value, Value | null> }
  /** A group or a cogroup, and windows that wait for their aggregate, which names the retention. */
  | { readonly kind: "windows"; readonly of: string; readonly window: WindowSpec; readonly emitsOnClose: boolean }
  | { readonly kind: "windowed table"; readonly table: WindowedTable<Value> };

export type HandleOf<K extends Handle["kind"]> = Extract<Handle, { readonly kind: K }>;

/** A case asks for something that the format does not have. */
export class UnknownStepError extends Error {}

export class Handles {
  readonly #handles = new Map<string, Handle>();
  /** Whether joins by foreign key go through topics. */
  readonly throughTopics: boolean;

  constructor(throughTopics: boolean) {
    this.throughTopics = throughTopics;
  }

  set(id: string, handle: Handle): void {
    this.#handles.set(id, handle);
  }
  any(id: string | undefined): Handle {
    const handle = this.#handles.get(id ?? "");
    if (handle === undefined) throw new UnknownStepError(`nothing is called "${id}"`);
    return handle;
  }
  get<K extends Handle["kind"]>(id: string | undefined, kind: K): HandleOf<K> {
    const handle = this.any(id);
    if (handle.kind !== kind) throw new UnknownStepError(`"${id}" is a ${handle.kind}, and a ${kind} is needed`);
    return handle as HandleOf<K>;
  }
  stream(id: string | undefined): Values {
    return this.get(id, "stream").stream;
  }
  table(id: string | undefined): Table<Value> {
    return this.get(id, "table").table;
  }
}

export const json: Serde<Value> = serde.json<Value>();

export const keyOf = ({ key }: StreamRecord<unknown>): string | null => (key === null || typeof key === "string" ? key : Buffer.from(key).toString("utf8"));

/** A store of our own name where the case leaves it to Kafka Streams. */
export function storeName({ store, id }: CaseNode): string {
  return store ?? `${id}-store`;
}
