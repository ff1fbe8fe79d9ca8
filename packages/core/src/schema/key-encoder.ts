import { invariant, TopologyError } from "../model/index.ts";
import { generate, literal } from "./generate.ts";
import { isNullable } from "./column-cast.ts";
import type { RecordSchema, SchemaColumn } from "./record-schema.ts";

/** Kinds that make no key: their equality is not that of their text. */
const NEVER_KEY: ReadonlySet<string> = new Set(["array", "map", "json", "rest"]);

/** Text where `|` parts fields, so that these two characters in it are escaped. Most text has neither. */
function escapeText(text: string): string {
  return text.includes("|") || text.includes("\\") ? text.replace(/[|\\]/g, "\\$&") : text;
}

function isText({ column }: SchemaColumn): boolean {
  const { type } = column;
  const inner = type.kind === "lowCardinality" || type.kind === "nullable" ? type.inner.type : type;
  const core = inner.kind === "nullable" ? inner.inner.type : inner;
  return core.kind === "string" || core.kind === "fixedString" || core.kind === "enum";
}

function partCode(column: SchemaColumn, single: boolean): string {
  const x = `value[${literal(column.name)}]`;
  const nullable = isNullable(column.column);
  // Numbers are never -0 here: `String` writes it as "0", as `===` has it.
  const part = !isText(column) ? `String(${x})` : single && !nullable ? x : `escapeText(${x})`;
  // Text holds no single backslash once escaped, so `\N` stands for null alone.
  return nullable ? `(${x} === null || ${x} === undefined ? "\\\\N" : ${part})` : part;
}

function keyColumns(schema: RecordSchema<unknown, unknown>, fields: readonly string[]): SchemaColumn[] {
  invariant(fields.length > 0, "a key has at least one field");
  return fields.map((field) => {
    const column = schema.columns.find(({ name }) => name === field);
    const problem = column === undefined ? "is no field of the schema" : NEVER_KEY.has(column.column.kind) ? `is ${column.column.clickhouse} and cannot be part of a key` : undefined;
    if (column === undefined || problem !== undefined) {
      throw new TopologyError("SCHEMA_INVALID", `${field} ${problem}`, { place: `schema ${schema.name}, field ${field}`, cure: "name fields that hold text, numbers or moments" });
    }
    return column;
  });
}

/**
 * Compiles the key of a record: the text of the fields, parted by `|`. Records have the same key if and only if the fields are equal.
 *
 * One field that is text is its own key, unchanged, so that it is also the key that others would write into a topic. Otherwise `|` and `\` in
 * text are escaped by `\`, and null is `\N`.
 *
 * Throws a `TopologyError` `SCHEMA_INVALID` for a field that does not exist or cannot be part of a key (Array, Map, JSON).
 *
 * @example
 * compileKeyEncoder(Reading, ["device_id", "seq"])(reading); // "dev-1|42"
 */
export function compileKeyEncoder<Out, In>(schema: RecordSchema<Out, In>, fields: readonly (keyof Out & string)[]): (value: Out) => string {
  const columns = keyColumns(schema, fields);
  const parts = columns.map((column) => partCode(column, columns.length === 1));
  return generate<(value: Out) => string>({ escapeText }, `return function encodeKey(value) {\nreturn ${parts.join(` + "|" + `)};\n};`);
}
