import { TopologyError } from "../model/index.ts";
import { CastFailure, DEPTH_MAX, Issues, keySegment } from "./cast-failure.ts";
import { type DecodeLimits, invalidJson, PAYLOAD_BYTES_MAX, payloadText } from "./decoder.ts";
import { hasEscapedName, readJson } from "./json-reader.ts";
import { checkJson, mayRound } from "./json-text.ts";
import { parseWithSource } from "./raw-json.ts";
import { type StandardIssue, type StandardResult, type StandardSchema, validateNow } from "./standard-schema.ts";

const ISSUE_CHARS_MAX = 300;

/** An integer that a double cannot hold is a bigint, so that a schema sees its digits or refuses it; every other number is a double, as the libraries expect. */
function numberOf(source: string): number | bigint {
  const value = Number(source);
  return !Number.isSafeInteger(value) && /^-?\d+$/.test(source) ? BigInt(source) : value;
}

function parse(text: string): unknown {
  if (hasEscapedName(text)) return readJson(text, numberOf);
  if (!mayRound(text)) return JSON.parse(text);
  return parseWithSource(text, (_key, value, { source }) => (typeof value === "number" && source !== undefined ? numberOf(source) : value));
}

function cut(text: string): string {
  return text.length > ISSUE_CHARS_MAX ? `${text.slice(0, ISSUE_CHARS_MAX).toWellFormed()}...` : text.toWellFormed();
}

function pathOf({ path = [] }: StandardIssue): string {
  let text = "";
  for (const part of path) {
    const key = typeof part === "object" ? part.key : part;
    const segment = typeof key === "number" ? `[${key}]` : keySegment(String(key));
    text += text === "" || segment.startsWith("[") ? segment : `.${segment}`;
  }
  return text;
}

/** An issue's message without its path, which some libraries put before it. */
function messageOf({ message }: StandardIssue, path: string): string {
  const own = path !== "" && message.startsWith(`${path} `) ? message.slice(path.length + 1) : message;
  return cut(own);
}

function gather(found: readonly StandardIssue[], issues: Issues): CastFailure {
  for (const issue of found) {
    const path = pathOf(issue);
    const before = issues.list.length;
    issues.add(messageOf(issue, path));
    if (path !== "" && issues.list.length > before) issues.prefix(before, path);
  }
  if (issues.count === 0) issues.add("the schema refused it without saying why");
  return issues.take("CAST_FAILED");
}

/** What is wrong with a schema that has to be waited for, and what to do about it. */
export const ASYNCHRONOUS_SCHEMA: { readonly message: string; readonly cure: string } = Object.freeze({
  message: "the schema validates asynchronously, and a task never waits",
  cure: "take asynchronous checks and transforms out of the schema; do what must be waited for in an asynchronous step behind the cast",
});

/**
 * Compiles the way from bytes to what a Standard Schema gives: UTF-8, JSON, validation. Text with a lone surrogate is refused before the schema sees it; an integer
 * beyond 2^53 is given to the schema as a bigint.
 *
 * Gives a `CastFailure` as {@link compileDecoder} does, with all issues of a record and their paths, or with `STEP_FAILED` where a function of the schema threw.
 * Throws a `TopologyError` `SCHEMA_INVALID` where the schema is asynchronous.
 */
export function compileStandardDecoder<Output>(schema: StandardSchema<unknown, Output>, place: string, limits: DecodeLimits = {}): (bytes: Buffer | null) => Output | CastFailure {
  const { bytesMax = PAYLOAD_BYTES_MAX, depthMax = DEPTH_MAX } = limits;
  const issues = new Issues(depthMax);
  return (bytes) => {
    const text = payloadText(bytes, bytesMax, depthMax, 0);
    if (typeof text !== "string") return text;
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch (error) {
      return invalidJson(error);
    }
    if (/\\u[dD]/.test(text)) {
      checkJson(parsed, depthMax, issues);
      if (issues.count > 0) return issues.take("CAST_FAILED");
      issues.clear();
    }
    if (mayRound(text) || hasEscapedName(text)) parsed = parse(text);
    let result: StandardResult<Output> | undefined;
    try {
      result = validateNow(schema, parsed);
    } catch (error) {
      return new CastFailure("STEP_FAILED", [{ path: "", message: cut(`the schema threw: ${error instanceof Error ? error.message : String(error)}`) }]);
    }
    if (result === undefined) throw new TopologyError("SCHEMA_INVALID", ASYNCHRONOUS_SCHEMA.message, { place, cure: ASYNCHRONOUS_SCHEMA.cure });
    return result.issues === undefined ? result.value : gather(result.issues, issues);
  };
}
