import type { Column, ColumnSettings, IntegerBits } from "./column.ts";
import { describeValue, type Issues } from "./cast-failure.ts";
import { formatUnscaled, isNumericText, unscaled, type UnscaledProblem } from "./decimal.ts";
import { isRawJson } from "./raw-json.ts";

/** Casts a value that is neither absent nor null. What it gives after it added an issue is not used. */
export type Cast = (value: unknown, issues: Issues) => unknown;

/** The least and the greatest integer of a width. */
export function integerRange(bits: IntegerBits, signed: boolean): readonly [bigint, bigint] {
  const width = BigInt(bits);
  return signed ? [-(1n << (width - 1n)), (1n << (width - 1n)) - 1n] : [0n, (1n << width) - 1n];
}

function largest(a: bigint, b: number | bigint | undefined): bigint {
  const bound = b === undefined || b === -Infinity ? a : typeof b === "number" ? BigInt(Math.ceil(b)) : b;
  return bound > a ? bound : a;
}

function smallest(a: bigint, b: number | bigint | undefined): bigint {
  const bound = b === undefined || b === Infinity ? a : typeof b === "number" ? BigInt(Math.floor(b)) : b;
  return bound < a ? bound : a;
}

/** The range of an integer column, its own minimum and maximum included. */
export function integerBounds(bits: IntegerBits, signed: boolean, settings: ColumnSettings): readonly [bigint, bigint] {
  const [low, high] = integerRange(bits, signed);
  return [largest(low, settings.minimum), smallest(high, settings.maximum)];
}

/** A number's text: from a string, from source text kept, or from a bigint; undefined for all else. */
function numberText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value === "bigint") return String(value);
  return isRawJson(value) ? value.rawJSON : undefined;
}

/** Integers: from a JSON number, a numeric string or a bigint, exactly. Up to 32 bits give a number, more a bigint. */
export function integerCast(bits: IntegerBits, signed: boolean, settings: ColumnSettings): Cast {
  const [minimum, maximum] = integerBounds(bits, signed, settings);
  const range = `an integer from ${minimum} to ${maximum}`;
  const big = bits > 32;
  return (value, issues) => {
    if (typeof value === "number" && Number.isInteger(value)) {
      if (Number.isSafeInteger(value)) {
        if (value >= minimum && value <= maximum) return big ? BigInt(value) : value + 0;
      } else if (big && !issues.exact) {
        issues.inexact = true;
        return issues.add(`is ${value}, beyond 2^53 and not exact as a number; give it as text`);
      }
      if (!big || Number.isSafeInteger(value)) return issues.add(`expected ${range}, got ${describeValue(value)}`);
    }
    const text = typeof value === "number" ? String(value) : numberText(value);
    const exact = text === undefined ? "syntax" : unscaled(text, 0);
    if (typeof exact === "bigint" && exact >= minimum && exact <= maximum) return big ? exact : Number(exact);
    return issues.add(`expected ${range}, got ${describeValue(value)}`);
  };
}

/** Floats: from a JSON number or a numeric string, finite only. A float32 is rounded to the nearest there is. */
export function floatCast(bits: 32 | 64, settings: ColumnSettings): Cast {
  const minimum = Number(settings.minimum ?? -Infinity);
  const maximum = Number(settings.maximum ?? Infinity);
  const bounds = [minimum === -Infinity ? "" : ` from ${minimum}`, maximum === Infinity ? "" : ` to ${maximum}`].join("");
  return (value, issues) => {
    const text = numberText(value);
    if (typeof value !== "number" && (text === undefined || !isNumericText(text))) return issues.add(`expected a number${bounds}, got ${describeValue(value)}`);
    const wide = text === undefined ? (value as number) : Number(text);
    const number = bits === 32 ? Math.fround(wide) : wide;
    if (!Number.isFinite(number)) return issues.add(`expected a number that a float${bits} can hold, got ${describeValue(value)}`);
    if (number < minimum || number > maximum) return issues.add(`expected a number${bounds}, got ${describeValue(value)}`);
    return number;
  };
}

/** Why a text is no decimal of this precision and scale. */
export function explainDecimal(problem: bigint | UnscaledProblem, precision: number, scale: number): string {
  if (problem === "syntax") return "is not a number";
  if (problem === "fraction") return `has more than ${scale} digits after the point`;
  return `has more than ${precision - scale} digits before the point`;
}

/** The number that plain decimal text, `-12.5`, stands for; NaN for all else, exponents too, which {@link floatCast} must look at. */
export function quickNumber(text: string): number {
  let at = text.charCodeAt(0) === 45 ? 1 : 0;
  let digits = 0;
  let points = 0;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code >= 48 && code <= 57) digits++;
    else if (code === 46 && digits > 0 && points === 0) {
      points = 1;
      digits = 0;
    } else return NaN;
  }
  return digits > 0 && text.length < 25 ? Number(text) : NaN;
}

/** Decimals: exact, refused when digits would be lost. Gives text with `scale` digits after the point. */
export function decimalCast(precision: number, scale: number): Cast {
  const limit = 10n ** BigInt(precision);
  return (value, issues) => {
    if (typeof value === "number") issues.inexact = true;
    const text = typeof value === "number" && Number.isFinite(value) ? String(value) : numberText(value);
    if (text === undefined) return issues.add(`expected a decimal number, got ${describeValue(value)}`);
    const exact = unscaled(text, scale);
    if (typeof exact === "bigint" && exact < limit && exact > -limit) return formatUnscaled(exact, scale);
    return issues.add(`expected a Decimal(${precision}, ${scale}), got ${describeValue(value)}, which ${explainDecimal(exact, precision, scale)}`);
  };
}

/** A column's bounds as plain numbers where doubles hold them, for generated code. */
export function safeBounds(column: Column<unknown, unknown>): readonly [number, number] | undefined {
  if (column.type.kind !== "integer") return undefined;
  const [low, high] = integerBounds(column.type.bits, column.type.signed, column.settings);
  const safe = BigInt(Number.MAX_SAFE_INTEGER);
  return low > safe || high < -safe ? undefined : [Number(low < -safe ? -safe : low), Number(high > safe ? safe : high)];
}
