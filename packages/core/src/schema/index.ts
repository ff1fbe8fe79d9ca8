export { compileBinaryCodec, type BinaryCodec } from "./binary-codec.ts";
export { CastFailure, CAST_ERRORS_MAX, DEPTH_MAX, type CastError } from "./cast-failure.ts";
export { compileCaster } from "./caster.ts";
export type {
  AnyColumn,
  Column,
  ColumnKind,
  ColumnOptions,
  ColumnSettings,
  ColumnType,
  IntegerBits,
  JsonObject,
  JsonValue,
  NumberOptions,
  RawJson,
  StringOptions,
} from "./column.ts";
export { c, type BigInteger, type Columns, type MapKey, type Moment, type SmallInteger } from "./columns.ts";
export { compileDecoder, PAYLOAD_BYTES_MAX, type DecodeJson, type DecodeLimits } from "./decoder.ts";
export { exact, type ExactValues } from "./exact.ts";
export { compileJsonEncoder, compileJsonWriter } from "./json-encoder.ts";
export { compileKeyEncoder } from "./key-encoder.ts";
export type { SerdeMigration } from "./serde.ts";
export { ddlColumns, record, type Fields, type FieldsIn, type FieldsOut, type Infer, type InferInput, type RecordSchema, type SchemaColumn } from "./record-schema.ts";
export { compileRowEncoder } from "./row-encoder.ts";
export { serde, type Serde, type Serdes, type SerdeValue } from "./serde.ts";
export { ASYNCHRONOUS_SCHEMA, compileStandardDecoder } from "./standard-decoder.ts";
export { isAsynchronous, isStandardSchema, type StandardIssue, type StandardResult, type StandardSchema } from "./standard-schema.ts";
export { type Difference, readingDifferences, writingDifferences } from "./shape-difference.ts";
export { type ColumnShape, columnShapes, isRowShape, isSameShape, isSerde, type ValueShape, valueShape } from "./value-shape.ts";
