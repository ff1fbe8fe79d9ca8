/**
 * Names what makes two schemas incompatible, so that an error can say which field and what to do. The registry decides; this explains.
 * Sources: the Apache Avro 1.12 specification, "Schema Resolution"; JSON Schema draft-07.
 */
import type { AvroType } from "./avro/avro-type.ts";
import { parseAvroType } from "./avro/avro-type.ts";
import type { Compatibility, SchemaText } from "./options.ts";

/** One thing that a reader cannot read. */
export interface Mismatch {
  readonly field: string;
  readonly reason: string;
  readonly cure: string;
}

const PROMOTIONS: Readonly<Record<string, readonly string[]>> = { int: ["long", "float", "double"], long: ["float", "double"], float: ["double"], string: ["bytes"], bytes: ["string"] };
const MISMATCHES_MAX = 20;

const at = (path: string, name: string): string => (path === "" ? name : `${path}.${name}`);

function nameOf(type: AvroType): string {
  if (type.kind === "union") return `union of ${type.branches.map(nameOf).join(", ")}`;
  if ("name" in type) return `${type.kind} ${type.name}`;
  return "logical" in type && type.logical !== "" ? `${type.kind} (${type.logical})` : type.kind;
}

/** Walks a reader's and a writer's type together. Recursive types are compared once a pair. */
function compareAvro(reader: AvroType, writer: AvroType, path: string, out: Mismatch[], seen: Map<AvroType, Set<AvroType>>): void {
  if (out.length >= MISMATCHES_MAX) return;
  const compared = seen.get(reader) ?? new Set();
  if (compared.has(writer)) return;
  seen.set(reader, compared.add(writer));
  const wrong = (reason: string, cure: string): void => void out.push({ field: path, reason, cure });
  if (writer.kind === "union") return writer.branches.forEach((branch) => compareAvro(reader, branch, path, out, seen));
  if (reader.kind === "union") {
    const fits = reader.branches.some((branch) => isReadable(branch, writer));
    if (!fits) wrong(`was ${nameOf(writer)}, which is none of ${nameOf(reader)}`, "keep the old type among the union's");
    return;
  }
  if (reader.kind === "record" && writer.kind === "record") {
    for (const field of reader.fields) {
      const written = writer.fields.find(({ name }) => name === field.name || field.aliases.includes(name));
      if (written !== undefined) compareAvro(field.type, written.type, at(path, field.name), out, seen);
      else if (!field.hasDefault) out.push({ field: at(path, field.name), reason: "is not in the data and has no default", cure: `give ${field.name} a default, or make it nullable` });
    }
    return;
  }
  if (reader.kind === "array" && writer.kind === "array") return compareAvro(reader.items, writer.items, `${path}[]`, out, seen);
  if (reader.kind === "map" && writer.kind === "map") return compareAvro(reader.values, writer.values, `${path}{}`, out, seen);
  if (reader.kind === "enum" && writer.kind === "enum") {
    const lost = writer.symbols.filter((symbol) => !reader.symbols.includes(symbol));
    if (lost.length > 0 && reader.default === undefined) wrong(`no longer has the names ${lost.join(", ")}`, "keep the names of an enum");
    return;
  }
  if (!isReadable(reader, writer)) wrong(`was ${nameOf(writer)} and is ${nameOf(reader)}`, "keep the type, widen it (int to long, float to double), or use a new field");
}

function isReadable(reader: AvroType, writer: AvroType): boolean {
  if (reader.kind !== writer.kind) return PROMOTIONS[writer.kind]?.includes(reader.kind) ?? false;
  if (reader.kind === "fixed" && writer.kind === "fixed") return reader.size === writer.size;
  return !("scale" in reader && "scale" in writer && reader.logical === "decimal" && writer.logical === "decimal") || reader.scale === writer.scale;
}

interface JsonShape {
  readonly type?: unknown;
  readonly properties?: Readonly<Record<string, JsonShape>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: unknown;
}

/** Properties only: the rest of JSON Schema is the registry's to judge. */
function compareJson(reader: JsonShape, writer: JsonShape, out: Mismatch[]): void {
  const read = reader.properties ?? {};
  const written = writer.properties ?? {};
  for (const name of reader.required ?? []) {
    if (!(writer.required ?? []).includes(name)) out.push({ field: name, reason: "is required and may be absent in the data", cure: `give ${name} a default, or make it nullable` });
  }
  for (const [name, shape] of Object.entries(written)) {
    const own = read[name];
    if (own === undefined && reader.additionalProperties === false) out.push({ field: name, reason: "is in the data and no longer declared", cure: `keep ${name}, or take the rest with c.rest()` });
    else if (own !== undefined && JSON.stringify(own.type) !== JSON.stringify(shape.type)) out.push({ field: name, reason: `was ${JSON.stringify(shape.type)} and is ${JSON.stringify(own.type)}`, cure: "keep the type, or use a new field" });
  }
}

/** What of the data written with one schema another cannot read. Empty where nothing is found, or the format is not looked into. */
export function mismatches(reader: SchemaText, writer: SchemaText): readonly Mismatch[] {
  const out: Mismatch[] = [];
  if (reader.type !== writer.type) return [{ field: "", reason: `the format was ${writer.type} and is ${reader.type}`, cure: "write to a new topic" }];
  try {
    if (reader.type === "avro") compareAvro(parseAvroType(reader.text), parseAvroType(writer.text), "", out, new Map());
    else if (reader.type === "json") compareJson(JSON.parse(reader.text) as JsonShape, JSON.parse(writer.text) as JsonShape, out);
  } catch {
    // Types that stand in references, or a text that only the registry understands: its own words must do.
  }
  return out;
}

/** The mismatches that a level forbids, of a new schema against an earlier one. */
export function forbidden(level: Compatibility, next: SchemaText, former: SchemaText): readonly Mismatch[] {
  const backward = level.startsWith("FORWARD") || level === "NONE" ? [] : mismatches(next, former);
  const forward = level.startsWith("BACKWARD") || level === "NONE" ? [] : mismatches(former, next).map((mismatch) => ({ ...mismatch, reason: `for readers of the earlier schema it ${mismatch.reason}` }));
  return [...backward, ...forward];
}
