import { describeValue } from "./cast-failure.ts";
import { unscaled } from "./decimal.ts";
import { explainIso, lastNanos, parseDay, parseMs, parseSeconds, MOMENT_SECONDS_MAX, MOMENT_SECONDS_MIN } from "./instant.ts";
import type { Cast } from "./number-cast.ts";
import { isRawJson } from "./raw-json.ts";

/** Days since 1970 that a ClickHouse Date (16 bits) or Date32 can be. */
export function dayRange(bits: 16 | 32): readonly [number, number] {
  return bits === 16 ? [0, 65_535] : [-25_567, 120_529];
}

/** The least and the greatest tick of a moment's column; a tick is 10^-precision seconds. */
export function tickRange(bits: 32 | 64, precision: number): readonly [bigint, bigint] {
  if (bits === 32) return [0n, 4_294_967_295n];
  const unit = 10n ** BigInt(precision);
  const last = BigInt(MOMENT_SECONDS_MAX + 1) * unit - 1n;
  const most = (1n << 63n) - 1n;
  return [BigInt(MOMENT_SECONDS_MIN) * unit, last < most ? last : most];
}

/** Days: `"YYYY-MM-DD"` only. */
export function dateCast(bits: 16 | 32): Cast {
  const [first, last] = dayRange(bits);
  const span = bits === 16 ? "1970-01-01 to 2149-06-06" : "1900-01-01 to 2299-12-31";
  return (value, issues) => {
    if (typeof value !== "string") return issues.add(`expected a day as YYYY-MM-DD, got ${describeValue(value)}`);
    const days = parseDay(value);
    if (days >= first && days <= last) return value;
    if (!Number.isNaN(days)) return issues.add(`expected a day from ${span}, got ${describeValue(value)}`);
    const why = /^\d{4}-\d{2}-\d{2}$/.test(value) ? "is a day that does not exist" : "is not a day as YYYY-MM-DD";
    return issues.add(`${describeValue(value)} ${why}`);
  };
}

const EPOCH_TEXT = /^[+-]?\d+(?:\.\d+)?$/;

/** Ticks of a number of epoch milliseconds in text, or why there are none. */
function epochTicks(text: string, precision: number): bigint | string {
  // Below milliseconds the digits are cut off, downwards, so that a moment never moves into a later second.
  const scale = Math.max(precision - 3, 0);
  const value = unscaled(text, scale);
  if (value === "fraction") return "is epoch milliseconds with a fraction that the precision cannot hold";
  if (typeof value !== "bigint") return "is not epoch milliseconds";
  if (precision >= 3) return value;
  const unit = 10n ** BigInt(3 - precision);
  const ticks = value / unit;
  return value % unit < 0n ? ticks - 1n : ticks;
}

function ticksOf(value: unknown, precision: number): bigint | string {
  if (typeof value === "number") return Number.isFinite(value) ? epochTicks(String(value), precision) : "is not a moment";
  if (typeof value === "bigint") return epochTicks(String(value), precision);
  if (isRawJson(value)) return epochTicks(value.rawJSON, precision);
  if (typeof value !== "string") return "is neither ISO-8601 text nor epoch milliseconds";
  if (EPOCH_TEXT.test(value)) return epochTicks(value, precision);
  const seconds = parseSeconds(value);
  if (Number.isNaN(seconds)) return explainIso(value);
  return BigInt(seconds) * 10n ** BigInt(precision) + BigInt(lastNanos()) / 10n ** BigInt(9 - precision);
}

/** Moments: ISO-8601 with an offset, or epoch milliseconds. Epoch milliseconds up to precision 3, else a bigint of ticks. */
export function momentCast(bits: 32 | 64, precision: number): Cast {
  const [first, last] = tickRange(bits, precision);
  const msPerTick = precision <= 3 ? 10 ** (3 - precision) : 0;
  const name = bits === 32 ? "DateTime (1970 to 2106-02-07)" : precision === 9 ? "DateTime64(9) (1900 to 2262-04-11)" : `DateTime64(${precision}) (1900 to 2299)`;
  return (value, issues) => {
    if (typeof value === "number" && !Number.isSafeInteger(value)) issues.inexact = true;
    const ticks = ticksOf(value, precision);
    if (typeof ticks === "string") return issues.add(`expected a moment, got ${describeValue(value)}, which ${ticks}`);
    if (ticks < first || ticks > last) return issues.add(`${describeValue(value)} is out of the range of a ${name}`);
    return precision <= 3 ? Number(ticks) * msPerTick : ticks;
  };
}

/** The least and the greatest epoch millisecond of a DateTime64(3). */
export const MS_MIN: number = MOMENT_SECONDS_MIN * 1000;
export const MS_MAX: number = MOMENT_SECONDS_MAX * 1000 + 999;

/** The common moments of a DateTime64(3) without a bigint; NaN for all that {@link momentCast} must look at. */
export function quickMs(value: unknown): number {
  if (typeof value === "string") return parseMs(value);
  return typeof value === "number" && Number.isSafeInteger(value) && value >= MS_MIN && value <= MS_MAX ? value + 0 : NaN;
}
