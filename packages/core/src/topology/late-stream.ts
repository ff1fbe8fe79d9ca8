import type { Stream } from "./stream.ts";

/** A stream with a side stream of the records that came too late for it: they are counted as late, and pass on there unchanged. */
export type LateStream<V, L = V> = Stream<V> & { readonly late: Stream<L> };

/** Gives a handle its side stream, whose node is made when it is first asked for. */
export function withLate<V, L>(stream: Stream<V>, open: () => Stream<L>): LateStream<V, L> {
  let late: Stream<L> | undefined;
  return Object.defineProperty(stream, "late", { get: () => (late ??= open()), enumerable: true }) as LateStream<V, L>;
}
