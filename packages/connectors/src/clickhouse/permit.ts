import type { Parameters } from "./server.ts";

/** How the server says that a statement's permit is over; see server-error.ts. */
export const FENCED = "iot-topology: fenced";

/**
 * The right to write, checked by the server at the start of each statement that is sent under it: a process that was taken for dead, and wakes up later,
 * cannot write any more, however late its statement comes. A statement that was let in before the permit ended is found by its query id and waited for.
 */
export interface Permit {
  /** An SQL condition that throws when the permit is over. */
  readonly condition: string;
  readonly parameters: Parameters;
  /** Begins the query id of every statement under this permit. */
  readonly queryIdPrefix: string;
}

/** The condition as one that throws: a filter would only write nothing, and nobody would know. */
export function throwUnless(condition: string): string {
  return `NOT ignore(throwIf(NOT (${condition}), '${FENCED}'))`;
}

/** A SELECT that gives its rows only under the permit. */
export function permitted(select: string, permit: Permit): string {
  return `SELECT * FROM (${select}) WHERE ${permit.condition}`;
}
