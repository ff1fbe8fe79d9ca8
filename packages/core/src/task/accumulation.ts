import type { ByteReader, ByteWriter, LogRecord } from "../model/index.ts";
import { generate, literal, memoise } from "../schema/generate.ts";
import { compileBinaryCodec } from "../schema/index.ts";
import type { ValueCodec } from "../state/codec.ts";
import type { AggregateNode, Aggregator } from "../topology/index.ts";

/** A group's state in memory. What stands below the line is not stored: it is known once the group has a row that waits to leave. */
export interface GroupState<S> {
  total: S;
  updates: number;
  /** The greatest event time of the group's records. */
  timestamp: number;
  // ----
  waiting: boolean;
  /** Known once the group was looked up. */
  windowStart: number;
  /** The values of the fields that make the group. Not the record's whole value, which would have to be kept for it. */
  group: readonly unknown[] | undefined;
  /** The last record of the row that waits. */
  origin: LogRecord | undefined;
}

/** How a group's total starts, grows, fills a row and is stored. `add` may change the total in place; it throws before it changes anything. */
export interface Accumulation<S> {
  start(value: Record<string, unknown>): S;
  add(total: S, value: Record<string, unknown>): S;
  /** A total that `add` may change without changing this one. */
  copy(total: S): S;
  /** Both totals as one; neither is changed. */
  merge(total: S, other: S): S;
  fill(row: Record<string, unknown>, total: S): void;
  readonly codec: ValueCodec<GroupState<S>>;
}

function refuse(field: string): never {
  throw new TypeError(`field ${field} is not a finite number`);
}

function groupCodec<S>(encodeTotal: (writer: ByteWriter, total: S) => void, decodeTotal: (reader: ByteReader) => S): ValueCodec<GroupState<S>> {
  return {
    encode(writer, state) {
      writer.varint(state.updates);
      writer.f64(state.timestamp);
      encodeTotal(writer, state.total);
    },
    decode(reader) {
      const updates = reader.varint();
      const timestamp = reader.f64();
      return { total: decodeTotal(reader), updates, timestamp, waiting: false, windowStart: 0, group: undefined, origin: undefined };
    },
  };
}

/** Zeros in an array that V8 keeps as doubles: what its elements once were they stay, so one that is no small integer comes first. */
function doubles(count: number): number[] {
  const array: number[] = [];
  for (let index = 0; index < count; index++) array.push(0.5);
  return array.fill(0);
}

type AggregateColumns = { readonly [name: string]: Aggregator<never, unknown> };

/** How the slots of one column start, take a number `x`, and take those of another total `o`. */
function slotCode(kind: string, slot: number, x: string): { readonly blank: readonly number[]; readonly add: string; readonly merge: string } {
  const s = `s[${slot}]`;
  const o = `o[${slot}]`;
  if (kind === "min") return { blank: [Number.POSITIVE_INFINITY], add: `if (${x} < ${s}) ${s} = ${x};`, merge: `${s} = Math.min(${s}, ${o});` };
  if (kind === "max") return { blank: [Number.NEGATIVE_INFINITY], add: `if (${x} > ${s}) ${s} = ${x};`, merge: `${s} = Math.max(${s}, ${o});` };
  const plus = { blank: [0], add: `${s} += ${x};`, merge: `${s} += ${o};` };
  if (kind !== "avg") return plus;
  return { blank: [0, 0], add: `${plus.add} s[${slot + 1}] += 1;`, merge: `${plus.merge} s[${slot + 1}] += o[${slot + 1}];` };
}

/**
 * Columns of aggregates as slots of doubles: one for count, sum, min, max; avg has two. A new count is exact to 2^53. Arrays that never held anything but doubles
 * take half of what typed arrays take, and are made in a tenth of the time.
 * Fields are read and checked before any slot changes. What is compiled here is compiled once for all tasks.
 */
const columnAccumulation = memoise((columns: AggregateColumns): Accumulation<number[]> => {
  const entries = Object.entries(columns);
  const fields = [...new Set(entries.flatMap(([, column]) => column.field ?? []))];
  const reads = fields.map((field, index) => `const x${index} = value[${literal(field)}];\nif (typeof x${index} !== "number" || x${index} - x${index} !== 0) refuse(${literal(field)});`);
  const blanks: number[] = [];
  const adds: string[] = [];
  const merges: string[] = [];
  const fills: string[] = [];
  for (const [name, column] of entries) {
    const slot = blanks.length;
    const { blank, add, merge } = slotCode(column.kind, slot, column.field === undefined ? "1" : `x${fields.indexOf(column.field)}`);
    blanks.push(...blank);
    adds.push(add);
    merges.push(merge);
    fills.push(`row[${literal(name)}] = ${column.kind === "avg" ? `s[${slot}] / s[${slot + 1}]` : `s[${slot}]`};`);
  }
  const blank = doubles(blanks.length);
  for (const [slot, value] of blanks.entries()) blank[slot] = value;
  const bindings = { refuse };
  const add = generate<(slots: number[], value: Record<string, unknown>) => number[]>(bindings, `return function add(s, value) {\n${[...reads, ...adds].join("\n")}\nreturn s;\n};`);
  const mergeInto = generate<(slots: number[], others: number[]) => number[]>({}, `return function merge(s, o) {\n${merges.join("\n")}\nreturn s;\n};`);
  const fill = generate<(row: Record<string, unknown>, slots: number[]) => void>({}, `return function fill(row, s) {\n${fills.join("\n")}\n};`);
  return {
    start: (value) => add(blank.slice(), value),
    add,
    copy: (slots) => slots.slice(),
    merge: (slots, others) => mergeInto(slots.slice(), others),
    fill,
    codec: groupCodec(
      (writer, slots) => {
        for (const slot of slots) writer.f64(slot);
      },
      (reader) => {
        const slots = blank.slice();
        for (let slot = 0; slot < slots.length; slot++) slots[slot] = reader.f64();
        return slots;
      },
    ),
  };
});

/** Compiles a node's aggregation. */
export function compileAccumulation(node: Pick<AggregateNode, "aggregation">): Accumulation<never> {
  const { aggregation } = node;
  if (aggregation.kind === "columns") return columnAccumulation(aggregation.columns) as unknown as Accumulation<never>;
  const codec = compileBinaryCodec(aggregation.schema);
  const accumulation: Accumulation<unknown> = {
    start: (value) => value,
    add: (total, value) => aggregation.reduce(total, value),
    copy: (total) => total,
    merge: (total, other) => aggregation.reduce(total, other),
    fill: (row, total) => {
      row["value"] = total;
    },
    codec: groupCodec(
      (writer, total) => codec.encode(writer, total),
      (reader) => codec.decode(reader),
    ),
  };
  return accumulation as unknown as Accumulation<never>;
}
