/**
 * Standard Schema, version 1: the interface that zod, valibot, arktype and others share. Written here as an interface, so that none of them is a dependency.
 */

/** What a validation gives: a value, or issues. */
export type StandardResult<Output> = { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly StandardIssue[] };

/** One thing wrong with a value, at a path of keys. */
export interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** A schema of another library: what it validates and gives. Only synchronous ones can be used in a topology, whose tasks never wait. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    /** The library: `zod`, `valibot`, `arktype`. */
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    /** Only types; never set. */
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** Whether a value is a Standard Schema. Those of some libraries are functions. */
export function isStandardSchema(value: unknown): value is StandardSchema {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false;
  const standard = (value as { readonly "~standard"?: { readonly version?: unknown; readonly validate?: unknown } })["~standard"];
  return standard?.version === 1 && typeof standard.validate === "function";
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { readonly then?: unknown }).then === "function";
}

/** The result of a validation, or undefined where the schema wants to be waited for; what it then says is not heard. */
export function validateNow<Output>(schema: StandardSchema<unknown, Output>, value: unknown): StandardResult<Output> | undefined {
  const result = schema["~standard"].validate(value);
  if (!isPromise(result)) return result;
  result.then(undefined, () => {});
  throwWhatWasThrown(schema, value);
  return undefined;
}

/** Zod gives a promise too where a function of a schema throws. Its `safeParse` does not, so it is asked which of the two it was. */
function throwWhatWasThrown(schema: StandardSchema, value: unknown): void {
  const { safeParse } = schema as { readonly safeParse?: unknown };
  if (typeof safeParse !== "function") return;
  try {
    safeParse.call(schema, value);
  } catch (error) {
    if (!/async/i.test(Object(error).constructor?.name ?? "")) throw error;
  }
}

/** Whether a schema is asynchronous as a whole. One with an asynchronous check further inside shows it only with a value that reaches the check. */
export function isAsynchronous(schema: StandardSchema): boolean {
  try {
    return validateNow(schema, undefined) === undefined;
  } catch {
    return false;
  }
}
