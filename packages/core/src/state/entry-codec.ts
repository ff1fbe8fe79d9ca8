import type { Serde } from "../schema/index.ts";
import type { ValueCodec } from "./codec.ts";

/** A value and its timestamp, as Kafka Streams' timestamped stores keep them. */
export interface TimestampedValue<V> {
  readonly value: V;
  readonly timestamp: number;
}

/** timestamp f64 | the serde's bytes to the end. */
export function timestampedCodec<V>(serde: Serde<V>): ValueCodec<TimestampedValue<V>> {
  return {
    encode(writer, entry) {
      writer.f64(entry.timestamp);
      serde.encode(writer, entry.value);
    },
    decode(reader) {
      const timestamp = reader.f64();
      return { value: serde.decode(reader.bytes(reader.remaining)), timestamp };
    },
  };
}
