import avsc from "avsc";
import { type ByteWriter, type Serde, TopologyError } from "@iot-topology/core";
import { ByteCursor } from "../byte-cursor.ts";
import { compileAvroCheck } from "./avro-check.ts";
import { parseAvroType } from "./avro-type.ts";

/** Options of {@link avroSerde}. */
export interface AvroSerdeOptions {
  /**
   * What a `long` is: a number, and one beyond 2^53 is refused (the default), or a bigint, always.
   */
  readonly longs?: "number" | "bigint";
}

/** Longs as bigints: the library hands over 8 bytes. */
const bigLong = avsc.types.LongType.__with({
  fromBuffer: (buffer: Buffer) => buffer.readBigInt64LE(0),
  toBuffer: (value: bigint) => {
    const buffer = Buffer.alloc(8);
    buffer.writeBigInt64LE(value);
    return buffer;
  },
  fromJSON: (value: number) => BigInt(value),
  toJSON: (value: bigint) => Number(value),
  isValid: (value: unknown) => typeof value === "bigint" && BigInt.asIntN(64, value) === value,
  compare: (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0),
});

function typeOf(text: string, longs: AvroSerdeOptions["longs"]): avsc.Type {
  const schema = JSON.parse(text) as avsc.Schema;
  if (longs !== "bigint") return avsc.Type.forSchema(schema);
  const isLong = (part: unknown): boolean => part === "long" || (typeof part === "object" && part !== null && (part as { readonly type?: unknown }).type === "long");
  return avsc.Type.forSchema(schema, { typeHook: (part) => (isLong(part) ? bigLong : undefined) });
}

/** Where a value does not fit, and what was wanted there: the first few places. */
function misfits(type: avsc.Type, value: unknown): string {
  const found: string[] = [];
  type.isValid(value, { errorHook: (path, _wrong, wanted) => void (found.length < 8 && found.push(`${path.join(".") || "the value"} is no ${wanted.name ?? wanted.typeName}`)) });
  return found.join("; ");
}

/**
 * A serde of Avro binary by a schema: of stores, and of topics whose values are Avro without a registry's header. Values are as the `avsc` library has them: records are
 * objects, bytes are Buffers, logical types are what they are made of, unions stand without a wrapper where their branches can be told apart. `T` is yours to name.
 *
 * What is written is checked against the schema; what is read is held to it before a value is made, so that torn or foreign bytes are refused at a bounded cost.
 *
 * Errors: SCHEMA_INVALID here; CAST_FAILED on writing, naming the fields; INVALID_ENCODING on reading.
 *
 * @example
 * const Order = avroSerde<{ id: string; cents: number }>({ type: "record", name: "Order", fields: [{ name: "id", type: "string" }, { name: "cents", type: "long" }] });
 * t.source("orders").decode(Order, { onError: dead });
 */
export function avroSerde<T>(schema: string | object, { longs = "number" }: AvroSerdeOptions = {}): Serde<T> {
  const text = typeof schema === "string" ? schema : JSON.stringify(schema);
  let type: avsc.Type;
  let check: ReturnType<typeof compileAvroCheck>;
  try {
    type = typeOf(text, longs);
    check = compileAvroCheck(parseAvroType(text));
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new TopologyError("SCHEMA_INVALID", `the Avro schema cannot be used: ${said}`, { place: "avroSerde", cure: "give a schema as the Avro specification has it, as an object or as JSON text", cause });
  }
  // The fingerprint is of the canonical form: it changes with what changes the bytes.
  const name = `avro ${type.name ?? type.typeName} ${type.fingerprint().toString("hex").slice(0, 16)}`;
  const cursor = new ByteCursor();
  return Object.freeze({
    name,
    encode(writer: ByteWriter, value: T) {
      let bytes: Buffer;
      try {
        bytes = type.toBuffer(value);
      } catch (cause) {
        const said = misfits(type, value) || (cause instanceof Error ? cause.message : String(cause));
        throw new TopologyError("CAST_FAILED", `the value does not fit its Avro schema: ${said}`, { place: `serde ${name}`, cause });
      }
      writer.bytes(bytes);
    },
    decode(bytes: Buffer): T {
      try {
        cursor.reset(bytes, 0);
        check(cursor);
        return type.fromBuffer(bytes) as T;
      } catch (cause) {
        throw new TopologyError("INVALID_ENCODING", `the bytes are not Avro of the schema: ${cause instanceof Error ? cause.message : String(cause)}`, { place: `serde ${name}`, cause });
      }
    },
  });
}
