import { InvalidArgumentError } from "commander";
import type { Context } from "./context.ts";

/** What a command does. `rest` are the arguments as they were typed. */
export type Action = (context: Context, first: string | undefined, flags: never, rest: readonly string[]) => Promise<number> | number;

/** Each command's own module is loaded when it runs, so that `--help` and `sql` do not wait for what only `start` needs. */
export type Run = (load: () => Promise<Action>) => (...args: unknown[]) => Promise<void>;

/** A whole number within bounds, as an option's value. */
export function whole(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && Number.isInteger(value) && value >= minimum && value <= maximum) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${minimum} to ${maximum}.`);
  };
}

/** A moment in epoch milliseconds, as an option's value. */
export function moment(text: string): number {
  const value = Date.parse(text);
  if (Number.isNaN(value)) throw new InvalidArgumentError("It must be a time such as 2026-01-01T00:00:00Z.");
  return value;
}
