import { type RecordSchema, TopologyError } from "@iot-topology/core";
import { parseAvroType } from "./avro/avro-type.ts";
import { forbidden } from "./compatibility.ts";
import type { SchemaText } from "./options.ts";
import { fieldColumn, isNullable } from "./plain-column.ts";
import type { RegistryApi } from "./registry-api.ts";

/**
 * Asks the registry whether a subject would take a schema. True where the subject has schemas and takes this one too, false where it has none yet.
 * Throws SCHEMA_INCOMPATIBLE naming the field and what would make it compatible.
 */
export async function checkCompatible(api: RegistryApi, subject: string, schema: SchemaText): Promise<boolean> {
  const latest = await api.version(subject, "latest");
  if (latest === undefined) return false;
  const answer = await api.compatible(subject, schema);
  if (answer === undefined) return false;
  if (answer.isCompatible) return true;
  const level = (await api.compatibility(subject)) ?? "BACKWARD";
  const [first, ...others] = forbidden(level, schema, latest);
  const said = answer.messages.length === 0 ? "" : `; the registry says: ${answer.messages.join("; ").slice(0, 1_000)}`;
  const named = first === undefined ? "" : `: ${[first, ...others].map(({ field, reason }) => `${field} ${reason}`.trim()).join("; ")}`;
  throw new TopologyError("SCHEMA_INCOMPATIBLE", `the schema is not ${level} compatible with version ${latest.version} of ${subject}${named}${said}`, {
    place: first === undefined || first.field === "" ? subject : `${subject}, field ${first.field}`,
    cure: first?.cure ?? "make the change compatible, lower the subject's compatibility, or write to a new topic",
  });
}

/** The names of the fields that data of a schema may have; undefined where it may have any. */
function fieldsOf(schema: SchemaText): readonly { readonly name: string; readonly aliases: readonly string[] }[] | undefined {
  if (schema.references !== undefined) return undefined;
  try {
    if (schema.type === "avro") {
      const type = parseAvroType(schema.text);
      return type.kind === "record" ? type.fields : undefined;
    }
    if (schema.type === "protobuf") return undefined;
    const { properties, additionalProperties } = JSON.parse(schema.text) as { readonly properties?: object; readonly additionalProperties?: unknown };
    return properties === undefined || additionalProperties !== false ? undefined : Object.keys(properties).map((name) => ({ name, aliases: [] }));
  } catch {
    return undefined; // what cannot be looked into is left to the records themselves
  }
}

/** Throws SCHEMA_INCOMPATIBLE where every record written with a topic's latest schema would lack a field that ours cannot be without. */
export function checkReadable(subject: string, schema: RecordSchema<unknown, unknown>, latest: SchemaText & { readonly version: number }): void {
  const written = fieldsOf(latest);
  if (written === undefined) return;
  const fed = new Set(written.map(({ name, aliases }) => fieldColumn(schema, name, aliases)?.name));
  for (const { name, column } of schema.columns) {
    if (fed.has(name) || column.kind === "rest" || column.settings.hasDefault || isNullable(column)) continue;
    throw new TopologyError("SCHEMA_INCOMPATIBLE", `version ${latest.version} of ${subject} has no field for ${name} of ${schema.name}, which has no default`, {
      place: `${subject}, field ${name}`,
      cure: `give ${name} a default, make it nullable, or name the field it comes from with \`from\``,
    });
  }
}
