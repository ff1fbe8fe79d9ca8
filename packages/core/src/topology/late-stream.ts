import type { Stream } from "./stream.ts";

/** A handle with a side stream of the records that came too late for it: they are counted as late, and pass on there unchanged. */
export type WithLate<H, L> = H & { readonly late: Stream<L> };
/** A stream with such a side stream. */
export type LateStream<V, L = V> = WithLate<Stream<V>, L>;

/** Gives a handle its side stream, whose node is made when it is first asked for. */
export function withLate<H extends object, L>(handle: H, open: () => Stream<L>): WithLate<H, L> {
  let late: Stream<L> | undefined;
  return Object.defineProperty(handle, "late", { get: () => (late ??= open()), enumerable: true }) as WithLate<H, L>;
}
