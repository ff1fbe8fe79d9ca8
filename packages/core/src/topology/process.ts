/** The Processor API: a step of the user's own, with stores, timers, and several streams behind it. */
import type { DurationMs, Header, RecordMeta, StreamRecord } from "../model/index.ts";
import type { TopologyDraft } from "./draft.ts";
import type { ErrorPolicy, NodeBase, NodeId } from "./node.ts";
import { errorPolicy, type OnError } from "./policy.ts";
import type { StoreDeclaration } from "./store-declaration.ts";
import type { Stream } from "./stream.ts";
import type { KeyValue } from "./table-nodes.ts";

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- values pass between steps of different types; the handles carry the types.
type AnyValue = any;

/** By which time a punctuator is called: that of the records, or that of the machine. */
export type PunctuationTime = "stream-time" | "wall-clock";

export interface ProcessNode extends NodeBase {
  readonly kind: "process";
  readonly name: string;
  readonly stores: readonly StoreDeclaration[];
  readonly children: readonly string[];
  readonly keepsKey: boolean;
  /** What `init` may schedule; `none` where there is no `init`. */
  readonly schedules: PunctuationTime | "none";
  readonly init: ((context: AnyValue) => void) | undefined;
  readonly process: (record: AnyValue, context: AnyValue) => void;
  readonly onError: ErrorPolicy;
}
/** What a process step forwards to a named child. */
export interface ProcessChildNode extends NodeBase {
  readonly kind: "process-child";
  readonly child: string;
}

/** A type as a value, for what TypeScript cannot infer: what a step forwards. */
export interface Carries<T> {
  readonly carries: (value: T) => T;
}

const CARRIES: Carries<never> = Object.freeze({ carries: (value: never): never => value });

/**
 * Names the type of the values that a step forwards.
 *
 * @example clicks.process("pages", { output: carries<string>(), process: ({ key, value }, { forward }) => forward({ key, value: value.page }) })
 */
export function carries<T>(): Carries<T> {
  return CARRIES as unknown as Carries<T>;
}

type Declarations = readonly StoreDeclaration[];
/** The names of declared stores. */
export type StoreNames<S extends Declarations> = S[number]["name"];
/** What a step gets of a declared store. */
export type StoreOf<S extends Declarations, N> = NonNullable<Extract<S[number], { readonly name: N }>["handle"]>;

/** A scheduled punctuator. Whether it is cancelled is remembered over restarts. */
export interface Cancellable {
  /** Ends the calls until `resume`. */
  cancel(this: void): void;
  /** Goes on after `cancel`; the next call is due one interval from now, or at the next multiple of it in stream time. Nothing where it was not cancelled. */
  resume(this: void): void;
  readonly isCancelled: boolean;
}

/** What a step knows at any time. */
export interface StoreContext<S extends Declarations> {
  readonly taskId: string;
  /** The greatest event time of the records that reached this step, in epoch milliseconds; -1 before the first. */
  readonly streamTime: number;
  /**
   * The machine's time in epoch milliseconds, as the task last looked at it: before each slice of records and each call of a punctuator. What depends on it is not
   * the same when the log is read again.
   */
  readonly wallClock: number;
  /** A store of this step, by its declared name. Throws USAGE where the step does not declare it. */
  store<N extends StoreNames<S>>(this: void, name: N): StoreOf<S, N>;
}

/** How a step passes records on. They leave when its call returns; those of a call that throws never do. */
export interface Forward<W, C> {
  /** Passes a record on. Timestamp and headers are those of the record that is being processed where absent; in a punctuator its time, and no headers. */
  forward(this: void, record: KeyValue<W>): void;
  /** Passes a record on to a named child alone. */
  forward<K extends keyof C & string>(this: void, record: KeyValue<C[K]>, child: K): void;
}

/** The same for a step that keeps keys. */
export interface ForwardValue<W, C> {
  forward(this: void, record: Omit<KeyValue<W>, "key">): void;
  forward<K extends keyof C & string>(this: void, record: Omit<KeyValue<C[K]>, "key">, child: K): void;
}

/** What a step gets with each record. */
export type RecordContext<S extends Declarations> = StoreContext<S> & {
  /** Where the input record stands that this one comes from; `index` means nothing here. */
  readonly meta: Readonly<RecordMeta>;
  readonly headers: readonly Header[];
};

/** What a step gets while its task is opened: the only moment to schedule punctuators. */
export interface InitContext<P, S extends Declarations> extends StoreContext<S> {
  /**
   * Calls a function at an interval in milliseconds:
   *
   * - by stream time: after a record that brings stream time to a multiple of the interval or beyond, once however far it jumps, with the stream time; the first
   *   time with the first record. A record that is out of order never brings a call.
   * - by wall clock: between records, also where none come; counted from when the topology ran first, once however late it is, with the clock's time.
   *
   * When the next call is due is part of the commit: a restart neither skips a call nor makes one twice whose effects were committed. Punctuators are known by
   * their kind, interval and order, or by `name` where it is given: keep it when you change the interval.
   */
  schedule(this: void, interval: DurationMs, by: PunctuationTime, punctuate: (time: number, context: P) => void, options?: { readonly name?: string }): Cancellable;
}

interface StepOptions<V, W, S extends Declarations, C, R, P> {
  /** The stores that it uses. A store that several steps declare, by the same declaration, is one store. */
  readonly stores?: S;
  /** The type of what it forwards; that of its input when absent. */
  readonly output?: Carries<W>;
  /** Streams besides its main one, and the types of what is forwarded to them. */
  readonly children?: { readonly [K in keyof C]: Carries<C[K]> };
  /**
   * Says that `init` schedules by stream time alone, so that the same input gives the same output and damaged state can be made again from the log. Without it a step
   * with `init` is taken for one that depends on the clock.
   */
  readonly schedules?: "stream-time";
  /** Called whenever the task is opened, before any record. */
  readonly init?: (context: InitContext<P, S>) => void;
  /** Called for each record. May be called again for the same record after a crash; its effects count once. */
  readonly process: (record: StreamRecord<V>, context: R) => void;
  /** For calls that throw. What a call has put into stores and forwarded before it threw is taken back. */
  readonly onError?: OnError;
}

/** Options of {@link Stream.process}. */
export type ProcessOptions<V, W, S extends Declarations, C> = StepOptions<V, W, S, C, RecordContext<S> & Forward<W, C>, StoreContext<S> & Forward<W, C>>;
/** Options of {@link Stream.processValues}. Its punctuators have no key to forward with. */
export type ProcessValuesOptions<V, W, S extends Declarations, C> = StepOptions<V, W, S, C, RecordContext<S> & ForwardValue<W, C>, StoreContext<S>>;

/** What a process step forwards, and its children's streams. */
export type ProcessStream<W, C> = Stream<W> & {
  /** What it forwards to a named child. */
  child<K extends keyof C & string>(name: K): Stream<C[K]>;
};

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- whatever types the options have, the node holds them as they are.
type AnyOptions = StepOptions<any, any, any, any, any, any>;

/** Adds the nodes of a process step. */
export function addProcess<W, C>(draft: TopologyDraft, nodeId: NodeId, name: string, options: AnyOptions, keepsKey: boolean): ProcessStream<W, C> {
  const children = Object.freeze(Object.keys((options.children ?? {}) as object));
  const id = draft.add({
    kind: "process",
    name,
    upstream: [nodeId],
    stores: Object.freeze([...((options.stores ?? []) as Declarations)]),
    children,
    keepsKey,
    schedules: options.init === undefined ? "none" : (options.schedules ?? "wall-clock"),
    init: options.init,
    process: options.process,
    onError: errorPolicy(options.onError),
  });
  const nodes = new Map<string, NodeId>(children.map((child) => [child, draft.add({ kind: "process-child", name: undefined, upstream: [id], child })]));
  const main = draft.stream<W>(id);
  const child = (wanted: string): Stream<unknown> => {
    const found = nodes.get(wanted);
    if (found === undefined) throw new RangeError(`step ${name} has no child "${wanted}": it declares ${children.join(", ") || "none"}`);
    return draft.stream<unknown>(found);
  };
  return Object.assign(main, { child }) as ProcessStream<W, C>;
}
