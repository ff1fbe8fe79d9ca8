import { TopologyError, type ByteWriter } from "../model/index.ts";
import { generate, literal, memoise } from "./generate.ts";
import type { RecordSchema } from "./record-schema.ts";
import { compileWriteValue } from "./row-writer.ts";

type EncodeRow = (writer: ByteWriter, value: unknown) => void;

/** A value that an encoder could not write, named. */
export function encodeError(schema: RecordSchema<unknown, unknown>, at: number, cause: unknown): TopologyError {
  const field = schema.columns[at]?.name ?? "";
  const message = cause instanceof Error ? cause.message : String(cause);
  return new TopologyError("CAST_FAILED", `${field}: ${message}`, { place: `schema ${schema.name}, field ${field}`, cure: "give the column a value of its type", cause });
}

const encoderOf = memoise((schema: RecordSchema<unknown, unknown>): EncodeRow => {
  const bindings: Record<string, unknown> = { refuse: (at: number, error: unknown): TopologyError => encodeError(schema, at, error) };
  const lines = schema.columns.map(({ name, column }, index) => {
    bindings[`w${index}`] = compileWriteValue(column);
    return `at = ${index}; w${index}(writer, value[${literal(name)}]);`;
  });
  // A row that fails leaves no half of itself behind in a batch that others share.
  const body = `let at = 0;\nconst start = writer.position;\ntry {\n${lines.join("\n")}\n} catch (error) {\nwriter.position = start;\nthrow refuse(at, error);\n}`;
  return generate<EncodeRow>(bindings, `return function encodeRow(writer, value) {\n${body}\n};`);
});

/**
 * Compiles the encoder of a row as ClickHouse's RowBinary, columns in the schema's order. JSON columns are written as text: the server must be
 * told `input_format_binary_read_json_as_string=1`.
 *
 * Throws a `TopologyError` `CAST_FAILED` naming the field when a value does not fit its column; nothing is then written.
 *
 * @example
 * const encode = compileRowEncoder(Reading);
 * encode(writer, reading);
 */
export function compileRowEncoder<Out, In>(schema: RecordSchema<Out, In>): (writer: ByteWriter, value: In) => void {
  return encoderOf(schema);
}
