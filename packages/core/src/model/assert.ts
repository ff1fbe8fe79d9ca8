/** A broken invariant: a bug in this library, never bad input. Not meant to be caught. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/** Throws an {@link InvariantError} unless the condition holds. For bugs only; expected failures are {@link Failure} values. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(`invariant broken: ${message}`);
}
