import type { ErrorCode } from "../model/index.ts";
import { isRawJson } from "./raw-json.ts";

/** One thing wrong with a record. The path is the JSON field's: `attributes.name`, `tags[3]`; empty for the record itself. */
export interface CastError {
  readonly path: string;
  readonly message: string;
}

/** Why a record could not be decoded: every error found in it, up to {@link CAST_ERRORS_MAX}. A value, not thrown. */
export class CastFailure {
  readonly code: ErrorCode;
  readonly errors: readonly CastError[];
  /** The first error's path. */
  readonly field: string;
  /** All errors in one line. */
  readonly message: string;

  constructor(code: ErrorCode, errors: readonly CastError[]) {
    this.code = code;
    this.errors = errors;
    this.field = errors[0]?.path ?? "";
    this.message = errors.map(({ path, message }) => (path === "" ? message : `${path} ${message}`)).join("; ");
  }
}

/** Errors kept of one record; the rest are counted, so that a large broken array does not make a large message. */
export const CAST_ERRORS_MAX = 16;
const QUOTED_CHARS_MAX = 60;

/** How deep values may be nested unless said otherwise. A record itself is depth 1. */
export const DEPTH_MAX = 64;

/** Errors gathered during one cast. Made once a caster and used again, so that a good record allocates none. */
export class Issues {
  /** Errors kept and errors only counted. */
  count = 0;
  list: CastError[] = [];
  /** Set when a number met a column for which a double's rounding matters, so that the source text must be looked at. */
  inexact = false;
  /** Set while a value parsed with its source text is cast: a number is then what its shortest text says, never a rounded one. */
  exact = false;
  /** Set when a value of a JSON column is nested too deep. */
  tooDeep = false;
  readonly depthMax: number;

  constructor(depthMax: number = DEPTH_MAX) {
    this.depthMax = depthMax;
  }

  add(message: string): void {
    this.count++;
    if (this.list.length < CAST_ERRORS_MAX) this.list.push({ path: "", message });
  }
  /** Puts a path segment before the errors added since the list had `from` entries. Paths are built on the way out, so good values pay nothing. */
  prefix(from: number, segment: string): void {
    for (let index = from; index < this.list.length; index++) {
      const { path, message } = this.list[index] as CastError;
      this.list[index] = { path: path === "" || path.startsWith("[") ? segment + path : `${segment}.${path}`, message };
    }
  }
  clear(): void {
    this.count = 0;
    this.list = [];
    this.inexact = false;
    this.exact = false;
    this.tooDeep = false;
  }
  /** The errors as a failure, and an empty list. */
  take(code: ErrorCode): CastFailure {
    const more = this.count - this.list.length;
    const errors = more > 0 ? [...this.list, { path: "", message: `and ${more} more` }] : this.list;
    this.clear();
    return new CastFailure(code, errors);
  }
}

/** A value in an error message: JSON text, cut, so that a message stays short. */
export function describeValue(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (isRawJson(value)) return cut(value.rawJSON);
  switch (typeof value) {
    case "string":
      return quoted(value);
    case "object":
      return "an object";
    case "number":
    case "boolean":
      return String(value);
    case "bigint":
      return cut(String(value));
    default:
      return `a ${typeof value}`;
  }
}

function quoted(text: string): string {
  return text.length <= QUOTED_CHARS_MAX ? JSON.stringify(text) : `${JSON.stringify(text.slice(0, QUOTED_CHARS_MAX))}...`;
}

function cut(text: string): string {
  return text.length <= QUOTED_CHARS_MAX ? text : `${text.slice(0, QUOTED_CHARS_MAX).toWellFormed()}...`;
}

/** A path's segment for an object's key. */
export function keySegment(key: string): string {
  return /^[A-Za-z_][A-Za-z0-9_-]*$/.test(key) && key.length <= QUOTED_CHARS_MAX ? key : `[${quoted(key)}]`;
}
