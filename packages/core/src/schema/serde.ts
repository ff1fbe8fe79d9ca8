/**
 * Serdes: how the values of a store, or of a topic, stand in bytes. Kafka's word for a serializer and a deserializer in one.
 *
 * What a serde writes stands alone: it has no length of its own and is read to its end, as a record's value in a topic is.
 */
import { ByteReader, type ByteWriter, TopologyError } from "../model/index.ts";
import { compileBinaryCodec } from "./binary-codec.ts";
import { CastFailure } from "./cast-failure.ts";
import { compileDecoder, isInvalidUtf8 } from "./decoder.ts";
import { compileJsonWriter } from "./json-encoder.ts";
import type { RecordSchema } from "./record-schema.ts";
import { standardSerde } from "./standard-serde.ts";
import { isStandardSchema, type StandardSchema } from "./standard-schema.ts";

/** Values of type T to bytes and back. */
export interface Serde<T> {
  /** Tells this form from others, as `json Reading` or `int64`: what is stored is bound to it. */
  readonly name: string;
  /** Appends a value. Throws where the value does not fit: a `TopologyError` CAST_FAILED, or whatever the user's own serde throws. */
  encode(writer: ByteWriter, value: T): void;
  /** Reads a value that fills the bytes, which are a view that does not outlive the call. Throws a `TopologyError` (INVALID_JSON, INVALID_UTF8, INVALID_ENCODING, CAST_FAILED). */
  decode(bytes: Buffer): T;
  /** The schema that gives the form, where there is one: what one version of a topology is compared with another by, besides the name. */
  readonly schema?: RecordSchema<unknown, unknown>;
  /** Earlier forms, whose values in stores are made over when a topology is opened; see {@link Serdes.migrating}. */
  readonly migrations?: readonly SerdeMigration<T>[];
}

/** How values of an earlier form become values of type T. */
export interface SerdeMigration<T> {
  readonly from: Serde<never>;
  /** Must depend on nothing but the value. What it throws stops the opening, before anything is changed. */
  readonly map: (old: never) => T;
}

/** The type of a serde's values. */
export type SerdeValue<S> = S extends Serde<infer T> ? T : never;

function misfit(name: string, value: unknown): TopologyError {
  const shown = typeof value === "string" || typeof value === "number" || typeof value === "bigint" || typeof value === "boolean" ? String(value).slice(0, 100) : `a value of type ${value === null ? "null" : typeof value}`;
  return new TopologyError("CAST_FAILED", `${shown} is no ${name}`, { place: `serde ${name}` });
}

function torn(name: string, bytes: Buffer): TopologyError {
  return new TopologyError("INVALID_ENCODING", `${bytes.length} bytes are no ${name}`, { place: `serde ${name}` });
}

function make<T>(name: string, encode: (writer: ByteWriter, value: T) => void, decode: (bytes: Buffer) => T, schema?: RecordSchema<unknown, unknown>): Serde<T> {
  return Object.freeze({ name, encode, decode, ...(schema === undefined ? {} : { schema }) });
}

function writeUtf8(writer: ByteWriter, text: string): void {
  writer.ensure(text.length * 3);
  writer.position += writer.buffer.utf8Write(text, writer.position);
}

function readUtf8(bytes: Buffer): string {
  const text = bytes.utf8Slice(0, bytes.length);
  if (isInvalidUtf8(bytes, text)) throw new TopologyError("INVALID_UTF8", "the bytes are not valid UTF-8", { place: "serde" });
  return text;
}

/** A number of a fixed size, in Kafka's order of bytes (big-endian). */
function fixed<T extends number | bigint>(name: string, size: number, fits: (value: T) => boolean, write: (buffer: Buffer, value: T, at: number) => void, read: (bytes: Buffer) => T): Serde<T> {
  return make<T>(
    name,
    (writer, value) => {
      if (!fits(value)) throw misfit(name, value);
      writer.ensure(size);
      write(writer.buffer, value, writer.position);
      writer.position += size;
    },
    (bytes) => {
      if (bytes.length !== size) throw torn(name, bytes);
      return read(bytes);
    },
  );
}

function string(): Serde<string> {
  return make<string>(
    "string",
    (writer, value) => {
      if (typeof value !== "string" || !value.isWellFormed()) throw misfit("string", value);
      writeUtf8(writer, value);
    },
    readUtf8,
  );
}

function int32(): Serde<number> {
  return fixed<number>("int32", 4, (value) => Number.isInteger(value) && value === (value | 0), (buffer, value, at) => buffer.writeInt32BE(value, at), (bytes) => bytes.readInt32BE(0));
}

function int64(): Serde<bigint> {
  return fixed<bigint>("int64", 8, (value) => typeof value === "bigint" && BigInt.asIntN(64, value) === value, (buffer, value, at) => buffer.writeBigInt64BE(value, at), (bytes) => bytes.readBigInt64BE(0));
}

function integer(): Serde<number> {
  return fixed<number>(
    "integer",
    8,
    (value) => Number.isSafeInteger(value),
    (buffer, value, at) => {
      buffer.writeInt32BE(Math.floor(value / 4_294_967_296), at);
      buffer.writeUInt32BE(value >>> 0, at + 4);
    },
    (bytes) => {
      const value = bytes.readInt32BE(0) * 4_294_967_296 + bytes.readUInt32BE(4);
      if (!Number.isSafeInteger(value)) throw torn("integer", bytes);
      return value;
    },
  );
}

function float64(): Serde<number> {
  return fixed<number>("float64", 8, (value) => typeof value === "number", (buffer, value, at) => buffer.writeDoubleBE(value, at), (bytes) => bytes.readDoubleBE(0));
}

function boolean(): Serde<boolean> {
  return make<boolean>(
    "boolean",
    (writer, value) => {
      if (typeof value !== "boolean") throw misfit("boolean", value);
      writer.u8(value ? 1 : 0);
    },
    (bytes) => {
      if (bytes.length !== 1 || (bytes[0] as number) > 1) throw torn("boolean", bytes);
      return bytes[0] === 1;
    },
  );
}

function bytes(): Serde<Uint8Array> {
  return make<Uint8Array>(
    "bytes",
    (writer, value) => {
      if (!(value instanceof Uint8Array)) throw misfit("bytes", value);
      writer.bytes(value);
    },
    (view) => Buffer.from(view),
  );
}

function anyJson<T>(): Serde<T> {
  return make<T>(
    "json",
    (writer, value) => {
      let text: string | undefined;
      try {
        text = JSON.stringify(value);
      } catch (cause) {
        throw new TopologyError("CAST_FAILED", `the value cannot be written as JSON: ${cause instanceof Error ? cause.message : String(cause)}`, { place: "serde json", cause });
      }
      if (text === undefined) throw misfit("json", value);
      writeUtf8(writer, text);
    },
    (view) => {
      const text = readUtf8(view);
      try {
        return JSON.parse(text) as T;
      } catch (cause) {
        throw new TopologyError("INVALID_JSON", cause instanceof Error ? cause.message.slice(0, 300).toWellFormed() : "not JSON", { place: "serde json", cause });
      }
    },
  );
}

function schemaJson<Out, In>(schema: RecordSchema<Out, In>): Serde<Out> {
  const name = `json ${schema.name}`;
  const write = compileJsonWriter(schema);
  const decode = compileDecoder(schema);
  return make<Out>(
    name,
    (writer, value) => write(writer, value as unknown as In),
    (view) => {
      const value = decode(view);
      if (value instanceof CastFailure) throw new TopologyError(value.code, value.message, { place: `serde ${name}${value.field === "" ? "" : `, field ${value.field}`}` });
      return value;
    },
    schema,
  );
}

/** JSON: of a schema or of a schema of zod, valibot, arktype, checked both ways; without one of whatever type is named, unchecked. */
function json<T>(): Serde<T>;
function json<Out, In>(schema: RecordSchema<Out, In>): Serde<Out>;
function json<In, Out extends In>(schema: StandardSchema<In, Out>): Serde<Out>;
function json(schema?: RecordSchema<unknown, unknown> | StandardSchema): Serde<unknown> {
  if (schema === undefined) return anyJson<unknown>();
  return isStandardSchema(schema) ? standardSerde(schema) : schemaJson(schema);
}

function binary<Out, In>(schema: RecordSchema<Out, In>): Serde<Out> {
  const codec = compileBinaryCodec(schema);
  const name = `binary ${schema.name}(${schema.columns.map(({ name: column, column: { clickhouse } }) => `${column} ${clickhouse}`).join(", ")})`;
  return make<Out>(
    name,
    (writer, value) => codec.encode(writer, value),
    (view) => {
      const reader = new ByteReader(view);
      try {
        const value = codec.decode(reader);
        if (reader.remaining === 0) return value;
      } catch (cause) {
        if (!(cause instanceof RangeError)) throw cause;
      }
      throw torn(`row of ${schema.name}`, view);
    },
    schema,
  );
}

function from<Old, T>(earlier: Serde<Old>, map: (old: Old) => T): SerdeMigration<T> {
  return Object.freeze({ from: earlier as Serde<never>, map });
}

function migrating<T>(to: Serde<T>, ...migrations: readonly SerdeMigration<T>[]): Serde<T> {
  return Object.freeze({ ...to, migrations: Object.freeze([...(to.migrations ?? []), ...migrations]) });
}

/** The type of {@link serde}. */
export interface Serdes {
  /**
   * JSON: of a schema, checked both ways; without one of whatever type is named, unchecked. A schema of another library (zod, valibot, arktype) must take back what it
   * gives, which is held to it when a value is written: CAST_FAILED.
   *
   * @example serde.json(z.object({ id: z.string(), total: z.number() }))
   */
  readonly json: typeof json;
  /** A schema's columns as RowBinary: the smallest and the fastest form, for stores. */
  readonly binary: typeof binary;
  /** UTF-8, as Kafka's StringSerde. */
  readonly string: () => Serde<string>;
  /** 4 bytes, big-endian, as Kafka's IntegerSerde. */
  readonly int32: () => Serde<number>;
  /** 8 bytes, big-endian, as Kafka's LongSerde, as bigint. */
  readonly int64: () => Serde<bigint>;
  /** The same 8 bytes for safe integers, as number. */
  readonly integer: () => Serde<number>;
  /** 8 bytes, big-endian, as Kafka's DoubleSerde. */
  readonly float64: () => Serde<number>;
  /** One byte, as Kafka's BooleanSerde. */
  readonly boolean: () => Serde<boolean>;
  /** The bytes themselves. */
  readonly bytes: () => Serde<Uint8Array>;
  /**
   * The same form, for stores whose values stand in an earlier one: they are made over when the topology is opened, once, before any record is processed.
   *
   * @example serde.migrating(serde.json(Order), serde.from(serde.json(OrderOfLastYear), (old) => ({ ...old, currency: "EUR" })))
   */
  readonly migrating: typeof migrating;
  /** An earlier form and how its values are made over, for {@link Serdes.migrating}. */
  readonly from: typeof from;
}

/**
 * The serdes that come with the engine. Others (Avro, Protobuf) come with connectors, or are an object with a name and two functions.
 *
 * @example
 * t.table("users", { store: "users", value: serde.json<User>() })
 */
export const serde: Serdes = Object.freeze({ json, binary, string, int32, int64, integer, float64, boolean, bytes, migrating, from });
