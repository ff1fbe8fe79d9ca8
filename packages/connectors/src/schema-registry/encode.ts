import { ByteWriter, compileJsonEncoder, type RecordSchema, TopologyError } from "@iot-topology/core";
import { toAvroSchema } from "./avro/avro-schema.ts";
import { compileAvroWriter } from "./avro/avro-writer.ts";
import { toJsonSchema } from "./json/json-schema.ts";
import type { SchemaReference, SchemaText, SchemaType } from "./options.ts";
import { parseProto, type ProtoFile, type ProtoImport } from "./protobuf/proto-file.ts";
import { compileProtoWriter } from "./protobuf/proto-writer.ts";
import { headerOf, messageIndexOf } from "./wire-format.ts";

/** The message that values are written as. */
export interface ProtobufSchema {
  /** The `.proto` file. */
  readonly text: string;
  /** The message in it; the first when absent. */
  readonly message?: string;
  readonly references?: readonly SchemaReference[];
}

/** How values are written. */
export interface EncodingOptions {
  readonly type: SchemaType;
  readonly namespace: string | undefined;
  readonly protobuf: ProtobufSchema | undefined;
}

function protobufOf({ protobuf }: EncodingOptions, schema: RecordSchema<unknown, unknown>): ProtobufSchema {
  if (protobuf !== undefined) return protobuf;
  throw new TopologyError("SCHEMA_INVALID", `${schema.name} is to be written as Protobuf, and no .proto was given`, { place: `schema ${schema.name}`, cure: "pass `protobuf: { text }`: field numbers cannot be made up" });
}

/** The schema that values are registered with. */
export function writtenSchema(options: EncodingOptions, schema: RecordSchema<unknown, unknown>): SchemaText {
  const { type, namespace } = options;
  switch (type) {
    case "avro":
      return { type, text: JSON.stringify(toAvroSchema(schema, namespace === undefined ? {} : { namespace })) };
    case "json":
      return { type, text: JSON.stringify(toJsonSchema(schema)) };
    case "protobuf": {
      const { text, references } = protobufOf(options, schema);
      return { type, text, ...(references === undefined ? {} : { references }) };
    }
  }
}

/** The record's name for subjects. */
export function recordName({ type, namespace, protobuf }: EncodingOptions, schema: RecordSchema<unknown, unknown>): string {
  if (type === "protobuf" && protobuf?.message !== undefined) return protobuf.message;
  return namespace === undefined ? schema.name : `${namespace}.${schema.name}`;
}

function fileOf(schema: RecordSchema<unknown, unknown>, text: string, imports: readonly ProtoImport[]): ProtoFile {
  try {
    return parseProto(text, imports);
  } catch (cause) {
    throw new TopologyError("SCHEMA_INVALID", `the .proto of ${schema.name} is wrong: ${cause instanceof Error ? cause.message : String(cause)}`, { place: `schema ${schema.name}`, cause });
  }
}

/** Compiles the way from a schema's value to bytes in the wire format, under the id of the registered schema. */
export function compileRegistryEncoder(options: EncodingOptions, schema: RecordSchema<unknown, unknown>, id: number, imports: readonly ProtoImport[]): (value: unknown) => Uint8Array {
  const header = headerOf(id);
  switch (options.type) {
    case "avro": {
      const write = compileAvroWriter(schema);
      const writer = new ByteWriter(1_024);
      return (value) => {
        writer.reset();
        writer.bytes(header);
        write(writer, value);
        return writer.take();
      };
    }
    case "json": {
      const encode = compileJsonEncoder(schema);
      return (value) => Buffer.concat([header, Buffer.from(encode(value))]);
    }
    case "protobuf": {
      const { text, message } = protobufOf(options, schema);
      const file = fileOf(schema, text, imports);
      const path = file.pathOf(message);
      const start = Buffer.concat([header, messageIndexOf(path)]);
      const encode = compileProtoWriter(file.typeAt(path), schema);
      return (value) => Buffer.concat([start, encode(value)]);
    }
  }
}
