import { hash } from "node:crypto";
import { type ByteWriter, type Serde, TopologyError } from "@iot-topology/core";
import type { Type } from "protobufjs";
import { compileProtoCheck } from "./proto-check.ts";
import { type ProtoImport, parseProto } from "./proto-file.ts";
import { type Longs, messageFrom, messageTo } from "./proto-value.ts";

/** Options of {@link protobufSerde}. */
export interface ProtobufSerdeOptions {
  /** The message's name, `Order` or `shop.Order`; the file's first when absent. */
  readonly message?: string;
  /** The files that the file imports, by the names it has for them. Google's own types need none. */
  readonly imports?: readonly ProtoImport[];
  /** What 64-bit integers are: numbers, and one beyond 2^53 is refused (the default), or bigints, always. */
  readonly longs?: Longs;
}

/**
 * A serde of Protobuf by a `.proto` file: of stores, and of topics whose values are Protobuf without a registry's header. Values are plain objects with the fields' names as
 * they stand in the file: bytes are Buffers, enums their names (a number where it has none), maps objects; fields without presence and lists are always there, absent
 * others are left out. `T` is yours to name.
 *
 * What is written is checked field by field, for the format itself would cut off, wrap or leave out what does not fit. Fields of a later version of the file are not read.
 *
 * Errors: SCHEMA_INVALID here; CAST_FAILED on writing, naming the field; INVALID_ENCODING on reading.
 *
 * @example
 * const Order = protobufSerde<{ id: string; cents: bigint }>('syntax = "proto3"; message Order { string id = 1; int64 cents = 2; }', { longs: "bigint" });
 * t.table("orders", { store: "orders", value: Order });
 */
export function protobufSerde<T>(proto: string, { message, imports = [], longs = "number" }: ProtobufSerdeOptions = {}): Serde<T> {
  let type: Type;
  let fingerprint: string;
  try {
    const file = parseProto(proto, imports);
    type = file.typeAt(file.pathOf(message));
    fingerprint = hash("sha256", JSON.stringify(type.root.toJSON()), "hex").slice(0, 16);
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new TopologyError("SCHEMA_INVALID", `the .proto file cannot be used: ${said}`, { place: "protobufSerde", cure: "give the file's text, the texts of what it imports, and the name of a message in it", cause });
  }
  const name = `protobuf ${type.fullName.replace(/^\./, "")} ${fingerprint}`;
  const to = messageTo(type);
  const from = messageFrom(type, longs);
  const check = compileProtoCheck(type);
  return Object.freeze({
    name,
    encode(writer: ByteWriter, value: T) {
      try {
        writer.bytes(type.encode(to(value, "") as object).finish());
      } catch (cause) {
        throw new TopologyError("CAST_FAILED", `the value does not fit the message ${type.name}: ${cause instanceof Error ? cause.message : String(cause)}`, { place: `serde ${name}`, cause });
      }
    },
    decode(bytes: Buffer): T {
      try {
        check(bytes);
        return from(type.decode(bytes), 1) as T;
      } catch (cause) {
        throw new TopologyError("INVALID_ENCODING", `the bytes are no message ${type.name}: ${cause instanceof Error ? cause.message : String(cause)}`, { place: `serde ${name}`, cause });
      }
    },
  });
}
