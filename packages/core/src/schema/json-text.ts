/**
 * JSON text without loss. `JSON.parse` rounds numbers to doubles, which is right for nearly all records and five times faster than
 * any way that keeps them. So a text is parsed plainly first, and once more with each number's source text when a number met a column
 * for which rounding matters and the text has a number that a double might round.
 */
import type { JsonValue } from "./column.ts";
import { describeValue, Issues, keySegment } from "./cast-failure.ts";
import { sameNumber } from "./decimal.ts";
import { hasEscapedName, readJson } from "./json-reader.ts";
import { NO_MEMBERS } from "./members.ts";
import { isRawJson, parseWithSource, rawJson } from "./raw-json.ts";

/** A number of 16 or more characters, or with an exponent of 3 digits: less is exact as a double (15 digits are, from 1e-99 to 1e99). */
const MAY_ROUND = /(?:^|[:[,\s])-?(?:\d[\d.]{15}|\d[\d.]*[eE][+-]?\d{3})/;

/** Whether JSON text may have a number that a double rounds. About 200 ns for 150 bytes, so asked only when it matters. */
export function mayRound(text: string): boolean {
  return MAY_ROUND.test(text);
}

/** A number from its source text: kept as text when a double would round it, or when it is an integer written out beyond 2^53. */
function exactNumber(source: string, value: number): unknown {
  // Such an integer always has a text that `mayRound` sees, so what a value is never depends on its neighbours.
  const beyond = !Number.isSafeInteger(value) && /^-?\d+$/.test(source);
  return beyond || !sameNumber(source, String(value)) ? rawJson(source) : value;
}

/**
 * Well-formed JSON text with numbers exact: those that doubles round are `RawJson`, and `String` of any other is its number. Only for text that
 * `JSON.parse` took and whose depth is known to be bounded.
 */
export function parseExact(text: string): unknown {
  if (hasEscapedName(text)) return readJson(text, (source) => exactNumber(source, Number(source)));
  return parseWithSource(text, (_key, value, context) => (typeof value === "number" && context.source !== undefined ? exactNumber(context.source, value) : value));
}

/** Parses JSON text that this library wrote, numbers exact. */
export function parseStored(text: string): JsonValue {
  if (mayRound(text)) return parseExact(text) as JsonValue;
  return (hasEscapedName(text) ? readJson(text, Number) : JSON.parse(text)) as JsonValue;
}

/** Whether JSON text in UTF-8 is nested deeper than `depthMax`. Brackets inside strings do not count. */
export function isDeeper(bytes: Uint8Array, depthMax: number): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (inString) {
      if (byte === 92) at++;
      else if (byte === 34) inString = false;
    } else if (byte === 34) inString = true;
    else if (byte === 91 || byte === 123) {
      if (++depth > depthMax) return true;
    } else if (byte === 93 || byte === 125) depth--;
  }
  return false;
}

/** Reports what of a parsed value cannot be kept as JSON: ill-formed text, too deep nesting, a value that is no JSON. */
export function checkJson(value: unknown, depth: number, issues: Issues): void {
  switch (typeof value) {
    case "string":
      if (!value.isWellFormed()) issues.add("holds a lone surrogate, which is not text");
      return;
    case "number":
      issues.inexact = true;
      if (!Number.isFinite(value)) issues.add(`is ${value}, which is not a JSON number`);
      return;
    case "boolean":
      return;
    case "object":
      if (value === null) return;
      return checkNested(value, depth, issues);
    default:
      issues.add(`expected a JSON value, got ${describeValue(value)}`);
  }
}

function checkNested(value: object, depth: number, issues: Issues): void {
  if (isRawJson(value)) return;
  if (depth <= 0) {
    issues.tooDeep = true;
    issues.add("is nested too deep");
    return;
  }
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      const before = issues.list.length;
      checkJson(value[index], depth - 1, issues);
      issues.prefix(before, `[${index}]`);
    }
    return;
  }
  for (const [key, member] of Object.entries(value)) {
    const before = issues.list.length;
    if (!key.isWellFormed()) issues.add("is named by a lone surrogate, which is not text");
    checkJson(member, depth - 1, issues);
    if (issues.list.length > before) issues.prefix(before, keySegment(key));
  }
}

function bigintAsNumber(_key: string, member: unknown): unknown {
  return typeof member === "bigint" ? rawJson(String(member)) : member;
}

/**
 * JSON text of a value whose numbers kept as source text come out as they came in, bigints as integers. Throws on what is no JSON object.
 * A replacer makes `JSON.stringify` four times slower, so it is used only when there is a bigint.
 */
export function stringifyObject(value: unknown): string {
  if (value === NO_MEMBERS) return "{}";
  if (typeof value !== "object" || value === null || Array.isArray(value) || isRawJson(value)) throw new RangeError(`expected a JSON object, got ${describeValue(value)}`);
  let text: string;
  try {
    text = JSON.stringify(value);
  } catch {
    text = JSON.stringify(value, bigintAsNumber);
  }
  // A lone surrogate is written as an escape, which may also stand for a backslash followed by `ud`: look closer only then.
  if (text.includes("\\ud")) {
    const issues = new Issues();
    checkJson(value, issues.depthMax, issues);
    if (issues.count > 0) throw new RangeError(issues.take("CAST_FAILED").message);
  }
  return text;
}
