/** Protobuf as a serde, without a registry. */
export type { ProtoImport } from "./proto-file.ts";
export { protobufSerde, type ProtobufSerdeOptions } from "./proto-serde.ts";
