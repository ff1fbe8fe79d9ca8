import { type AnyColumn, CastFailure, compileCaster, record } from "@iot-topology/core";

/** A column's default as a cast gives it. The declaration was checked, so it fits. */
export function defaultOf(column: AnyColumn): unknown {
  const value = compileCaster(record("Default", { value: column }))({});
  if (value instanceof CastFailure) throw new RangeError(value.message);
  return (value as { readonly value: unknown }).value;
}

/** A number's JSON source text as a value that `JSON.stringify` writes out as it is; what every supported Node has and TypeScript's library does not declare. */
export const exactNumber: (text: string) => unknown = (JSON as unknown as { readonly rawJSON: (text: string) => unknown }).rawJSON;
