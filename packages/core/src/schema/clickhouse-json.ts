/**
 * JSON text that ClickHouse's JSON type accepts. It refuses the whole insert for one integer beyond 64 bits or a number beyond a double, and
 * rounds long fractions, so such numbers are written as text, every digit kept. (Engine 26.7; each case is a test.)
 */
import { sameNumber } from "./decimal.ts";
import { mayRound, stringifyObject } from "./json-text.ts";
import { isRawJson, rawJson } from "./raw-json.ts";

const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;

function acceptable(_key: string, member: unknown): unknown {
  if (typeof member === "number") {
    // Written plainly, 1e20 has 21 digits and is taken for an integer.
    return Number.isInteger(member) && !Number.isSafeInteger(member) ? rawJson(member.toExponential()) : member;
  }
  const text = typeof member === "bigint" ? String(member) : isRawJson(member) ? member.rawJSON : undefined;
  if (text === undefined) return member;
  const fits = /^-?\d{1,20}$/.test(text) && BigInt(text) >= INT64_MIN && BigInt(text) <= UINT64_MAX;
  if (fits) return rawJson(text);
  const nearest = Number(text);
  return sameNumber(text, String(nearest)) ? rawJson(nearest.toExponential()) : text;
}

/** A JSON object's text for a JSON column. */
export function clickhouseJson(value: unknown): string {
  const text = stringifyObject(value);
  return mayRound(text) ? JSON.stringify(value, acceptable) : text;
}
