import type { DurationMs, RecordKey, StreamRecord } from "../model/index.ts";
import type { SinkSpec } from "../port/index.ts";
import type { RecordSchema } from "../schema/index.ts";
import type { DeadLetter } from "./dead-letter.ts";
import type { TopologyDraft } from "./draft.ts";
import { Grouped } from "./grouped.ts";
import type { AnySchema, ErrorPolicy, NodeId } from "./node.ts";
import { errorPolicy, type OnError } from "./policy.ts";

/** Options of a step without state. A step that may send records to the dead letters needs a name. */
export interface StepOptions {
  readonly name?: string;
  readonly onError?: OnError;
}

/** Names of the fields of V whose values have type T. */
export type FieldsOf<V, T> = { [K in keyof V & string]: V[K] extends T ? K : never }[keyof V & string];

/** Options of {@link Stream.cast}. */
export interface CastOptions<V> extends StepOptions {
  /** The field that holds the event time (epoch milliseconds). Without it a record keeps the log's timestamp. */
  readonly timestamp?: FieldsOf<V, number>;
  /**
   * The field that the topic's key repeats. State by fields that include it is right for any number of partitions; a record whose
   * key differs is refused with KEY_MISMATCH (only where the topic has several partitions, since otherwise it cannot matter).
   */
  readonly partitionedBy?: FieldsOf<V, string>;
  /** Refuses larger values. 1,048,576 bytes by default. */
  readonly payloadBytesMax?: number;
}

/** Options of {@link Stream.dedup}. */
export type DedupOptions<V> = {
  /** What makes two records the same: fields, or a function that gives a text. */
  readonly by: readonly (keyof V & string)[] | ((value: V, record: StreamRecord<V>) => string);
  readonly onError?: OnError;
} & (
  | { readonly within?: never; readonly sequence?: never }
  | {
      /** Only records at most this far apart in event time are the same; older state is dropped as stream time goes on. */
      readonly within: DurationMs;
      readonly sequence?: never;
    }
  | {
      readonly within?: never;
      /** An integer field that counts up for each `by`: seen numbers are kept as ranges, a few bytes for thousands of records. */
      readonly sequence: FieldsOf<V, number | bigint>;
    }
);

const PAYLOAD_BYTES_MAX = 1_048_576;

/** A stream of records with values of type V: a handle on a node of a topology. Every operator returns another handle. */
export class Stream<V> {
  readonly draft: TopologyDraft;
  readonly nodeId: NodeId;
  /** The schema of the values, where they come from a cast and were not mapped since. */
  readonly schema: AnySchema | undefined;

  constructor(draft: TopologyDraft, nodeId: NodeId, schema?: AnySchema) {
    this.draft = draft;
    this.nodeId = nodeId;
    this.schema = schema;
  }

  #step(options: StepOptions | undefined): { name: string | undefined; upstream: NodeId[]; onError: ErrorPolicy } {
    return { name: options?.name, upstream: [this.nodeId], onError: errorPolicy(options?.onError) };
  }

  /** Keeps the records for which the predicate holds. */
  filter(predicate: (value: V, record: StreamRecord<V>) => boolean, options?: StepOptions): Stream<V> {
    return new Stream<V>(this.draft, this.draft.add({ kind: "filter", ...this.#step(options), predicate }), this.schema);
  }

  /** One value for each value; key and timestamp stay. */
  map<W>(map: (value: V, record: StreamRecord<V>) => W, options?: StepOptions): Stream<W> {
    return new Stream<W>(this.draft, this.draft.add({ kind: "map", ...this.#step(options), map }));
  }

  /** Any number of values for each value; key and timestamp stay. */
  flatMap<W>(map: (value: V, record: StreamRecord<V>) => Iterable<W>, options?: StepOptions): Stream<W> {
    return new Stream<W>(this.draft, this.draft.add({ kind: "flatMap", ...this.#step(options), map }));
  }

  /** Calls the action for each record and passes the record on unchanged. May be called again for the same record after a crash. */
  peek(action: (value: V, record: StreamRecord<V>) => void, options?: StepOptions): Stream<V> {
    return new Stream<V>(this.draft, this.draft.add({ kind: "peek", ...this.#step(options), action }), this.schema);
  }

  /** Gives each record another key. State behind it needs a topic of one partition. */
  rekey(key: (value: V, record: StreamRecord<V>) => RecordKey, options?: StepOptions): Stream<V> {
    return new Stream<V>(this.draft, this.draft.add({ kind: "rekey", ...this.#step(options), key }), this.schema);
  }

  /** The records of this stream and of the other, in the order in which the task processes them. */
  merge<W>(other: Stream<W>): Stream<V | W> {
    const id = this.draft.add({ kind: "merge", name: undefined, upstream: [this.nodeId, other.nodeId] });
    return new Stream<V | W>(this.draft, id, this.schema === other.schema ? this.schema : undefined);
  }

  /** Sends each record to the first arm whose predicate holds, or to `rest`. */
  branch<const A extends { readonly [arm: string]: (value: V, record: StreamRecord<V>) => boolean }>(
    arms: A,
    options?: StepOptions,
  ): { readonly [K in keyof A | "rest"]: Stream<V> } {
    const entries = Object.entries(arms);
    const id = this.draft.add({
      kind: "branch",
      ...this.#step(options),
      arms: Object.freeze(entries.map(([name, predicate]) => Object.freeze({ name, predicate }))),
    });
    const out: Record<string, Stream<V>> = {};
    [...entries.map(([name]) => name), "rest"].forEach((name, index) => {
      out[name] = new Stream<V>(this.draft, this.draft.add({ kind: "arm", name: undefined, upstream: [id], index }), this.schema);
    });
    return Object.freeze(out) as { readonly [K in keyof A | "rest"]: Stream<V> };
  }

  /**
   * Passes only the first record of each identity; the name is that of the store that remembers them. Repeats are counted.
   *
   * @example readings.dedup("seen-readings", { by: ["deviceId", "metric"], sequence: "seq" })
   */
  dedup(name: string, options: DedupOptions<V>): LateStream<V> {
    const { by } = options;
    const id = this.draft.add({
      kind: "dedup",
      name,
      upstream: [this.nodeId],
      fields: typeof by === "function" ? undefined : Object.freeze([...by]),
      identity: typeof by === "function" ? by : undefined,
      schema: this.schema,
      sequenceField: options.sequence,
      withinMs: options.within,
      onError: errorPolicy(options.onError),
    });
    return new LateStream<V, V>(this.draft, id, this.schema);
  }

  /** Groups by fields, for an aggregate. */
  groupBy<const F extends readonly (keyof V & string)[]>(...fields: F): Grouped<V, F[number]> {
    return new Grouped<V, F[number]>(this, fields, (id) => new LateStream(this.draft, id));
  }

  /** Ends the stream in one or several sinks. Each sink's row type must take V. */
  sink(...specs: readonly [SinkSpec<V>, ...SinkSpec<V>[]]): void {
    for (const spec of specs) {
      this.draft.add({ kind: "sink", name: `${spec.connector}:${spec.target}`, upstream: [this.nodeId], spec: spec as SinkSpec<never> });
    }
  }
}

/** Raw records of a source: bytes, until they are cast. */
export class RawStream extends Stream<Buffer | null> {
  /**
   * Reads JSON into a schema's type. A record that does not fit is refused as a whole, with all its errors.
   *
   * Errors: TOMBSTONE, EMPTY_PAYLOAD, PAYLOAD_TOO_LARGE, PAYLOAD_TOO_DEEP, INVALID_UTF8, INVALID_JSON, CAST_FAILED, KEY_MISMATCH, each to `onError`.
   */
  cast<V, I>(schema: RecordSchema<V, I>, options: CastOptions<V> = {}): Stream<V> {
    const id = this.draft.add({
      kind: "cast",
      name: options.name ?? `cast-${schema.name}`,
      upstream: [this.nodeId],
      schema: schema as AnySchema,
      timestampField: options.timestamp,
      partitionedBy: options.partitionedBy,
      payloadBytesMax: options.payloadBytesMax ?? PAYLOAD_BYTES_MAX,
      onError: errorPolicy(options.onError),
    });
    return new Stream<V>(this.draft, id, schema as AnySchema);
  }
}

/** A stream with a side stream of the records that came too late for it. */
export class LateStream<V, L = V> extends Stream<V> {
  /** Records whose time had passed: counted as late, and passed on here unchanged. */
  get late(): Stream<L> {
    return new Stream<L>(this.draft, this.draft.add({ kind: "late", name: undefined, upstream: [this.nodeId] }));
  }
}

/** The stream of records that steps refused: a policy for their `onError`, and a stream to sink. */
export class DeadLetterStream extends Stream<DeadLetter> {}
