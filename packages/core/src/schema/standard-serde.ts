/**
 * JSON that a Standard Schema checks both ways: what is read is validated, and what is written is read back and validated before it is stored, for a value that its own
 * schema does not take back (a date without a coercion, a small bigint) would stop whoever reads it next.
 */
import { type ByteWriter, TopologyError } from "../model/index.ts";
import { CastFailure } from "./cast-failure.ts";
import { rawJson } from "./raw-json.ts";
import type { Serde } from "./serde.ts";
import { ASYNCHRONOUS_SCHEMA, compileStandardDecoder } from "./standard-decoder.ts";
import { isAsynchronous, type StandardSchema } from "./standard-schema.ts";

/** No payload of a store is refused for its size: the limits of a topic's values are the reading step's. */
const BYTES_MAX = 1 << 30;

function textOf(value: unknown, name: string): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value, (_key, member: unknown) => (typeof member === "bigint" ? rawJson(String(member)) : member));
  } catch (cause) {
    throw new TopologyError("CAST_FAILED", `the value cannot be written as JSON: ${cause instanceof Error ? cause.message : String(cause)}`, { place: `serde ${name}`, cause });
  }
  if (text === undefined) throw new TopologyError("CAST_FAILED", `a value of type ${typeof value} is no JSON`, { place: `serde ${name}` });
  return text;
}

/** The serde of a schema of zod, valibot, arktype. Throws SCHEMA_INVALID for an asynchronous one. */
export function standardSerde<T>(schema: StandardSchema<unknown, T>): Serde<T> {
  const name = `json by ${schema["~standard"].vendor}`;
  if (isAsynchronous(schema)) throw new TopologyError("SCHEMA_INVALID", ASYNCHRONOUS_SCHEMA.message, { place: `serde ${name}`, cure: ASYNCHRONOUS_SCHEMA.cure });
  const read = compileStandardDecoder<T>(schema, `serde ${name}`, { bytesMax: BYTES_MAX });
  const decode = (bytes: Buffer, what: string): T => {
    const value = read(bytes);
    if (!(value instanceof CastFailure)) return value;
    throw new TopologyError(value.code, `${what}${value.message}`, { place: `serde ${name}${value.field === "" ? "" : `, field ${value.field}`}` });
  };
  return Object.freeze({
    name,
    encode(writer: ByteWriter, value: T) {
      const bytes = Buffer.from(textOf(value, name));
      decode(bytes, "the value would not be read back: ");
      writer.bytes(bytes);
    },
    decode: (bytes: Buffer) => decode(bytes, ""),
  });
}
