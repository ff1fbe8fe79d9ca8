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
