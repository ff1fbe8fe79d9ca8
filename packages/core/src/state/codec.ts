import type { ByteReader, ByteWriter } from "../model/index.ts";

/** How values of a store become bytes and come back. */
export interface ValueCodec<V> {
  encode(writer: ByteWriter, value: V): void;
  decode(reader: ByteReader): V;
}

/** Safe integers. */
export const integerCodec: ValueCodec<number> = Object.freeze({
  encode: (writer: ByteWriter, value: number) => writer.i64Number(value),
  decode: (reader: ByteReader) => reader.i64Number(),
});
