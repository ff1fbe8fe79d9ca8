/** Avro as a serde, without a registry. */
export { avroSerde, type AvroSerdeOptions } from "./avro-serde.ts";
