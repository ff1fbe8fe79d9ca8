/** Values in a schema registry's wire format: Avro, JSON and Protobuf, decoded with the schema they were written with; our schemas as Avro and JSON Schema. */
export { toAvroSchema, type AvroSchema, type AvroSchemaOptions } from "./avro/avro-schema.ts";
export type { ProtobufSchema } from "./encode.ts";
export type { FormatOptions } from "./format.ts";
export { toJsonSchema, type JsonSchema, type JsonSchemaOptions } from "./json/json-schema.ts";
export type { Compatibility, RegistryAuth, RegistryTls, SchemaReference, SchemaRegistryOptions, SchemaText, SchemaType, SubjectName } from "./options.ts";
export { schemaRegistry, type SchemaRegistry } from "./registry.ts";
export type { RegisteredVersion } from "./registry-api.ts";
export { withRegistry } from "./with-registry.ts";
