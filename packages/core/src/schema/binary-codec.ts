import type { ByteReader, ByteWriter } from "../model/index.ts";
import { generate, literal, memoise } from "./generate.ts";
import type { RecordSchema } from "./record-schema.ts";
import { stateEncoderOf } from "./row-encoder.ts";
import { compileReadValue } from "./row-reader.ts";

/** Values to bytes and back, for state. */
export interface BinaryCodec<Out> {
  /** Appends a value. Throws a `TopologyError` `CAST_FAILED` when it does not fit its columns. */
  encode(writer: ByteWriter, value: Out): void;
  /** Reads the value at the reader's position. Throws a RangeError on torn bytes. */
  decode(reader: ByteReader): Out;
}

const readerOf = memoise((schema: RecordSchema<unknown, unknown>): ((reader: ByteReader) => unknown) => {
  const bindings: Record<string, unknown> = {};
  const members = schema.columns.map(({ name, column }, index) => {
    bindings[`r${index}`] = compileReadValue(column);
    return `${literal(name)}: r${index}(reader)`;
  });
  return generate(bindings, `return function decodeRow(reader) {\nreturn { ${members.join(", ")} };\n};`);
});

/**
 * Compiles a codec that gives back exactly what a cast gave, for every type of column. The bytes are RowBinary, columns in the schema's
 * order, so another order of fields reads other bytes: state is bound to its schema.
 */
export function compileBinaryCodec<Out, In>(schema: RecordSchema<Out, In>): BinaryCodec<Out> {
  return { encode: stateEncoderOf(schema), decode: readerOf(schema) as (reader: ByteReader) => Out };
}
