/** How an aggregate is named in a topology: data, so that `describe` shows it and the plan compiles it. */
export type AggregateKind = "count" | "sum" | "min" | "max" | "avg";

/** One aggregated column over values of type V. `R` is its result's type. */
export interface Aggregator<in V, out R = number> {
  readonly kind: AggregateKind;
  /** The numeric field; absent for `count`. */
  readonly field?: string;
  /** Only a type: what goes in and what comes out. */
  readonly _types?: (value: V) => R;
}

/** An aggregate over a numeric field that the stream's values must have. */
export type FieldAggregator<F extends string> = Aggregator<{ readonly [K in F]: number }>;

/** The type of an aggregate's result. */
export type AggregateResult<A> = A extends Aggregator<never, infer R> ? R : never;

/** Counts records. */
export function count(): Aggregator<unknown> {
  return Object.freeze({ kind: "count" });
}
/** Adds up a numeric field, in the order of the log. */
export function sum<const F extends string>(field: F): FieldAggregator<F> {
  return Object.freeze({ kind: "sum", field });
}
/** The least value of a numeric field. */
export function min<const F extends string>(field: F): FieldAggregator<F> {
  return Object.freeze({ kind: "min", field });
}
/** The greatest value of a numeric field. */
export function max<const F extends string>(field: F): FieldAggregator<F> {
  return Object.freeze({ kind: "max", field });
}
/** The mean of a numeric field: its sum divided by the number of records. */
export function avg<const F extends string>(field: F): FieldAggregator<F> {
  return Object.freeze({ kind: "avg", field });
}
