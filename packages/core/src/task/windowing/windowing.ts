/** What the kinds of windows have in common. */
import { ByteReader, ByteWriter } from "../../model/index.ts";
import type { ValueCodec } from "../../state/codec.ts";
import type { AnySerde, Window } from "../../topology/index.ts";
import type { TaskContext } from "../context.ts";

/** How totals grow. Neither function changes what it gets. */
export interface Fold<A> {
  /** The total with a value; null is no total, before and after. */
  add(total: A | null, value: unknown, key: string): A | null;
}

/** What became of a window. */
export interface WindowChange<A> {
  readonly key: string;
  readonly start: number;
  readonly end: number;
  readonly value: A | null;
  readonly old: A | null;
  readonly timestamp: number;
}

/** A record on its way into windows. */
export interface WindowInput<A> {
  readonly key: string;
  readonly value: unknown;
  readonly timestamp: number;
  /** That of the step, this record's time in it. */
  readonly streamTime: number;
  readonly fold: Fold<A>;
}

/** What is made of a record: whether some window took it, and what became of windows, in order. */
export interface WindowResult<A> {
  readonly isLate: boolean;
  readonly changes: readonly WindowChange<A>[];
}

/** The windows of a step. */
export interface Windowing<A> {
  /** Adds a record to its windows. Throws what the fold throws, before anything is changed. */
  add(input: WindowInput<A>): WindowResult<A>;
  /** Gives the last results of the windows that the stream time has closed since it was last called, in order of time. */
  close(streamTime: number, emit: (change: WindowChange<A>) => void): void;
}

/** What a step's windows are made of. */
export interface WindowingOptions<A, W extends Window = Window> {
  readonly context: TaskContext;
  /** The name of the store, and of the stream time. */
  readonly name: string;
  readonly window: W;
  readonly codec: ValueCodec<A>;
  readonly retentionMs: number | undefined;
  /** Whether `close` gives results. */
  readonly closes: boolean;
}

const LATE: WindowResult<never> = Object.freeze({ isLate: true, changes: Object.freeze([]) });
/** No window took the record. */
export function late<A>(): WindowResult<A> {
  return LATE;
}

/** Options of a store of the context. */
export function storeOptions({ cacheEntriesMax, scratch }: TaskContext): { readonly entriesMax: number; readonly scratch: ByteWriter } {
  return { entriesMax: cacheEntriesMax, scratch };
}

/** A serde's values, each to the end of its bytes. */
export function serdeCodec(serde: AnySerde): ValueCodec<unknown> {
  return { encode: (writer, value) => serde.encode(writer, value), decode: (reader) => serde.decode(reader.bytes(reader.remaining)) };
}

/** Values with lengths, for several in one entry. */
export function sizedCodec<A>(codec: ValueCodec<A>): ValueCodec<A> {
  const scratch = new ByteWriter(256);
  return {
    encode(writer, value) {
      scratch.reset();
      codec.encode(scratch, value);
      writer.sized(scratch.buffer.subarray(0, scratch.position));
    },
    decode: (reader) => codec.decode(new ByteReader(reader.sized())),
  };
}
