import { TopologyError, type ByteWriter } from "../model/index.ts";
import { generate, literal, memoise } from "./generate.ts";
import type { RecordSchema } from "./record-schema.ts";
import { clickhouseJson } from "./clickhouse-json.ts";
import { stringifyObject } from "./json-text.ts";
import { compileWriteValue, type JsonTextOf } from "./row-writer.ts";

type EncodeRow = (writer: ByteWriter, value: unknown) => void;

/** A value that an encoder could not write, named. */
export function encodeError(schema: RecordSchema<unknown, unknown>, at: number, cause: unknown): TopologyError {
  const field = schema.columns[at]?.name ?? "";
  const message = cause instanceof Error ? cause.message : String(cause);
  return new TopologyError("CAST_FAILED", `${field}: ${message}`, { place: `schema ${schema.name}, field ${field}`, cure: "give the column a value of its type", cause });
}

function compileRow(schema: RecordSchema<unknown, unknown>, jsonText: JsonTextOf): EncodeRow {
  const bindings: Record<string, unknown> = { refuse: (at: number, error: unknown): TopologyError => encodeError(schema, at, error) };
  const lines = schema.columns.map(({ name, column }, index) => {
    bindings[`w${index}`] = compileWriteValue(column, jsonText);
    return `at = ${index}; w${index}(writer, value[${literal(name)}]);`;
  });
  // A row that fails leaves no half of itself behind in a batch that others share.
  const body = `let at = 0;\nconst start = writer.position;\ntry {\n${lines.join("\n")}\n} catch (error) {\nwriter.position = start;\nthrow refuse(at, error);\n}`;
  return generate<EncodeRow>(bindings, `return function encodeRow(writer, value) {\n${body}\n};`);
}

const rowEncoderOf = memoise((schema: RecordSchema<unknown, unknown>) => compileRow(schema, clickhouseJson));

/** The same bytes, but JSON columns without loss: for state, which this library reads back itself. */
export const stateEncoderOf: (schema: RecordSchema<unknown, unknown>) => EncodeRow = memoise((schema) => compileRow(schema, stringifyObject));

/**
 * Compiles the encoder of a row as ClickHouse's RowBinary, columns in the schema's order. JSON columns are written as text: the server must be
 * told `input_format_binary_read_json_as_string=1`, and `json_type_escape_dots_in_keys=1` lest `{"a.b": 1, "a": {"b": 2}}` be refused. Numbers in
 * them that its JSON type cannot hold exactly are written as text.
 *
 * Throws a `TopologyError` `CAST_FAILED` naming the field when a value does not fit its column; nothing is then written.
 *
 * @example
 * const encode = compileRowEncoder(Reading);
 * encode(writer, reading);
 */
export function compileRowEncoder<Out, In>(schema: RecordSchema<Out, In>): (writer: ByteWriter, value: In) => void {
  return rowEncoderOf(schema);
}
