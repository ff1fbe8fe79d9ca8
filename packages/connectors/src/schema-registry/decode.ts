import { CastFailure, compileCaster, compileDecoder, type DecodeLimits, type ErrorCode, PAYLOAD_BYTES_MAX, type RecordSchema, TopologyError } from "@iot-topology/core";
import { compileAvroReader } from "./avro/avro-reader.ts";
import { ByteCursor } from "./byte-cursor.ts";
import type { PlainMembers } from "./plain-members.ts";
import { compileProtoReader } from "./protobuf/proto-reader.ts";
import type { SchemaStore, StoredSchema } from "./schema-store.ts";
import { payloadOf, readMessageIndex, schemaIdOf } from "./wire-format.ts";

/** Reads a payload, or tells why it cannot be read. */
type PayloadRead = (payload: Buffer) => unknown;

function refuse(code: ErrorCode, message: string): CastFailure {
  return new CastFailure(code, [{ path: "", message: message.toWellFormed() }]);
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message.slice(0, 300) : String(cause);
}

/** A read whose throws are refusals, and whose result our schema casts. */
function castOf(kind: string, read: (payload: Buffer) => PlainMembers, cast: (value: unknown) => unknown): PayloadRead {
  return (payload) => {
    let plain: PlainMembers;
    try {
      plain = read(payload);
    } catch (cause) {
      // A bug of ours must not look like a bad record; an error of the format's own library is one.
      if (cause instanceof TypeError) throw cause;
      return refuse("INVALID_ENCODING", `the value is not ${kind} of its schema: ${messageOf(cause)}`);
    }
    return cast(plain);
  };
}

function avroRead(stored: Extract<StoredSchema, { kind: "avro" }>, schema: RecordSchema<unknown, unknown>, cast: (value: unknown) => unknown): PayloadRead {
  const read = compileAvroReader(stored.type, schema);
  const cursor = new ByteCursor();
  return castOf("Avro", (payload) => {
    cursor.reset(payload, 0);
    const out = read(cursor);
    if (cursor.remaining > 0) throw new RangeError(`${cursor.remaining} bytes are left over`);
    return out;
  }, cast);
}

function protoRead(stored: Extract<StoredSchema, { kind: "protobuf" }>, schema: RecordSchema<unknown, unknown>, cast: (value: unknown) => unknown): PayloadRead {
  const reads = new Map<string, (bytes: Uint8Array) => PlainMembers>();
  return castOf("Protobuf", (payload) => {
    const { path, position } = readMessageIndex(payload);
    const key = path.join(".");
    let read = reads.get(key);
    if (read === undefined) {
      read = compileProtoReader(stored.file.typeAt(path), schema);
      reads.set(key, read);
    }
    return read(payload.subarray(position));
  }, cast);
}

/** The read of a writer's schema for ours. */
function payloadRead(stored: StoredSchema, schema: RecordSchema<unknown, unknown>, limits: DecodeLimits): PayloadRead {
  try {
    switch (stored.kind) {
      case "json":
        return compileDecoder(schema, limits);
      case "avro":
        return avroRead(stored, schema, compileCaster(schema));
      case "protobuf":
        return protoRead(stored, schema, compileCaster(schema));
      case "unusable":
        break;
    }
  } catch (cause) {
    if (cause instanceof TopologyError) throw cause;
    return () => refuse("SCHEMA_UNKNOWN", `the schema ${stored.id} cannot be used: ${messageOf(cause)}`);
  }
  return () => refuse("SCHEMA_UNKNOWN", `the schema ${stored.id} cannot be used: ${stored.reason}`);
}

/**
 * Compiles the way from a value in a registry's wire format to a schema's type: decoded with the schema it was written with, then cast by ours.
 * Synchronous; the store must have the schemas.
 */
export function compileRegistryDecoder<Out, In>(store: SchemaStore, schema: RecordSchema<Out, In>, limits: DecodeLimits): (bytes: Buffer | null) => Out | CastFailure {
  const bytesMax = limits.bytesMax ?? PAYLOAD_BYTES_MAX;
  const reads = new Map<number, PayloadRead>();
  // Nearly all records of a topic have the same schema as the one before.
  let lastId = -1;
  let lastRead: PayloadRead | undefined;
  return (bytes) => {
    if (bytes === null) return refuse("TOMBSTONE", "the value is null");
    if (bytes.length === 0) return refuse("EMPTY_PAYLOAD", "the value has no bytes");
    if (bytes.length > bytesMax) return refuse("PAYLOAD_TOO_LARGE", `the value has ${bytes.length} bytes, and the limit is ${bytesMax}`);
    const id = schemaIdOf(bytes);
    if (id === undefined) return refuse("INVALID_ENCODING", "the value does not begin with a schema registry's header (a 0 byte and a schema id)");
    if (id !== lastId || lastRead === undefined) {
      let read = reads.get(id);
      if (read === undefined) {
        const stored = store.get(id);
        if (stored === undefined) return refuse("SCHEMA_UNKNOWN", `the registry does not know the schema ${id}`);
        read = payloadRead(stored, schema, limits);
        reads.set(id, read);
      }
      lastId = id;
      lastRead = read;
    }
    return lastRead(payloadOf(bytes)) as Out | CastFailure;
  };
}
