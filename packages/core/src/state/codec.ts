import type { ByteReader, ByteWriter } from "../model/index.ts";

/** How values of a store become bytes and come back. */
export interface ValueCodec<V> {
  encode(writer: ByteWriter, value: V): void;
  decode(reader: ByteReader): V;
}

/** Values that say only that their key is there. */
export const presenceCodec: ValueCodec<true> = Object.freeze({ encode() {}, decode: () => true as const });

/** Safe integers. */
export const integerCodec: ValueCodec<number> = Object.freeze({
  encode: (writer: ByteWriter, value: number) => writer.i64Number(value),
  decode: (reader: ByteReader) => reader.i64Number(),
});
