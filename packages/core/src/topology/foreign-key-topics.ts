/**
 * The join by foreign key over tables of several partitions, by topics of the topology's own, made of the steps that everybody has:
 *
 *   the task of a left row    keeps which key each row named last, and sends `join` to the key that it names now, `leave` to the one that it named before
 *                             | <topology>-<name>-subscriptions-repartition, by foreign key
 *   the task of that key      keeps which rows name it, and the right row; answers a `join`, and each change of the right row, with both rows
 *                             | <topology>-<name>-results-repartition, by left key
 *   the task of the result    keeps the newest version that was answered a left key, and drops what is older
 *
 * Answers for one left key may come from two tasks, that of the former key and that of the new one, in any order. So each change of a left row has a number, which goes with everything
 * that comes of it: an answer with a lower number than one that was seen is outdated.
 */
import { ByteReader, type ByteWriter, type RecordKey, TopologyError } from "../model/index.ts";
import { type Serde, serde } from "../schema/index.ts";
import type { OnError } from "./policy.ts";
import { carries } from "./process.ts";
import { keyValueStore, orderedStore } from "./store-declaration.ts";
import type { Stream } from "./stream.ts";
import type { ForeignKeyJoinOptions, Table } from "./table.ts";
import type { TableJoinNode } from "./table-join-nodes.ts";

/** The topics of a join by foreign key. */
export interface ForeignKeyTopics<V, W> {
  /** How this table's rows stand in them, and in the stores behind them. */
  readonly left: Serde<V>;
  /** The same for the other table's rows. */
  readonly right: Serde<W>;
  /** How many partitions the topic of the results has, and with it the joined table; as many as the other table's topic when absent. Subscriptions always have as many as that. */
  readonly partitions?: number;
}

/**
 * What the task of a left row tells the task of a foreign key:
 *
 *   join    the row names it now: answer with both rows        offer   the same, to be answered only where there is a right row
 *   drop    it does so no more: answer that there is nothing   leave   the same, without an answer: another key's task gives one
 *   pass    answer with this row alone, which names none, or with nothing for one that is deleted
 *
 * Which of them have an answer is Kafka Streams' rule, by which some deletions of what did not stand are sent in an inner join.
 */
interface Subscription<V> {
  readonly op: (typeof OPS)[number];
  readonly left: string;
  readonly version: number;
  readonly row: V | null;
}
/** A change of the right row, among the subscriptions. */
interface RightChange<W> {
  readonly op: "right";
  readonly row: W | null;
}
/** Both rows, as of a version of the left one. */
interface Pair<V, W> {
  readonly version: number;
  readonly left: V | null;
  readonly right: W | null;
}
/** A left row and the key that it names. */
interface Named<V> {
  readonly row: V;
  readonly foreignKey: string | null;
}
interface Newest {
  readonly version: number;
  readonly stands: boolean;
}

const OPS = ["join", "offer", "drop", "leave", "pass"] as const;

function byteSerde<T>(name: string, encode: (writer: ByteWriter, value: T) => void, read: (reader: ByteReader) => T): Serde<T> {
  const decode = (bytes: Buffer): T => {
    try {
      return read(new ByteReader(bytes));
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      throw new TopologyError("INVALID_ENCODING", `${bytes.length} bytes are no ${name}`, { place: `serde ${name}`, cause });
    }
  };
  return Object.freeze({ name, encode, decode });
}

/** A row that is there or not, to the end of the bytes. */
function putRest<T>(writer: ByteWriter, row: T | null, form: Serde<T>): void {
  writer.u8(row === null ? 0 : 1);
  if (row !== null) form.encode(writer, row);
}

function takeRest<T>(reader: ByteReader, form: Serde<T>): T | null {
  return reader.u8() === 0 ? null : form.decode(reader.bytes(reader.remaining));
}

function subscriptions<V>(row: Serde<V>): Serde<Subscription<V>> {
  return byteSerde<Subscription<V>>(
    `subscription of ${row.name}`,
    (writer, value) => {
      writer.u8(OPS.indexOf(value.op));
      writer.f64(value.version);
      writer.text(value.left);
      putRest(writer, value.row, row);
    },
    (reader) => ({ op: OPS[reader.u8()] as Subscription<V>["op"], version: reader.f64(), left: reader.text(), row: takeRest(reader, row) }),
  );
}

function pairs<V, W>(left: Serde<V>, right: Serde<W>): Serde<Pair<V, W>> {
  return byteSerde<Pair<V, W>>(
    `pair of ${left.name} and ${right.name}`,
    (writer, value) => {
      writer.f64(value.version);
      const at = writer.beginSized();
      putRest(writer, value.left, left);
      writer.endSized(at);
      putRest(writer, value.right, right);
    },
    (reader) => ({ version: reader.f64(), left: takeRest(new ByteReader(reader.sized()), left), right: takeRest(reader, right) }),
  );
}

/** A number and a row. */
function numbered<T, N extends string>(name: N, row: Serde<T>): Serde<Readonly<Record<N, number>> & { readonly row: T }> {
  return byteSerde<Readonly<Record<N, number>> & { readonly row: T }>(
    `${name} and ${row.name}`,
    (writer, value) => {
      writer.f64(value[name]);
      row.encode(writer, value.row);
    },
    (reader) => ({ [name]: reader.f64(), row: row.decode(reader.bytes(reader.remaining)) }) as Readonly<Record<N, number>> & { readonly row: T },
  );
}

/** A foreign key's subscribers stand together, in the order of their keys. The length keeps a key apart from one that begins with it. */
function subscribersOf(foreignKey: string): string {
  return `${foreignKey.length}:${foreignKey}`;
}

function textOf(key: RecordKey): string {
  return typeof key === "string" ? key : Buffer.from(key ?? []).toString();
}

/** Joins through topics. The result's store has the join's name. */
export function joinThroughTopics<V, W, R>(kind: "inner" | "left", table: Table<V>, other: Table<W>, joiner: TableJoinNode["joiner"], options: ForeignKeyJoinOptions<V, W, R>, topics: ForeignKeyTopics<V, W>): Table<R> {
  const { name, foreignKey, onError, store, value } = options;
  const answers = answersOf(name, subscriptionsOf(kind, name, table, foreignKey, onError), other, topics);
  const pair = pairs(topics.left, topics.right);
  const newest = keyValueStore(`${name}-newest`, { value: serde.json<Newest>() });
  const results = answers
    .repartition(`${name}-results`, { by: (_answer, { key }) => key, value: pair, ...(topics.partitions === undefined ? {} : { partitions: topics.partitions }) })
    .processValues(`${name}-resolve`, {
      stores: [newest],
      output: carries<Pair<V, W> | null>(),
      process({ key, value: answer }, context) {
        const known = context.store(`${name}-newest`).get(textOf(key));
        if (answer === null || (known !== undefined && answer.version < known.version)) return;
        const stands = answer.left !== null && (kind === "left" || answer.right !== null);
        context.store(`${name}-newest`).put(textOf(key), { version: answer.version, stands });
        if (stands || kind === "inner" || known?.stands === true) context.forward({ value: stands ? answer : null });
      },
    })
    .toTable(name, { value: pair });
  const policy = onError === undefined ? {} : { onError };
  return results.mapValues<R>(({ left, right }, key) => joiner(left, right, key) as R | null, store === undefined ? { name: `${name}-join`, ...policy } : { store, value, ...policy });
}

/** What changes what stands now: of a versioned table only that is joined, as without topics. */
function latestOf<T>({ draft, nodeId }: Table<T>): Stream<T | null> {
  return draft.stream(draft.add({ kind: "to-stream", name: undefined, upstream: [nodeId], isLatest: true }));
}

function subscriptionsOf<V>(kind: "inner" | "left", name: string, table: Table<V>, foreignKey: (row: V, key: string) => string | null | undefined, onError: OnError | undefined): Stream<Subscription<V>> {
  const [numbers, named] = [keyValueStore(`${name}-version`, { value: serde.integer() }), keyValueStore(`${name}-named`, { value: serde.string() })];
  // A row of which the key cannot be told is a deletion, so the function is called in a step of tables.
  const keyed = table.mapValues((row, key): Named<V> => ({ row, foreignKey: foreignKey(row, key) ?? null }), { name: `${name}-keys`, ...(onError === undefined ? {} : { onError }) });
  return latestOf(keyed).process(`${name}-subscribe`, {
    stores: [numbers, named],
    output: carries<Subscription<V>>(),
    process({ key, value }, { store, forward }) {
      const left = textOf(key);
      const version = (store(`${name}-version`).get("") ?? 0) + 1;
      store(`${name}-version`).put("", version);
      const before = store(`${name}-named`).get(left) ?? null;
      const now = value?.foreignKey ?? null;
      store(`${name}-named`).put(left, now);
      const hasMoved = before !== null && before !== now;
      const isDropped = hasMoved && now === null && kind === "inner";
      if (hasMoved) forward({ key: before, value: { op: isDropped ? "drop" : "leave", left, version, row: null } });
      if (value !== null && now !== null) forward({ key: now, value: { op: kind === "left" || hasMoved ? "join" : "offer", left, version, row: value.row } });
      // Without a key it is dropped on its way into the topic, and counted there.
      else if (value !== null && kind === "inner") forward({ key: null, value: { op: "pass", left, version, row: null } });
      else if (kind === "left") forward({ key: left, value: { op: "pass", left, version, row: value?.row ?? null } });
    },
  });
}

function answersOf<V, W>(name: string, sent: Stream<Subscription<V>>, other: Table<W>, { left: leftForm, right: rightForm }: ForeignKeyTopics<V, W>): Stream<Pair<V, W>> {
  const [subscribers, rights] = [orderedStore(`${name}-subscribers`, { value: numbered("version", leftForm) }), keyValueStore(`${name}-rights`, { value: numbered("timestamp", rightForm) })];
  const changes = latestOf(other).map((row): RightChange<W> => ({ op: "right", row }), { name: `${name}-rights-changed` });
  return sent
    .repartition(`${name}-subscriptions`, { by: (_subscription, { key }) => key, value: subscriptions(leftForm) })
    .merge(changes)
    .process(`${name}-answer`, {
      stores: [subscribers, rights],
      output: carries<Pair<V, W>>(),
      process({ key, value: change, timestamp }, { store, forward }) {
        if (change === null) return;
        const foreignKey = textOf(key);
        const prefix = subscribersOf(foreignKey);
        if (change.op === "right") {
          const { row } = change;
          store(`${name}-rights`).put(foreignKey, row === null ? null : { timestamp, row });
          for (const [id, subscriber] of store(`${name}-subscribers`).prefix(prefix)) forward({ key: id.slice(prefix.length), value: { version: subscriber.version, left: subscriber.row, right: row } });
          return;
        }
        const { op, left, version, row } = change;
        if (op === "pass") return forward({ key: left, value: { version, left: row, right: null } });
        store(`${name}-subscribers`).put(prefix + left, row === null ? null : { version, row });
        const right = store(`${name}-rights`).get(foreignKey);
        if (op === "leave" || (op === "offer" && right === undefined)) return;
        forward({ key: left, value: { version, left: row, right: right?.row ?? null }, timestamp: Math.max(timestamp, right?.timestamp ?? timestamp) });
      },
    });
}
