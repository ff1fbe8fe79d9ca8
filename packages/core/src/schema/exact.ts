import { DEPTH_MAX } from "./cast-failure.ts";
import { formatUnscaled } from "./decimal.ts";
import { formatDay, formatTicks, parseDay } from "./instant.ts";
import { isDeeper, parseStored, stringifyObject } from "./json-text.ts";
import { integerRange } from "./number-cast.ts";
import { bigTicks, exactDecimal, smallTicks, wellFormed } from "./row-writer.ts";
import { dayRange } from "./time-cast.ts";
import type { IntegerBits } from "./column.ts";

/** Exact conversions of single values, for connectors whose formats are not ours. Each throws a RangeError on a value that does not fit, rather than change it. */
export interface ExactValues {
  /** An integer of a column as a bigint. */
  readonly integer: (value: unknown, bits: IntegerBits, signed: boolean) => bigint;
  /** The integer that stands for a decimal at its scale: `("12.3", 9, 2)` is `1230n`. */
  readonly decimal: (value: unknown, precision: number, scale: number) => bigint;
  /** The text of an integer at a scale: `(1230n, 2)` is `"12.30"`. */
  readonly decimalText: (unscaled: bigint, scale: number) => string;
  /** Ticks of 10^-precision seconds of a moment's column. */
  readonly ticks: (value: unknown, bits: 32 | 64, precision: number) => bigint;
  /** ISO-8601 text in UTC of ticks. */
  readonly momentText: (ticks: bigint, precision: number) => string;
  /** Days since 1970 of `YYYY-MM-DD`. */
  readonly day: (value: unknown, bits: 16 | 32) => number;
  readonly dayText: (days: number) => string;
  /** Text without lone surrogates. */
  readonly text: (value: unknown) => string;
  /** JSON text of a JSON column's object. */
  readonly jsonText: (value: unknown) => string;
  /** A JSON text's value, numbers that a double rounds kept as source text. Throws a SyntaxError on what is no JSON, a RangeError on more than 64 levels. */
  readonly parseJson: (text: string) => unknown;
}

/** See {@link ExactValues}. */
export const exact: ExactValues = Object.freeze({
  integer(value: unknown, bits: IntegerBits, signed: boolean): bigint {
    const [low, high] = integerRange(bits, signed);
    const integer = typeof value === "number" && Number.isSafeInteger(value) ? BigInt(value) : value;
    if (typeof integer === "bigint" && integer >= low && integer <= high) return integer;
    throw new RangeError(`expected an exact integer from ${low} to ${high}, got ${typeof value === "bigint" || typeof value === "number" ? String(value) : `a ${typeof value}`}`);
  },
  decimal: exactDecimal,
  decimalText: formatUnscaled,
  ticks: (value: unknown, bits: 32 | 64, precision: number): bigint => (precision > 3 ? bigTicks(precision)(value) : BigInt(smallTicks(bits, precision)(value))),
  momentText: formatTicks,
  day(value: unknown, bits: 16 | 32): number {
    const [first, last] = dayRange(bits);
    const days = typeof value === "string" ? parseDay(value) : Number.NaN;
    if (days >= first && days <= last) return days;
    throw new RangeError(`expected a day as YYYY-MM-DD in the column's range, got ${typeof value === "string" ? JSON.stringify(value.slice(0, 60)) : `a ${typeof value}`}`);
  },
  dayText: formatDay,
  text: wellFormed,
  jsonText: stringifyObject,
  parseJson(text: string): unknown {
    JSON.parse(text);
    if (isDeeper(Buffer.from(text), DEPTH_MAX)) throw new RangeError(`the JSON is nested deeper than ${DEPTH_MAX}`);
    return parseStored(text);
  },
});
