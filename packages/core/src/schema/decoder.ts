import { CastFailure, DEPTH_MAX, Issues } from "./cast-failure.ts";
import { compileRecordCast } from "./caster.ts";
import { hasEscapedName, readJson } from "./json-reader.ts";
import { QuickLayouts } from "./quick-layouts.ts";
import { isDeeper, mayRound, parseExact } from "./json-text.ts";
import type { ErrorCode } from "../model/index.ts";
import type { RecordSchema } from "./record-schema.ts";

/** What a payload may be at most. */
export interface DecodeLimits {
  /** The most bytes of a payload; 1 MiB unless given. */
  readonly bytesMax?: number | undefined;
  /** How deep a payload may be nested, itself included; 64 unless given. */
  readonly depthMax?: number | undefined;
}

/** Reads a payload, or the one that stands between two places of the bytes: no view of it need be made. */
export type DecodeJson<Out> = (bytes: Buffer | null, start?: number, end?: number) => Out | CastFailure;

/** The most bytes of a payload unless said otherwise. */
export const PAYLOAD_BYTES_MAX = 1_048_576;

/**
 * Payloads longer than this are scanned for their depth before they are parsed. Shorter ones cannot be deep enough to exhaust a stack, and
 * are held to the limit where they are walked anyway: in JSON columns, and when a record does not fit.
 */
const SCAN_BYTES_MIN = 1024;

function refuse(code: ErrorCode, message: string): CastFailure {
  return new CastFailure(code, [{ path: "", message }]);
}

function refuseDepth(depthMax: number): CastFailure {
  return refuse("PAYLOAD_TOO_DEEP", `the value is nested deeper than ${depthMax}`);
}

/** What `JSON.parse` threw, as a failure. */
export function invalidJson(error: unknown): CastFailure {
  const message = error instanceof Error ? error.message : String(error);
  return refuse("INVALID_JSON", message.slice(0, 300).toWellFormed());
}

/** Text that decodes to U+FFFD had it in the bytes, or was not valid. Only then are the bytes compared. */
export function isInvalidUtf8(bytes: Buffer, text: string): boolean {
  return text.includes("\ufffd") && !Buffer.from(text, "utf8").equals(bytes);
}

/** The text of a payload, within the limits and valid UTF-8; one of more than `scanBytesMin` bytes is known not to be too deep. */
export function payloadText(bytes: Buffer | null, bytesMax: number, depthMax: number, scanBytesMin: number = SCAN_BYTES_MIN): string | CastFailure {
  if (bytes === null) return refuse("TOMBSTONE", "the value is null");
  const { length } = bytes;
  if (length === 0) return refuse("EMPTY_PAYLOAD", "the value has no bytes");
  if (length > bytesMax) return refuse("PAYLOAD_TOO_LARGE", `the value has ${length} bytes, and the limit is ${bytesMax}`);
  if (length > scanBytesMin && isDeeper(bytes, depthMax)) return refuseDepth(depthMax);
  const text = bytes.utf8Slice(0, length);
  return isInvalidUtf8(bytes, text) ? refuse("INVALID_UTF8", "the value is not valid UTF-8") : text;
}

/**
 * Compiles the way from a log record's value to a record: UTF-8, JSON, cast. The hot path of every topology.
 *
 * Gives a `CastFailure` with code `TOMBSTONE`, `EMPTY_PAYLOAD`, `PAYLOAD_TOO_LARGE`, `PAYLOAD_TOO_DEEP`, `INVALID_UTF8`, `INVALID_JSON` or
 * `CAST_FAILED`. Of a key given twice the last stands. Integers and decimals are exact whatever their size.
 *
 * @example
 * const decode = compileDecoder(Reading);
 * const reading = decode(record.value);
 * if (reading instanceof CastFailure) console.error(reading.code, reading.message);
 */
export function compileDecoder<Out, In>(schema: RecordSchema<Out, In>, limits: DecodeLimits = {}): DecodeJson<Out> {
  const bytesMax = limits.bytesMax ?? PAYLOAD_BYTES_MAX;
  const depthMax = limits.depthMax ?? DEPTH_MAX;
  const cast = compileRecordCast(schema);
  const issues = new Issues(depthMax);
  const tooDeep = (): CastFailure => refuseDepth(depthMax);
  const quick = new QuickLayouts(schema);

  /** Once more with the numbers' source text, because one of them may have been rounded. */
  function castExactly(bytes: Buffer, text: string): unknown {
    issues.clear();
    if (isDeeper(bytes, depthMax)) return tooDeep();
    issues.exact = true;
    const out = cast(parseExact(text), issues);
    issues.exact = false;
    issues.inexact = false;
    return out;
  }
  function fail(bytes: Buffer): CastFailure {
    const deep = issues.tooDeep || isDeeper(bytes, depthMax);
    const failure = issues.take("CAST_FAILED");
    return deep ? tooDeep() : failure;
  }

  function decode(bytes: Buffer | null): Out | CastFailure {
    const text = payloadText(bytes, bytesMax, depthMax);
    if (typeof text !== "string") return text;
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch (error) {
      return invalidJson(error);
    }
    if (hasEscapedName(text)) {
      if (isDeeper(bytes as Buffer, depthMax)) return tooDeep();
      parsed = readJson(text, Number);
    }
    let out = cast(parsed, issues);
    if (issues.inexact || issues.count > 0) {
      const again = (issues.inexact && issues.count > 0) || mayRound(text);
      issues.inexact = false;
      if (again) {
        out = castExactly(bytes as Buffer, text);
        if (out instanceof CastFailure) return out;
      }
    }
    if (issues.count > 0) return fail(bytes as Buffer);
    if (depthMax > 1) quick.learn(bytes as Buffer);
    return out as Out;
  }

  return (bytes, start = 0, end = bytes === null ? 0 : bytes.length) => {
    if (bytes === null) return decode(null);
    if (end - start <= bytesMax) {
      const record = quick.read(bytes, start, end);
      if (record !== undefined) return record as Out;
    }
    return decode(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end));
  };
}
