import { type AnyColumn, type RecordSchema, type SchemaColumn, TopologyError } from "@iot-topology/core";

/** A column without what only says that it may be null or how it is stored. */
export function plainColumn(column: AnyColumn | undefined): AnyColumn | undefined {
  let inner = column;
  while (inner?.type.kind === "nullable" || inner?.type.kind === "lowCardinality") inner = inner.type.inner;
  return inner;
}

/** Whether null is a value of the column. */
export function isNullable({ type }: AnyColumn): boolean {
  return type.kind === "nullable" || (type.kind === "lowCardinality" && type.inner.type.kind === "nullable");
}

/** What Avro and Protobuf take as a name. */
export const FIELD_NAME: RegExp = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** A column's name in formats whose names are identifiers: that of its JSON field where it is one, else the column's own. */
export function fieldName({ name, from, column }: SchemaColumn): string {
  return column.kind !== "rest" && FIELD_NAME.test(from) ? from : name;
}

/** The column that a writer's field feeds: by the field's name, else by one of its aliases. The rest is no such column. */
export function fieldColumn(schema: RecordSchema<unknown, unknown>, name: string, aliases: readonly string[] = []): SchemaColumn | undefined {
  const columns = schema.columns.filter(({ column }) => column.kind !== "rest");
  for (const wanted of [name, ...aliases]) {
    const found = columns.find((column) => column.from === wanted) ?? columns.find((column) => fieldName(column) === wanted);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The columns under their names in such formats. Throws SCHEMA_INVALID where two have the same. */
export function namedColumns(schema: RecordSchema<unknown, unknown>): readonly (SchemaColumn & { readonly field: string })[] {
  const seen = new Map<string, string>();
  return schema.columns.map((column) => {
    const field = fieldName(column);
    const other = seen.get(field);
    if (other !== undefined) {
      throw new TopologyError("SCHEMA_INVALID", `the columns ${other} and ${column.name} of ${schema.name} would both be the field ${field}`, {
        place: `schema ${schema.name}`,
        cure: "rename one of the columns, or its `from`",
      });
    }
    seen.set(field, column.name);
    return { ...column, field };
  });
}
