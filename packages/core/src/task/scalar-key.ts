import type { ByteWriter } from "../model/index.ts";

/**
 * Text of a group of field values, different for different values: each value behind its type and, for text, its length.
 * One text field alone, by far the most usual key, stays as it is.
 */
export function compileScalarKey(fields: readonly string[]): (value: Record<string, unknown>) => string {
  const [only] = fields;
  if (fields.length === 1 && only !== undefined) {
    return (value) => {
      const field = value[only];
      return typeof field === "string" ? `s${field}` : scalarText(only, field);
    };
  }
  return (value) => {
    let text = "";
    for (const name of fields) {
      const field = value[name];
      text += typeof field === "string" ? `s${field.length}:${field}` : scalarText(name, field);
    }
    return text;
  };
}

function scalarText(name: string, field: unknown): string {
  switch (typeof field) {
    case "string":
      return `s${field.length}:${field}`;
    case "number":
      return `n${Object.is(field, -0) ? 0 : field};`;
    case "bigint":
      return `i${field};`;
    case "boolean":
      return field ? "t" : "f";
    default:
      if (field === null) return "-";
      throw new TypeError(`field ${name} is ${field === undefined ? "missing" : "not a scalar"}, so it cannot be part of a key`);
  }
}

/** Writes the UTF-8 of the text that {@link compileScalarKey} gives, without making the text. */
export function compileScalarKeyWriter(fields: readonly string[]): (writer: ByteWriter, value: Record<string, unknown>) => void {
  const isAlone = fields.length === 1;
  return (writer, value) => {
    for (const name of fields) {
      const field = value[name];
      if (typeof field === "string") {
        if (isAlone) writer.u8(LETTER_S);
        else {
          writer.u8(LETTER_S);
          writer.digits(field.length);
          writer.u8(COLON);
        }
        writer.utf8(field);
      } else if (typeof field === "bigint" && field >= 0n && field <= DIGITS_MAX) {
        writer.u8(LETTER_I);
        writer.digits(Number(field));
        writer.u8(SEMICOLON);
      } else writer.utf8(scalarText(name, field));
    }
  };
}

const LETTER_S = 115;
const LETTER_I = 105;
const COLON = 58;
const SEMICOLON = 59;
const DIGITS_MAX = BigInt(Number.MAX_SAFE_INTEGER);
