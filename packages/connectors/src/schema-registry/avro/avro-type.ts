/**
 * An Avro schema's JSON as a tree in which names are resolved: what readers and the compatibility check walk.
 * Sources: the Apache Avro 1.12 specification, "Schema Declaration" and "Names".
 */

/** A type that holds one value. */
export interface AvroPrimitive {
  readonly kind: "null" | "boolean" | "int" | "long" | "float" | "double" | "bytes" | "string";
  /** The logical type, or an empty text. */
  readonly logical: string;
  readonly scale: number;
}
export interface AvroFixed {
  readonly kind: "fixed";
  readonly name: string;
  readonly size: number;
  readonly logical: string;
  readonly scale: number;
}
export interface AvroEnum {
  readonly kind: "enum";
  readonly name: string;
  readonly symbols: readonly string[];
  readonly default: string | undefined;
}
export interface AvroArray {
  readonly kind: "array";
  readonly items: AvroType;
}
export interface AvroMap {
  readonly kind: "map";
  readonly values: AvroType;
}
export interface AvroUnion {
  readonly kind: "union";
  readonly branches: readonly AvroType[];
}
export interface AvroField {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly type: AvroType;
  readonly hasDefault: boolean;
}
export interface AvroRecord {
  readonly kind: "record";
  readonly name: string;
  readonly fields: readonly AvroField[];
}
/** Any Avro type, names resolved. A record may hold itself. */
export type AvroType = AvroPrimitive | AvroFixed | AvroEnum | AvroArray | AvroMap | AvroUnion | AvroRecord;

/** Types by full name. */
export type AvroNames = Map<string, AvroType>;

const PRIMITIVES: ReadonlySet<string> = new Set(["null", "boolean", "int", "long", "float", "double", "bytes", "string"]);
const DEPTH_MAX = 64;
const FIELDS_MAX = 10_000;

type Declaration = Readonly<Record<string, unknown>>;

function wrong(what: string): never {
  throw new SyntaxError(`the Avro schema is wrong: ${what}`);
}

function isObject(value: unknown): value is Declaration {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textOf(declaration: Declaration, key: string): string {
  const value = declaration[key];
  return typeof value === "string" && value !== "" ? value : wrong(`${key} must be a text`);
}

function textsOf(value: unknown, what: string): readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string") ? value : wrong(`${what} must be a list of texts`);
}

/** One parse: the names seen so far, and how deep it stands. */
interface Parse {
  readonly names: AvroNames;
  readonly namespace: string;
  readonly depth: number;
}

/** A name with its namespace: `a.b.Name` is full already, anything else belongs to the namespace it stands in. */
function fullName(name: string, namespace: string): string {
  return name.includes(".") || namespace === "" ? name : `${namespace}.${name}`;
}

function named(parse: Parse, declaration: Declaration): { readonly name: string; readonly inside: Parse } {
  const own = textOf(declaration, "name");
  const namespace = typeof declaration["namespace"] === "string" ? declaration["namespace"] : parse.namespace;
  const name = fullName(own, namespace);
  if (parse.names.has(name)) wrong(`${name} is declared twice`);
  return { name, inside: { ...parse, namespace: name.includes(".") ? name.slice(0, name.lastIndexOf(".")) : "" } };
}

function scaleOf(declaration: Declaration): number {
  const scale = declaration["scale"] ?? 0;
  return typeof scale === "number" && Number.isInteger(scale) && scale >= 0 && scale <= 1_000 ? scale : wrong("scale must be a whole number from 0 to 1000");
}

function logicalOf(declaration: Declaration): string {
  return typeof declaration["logicalType"] === "string" ? declaration["logicalType"] : "";
}

function parseRecord(parse: Parse, declaration: Declaration): AvroType {
  const { name, inside } = named(parse, declaration);
  const list = declaration["fields"];
  if (!Array.isArray(list) || list.length > FIELDS_MAX) return wrong(`${name} has no list of fields, or more than ${FIELDS_MAX}`);
  const fields: AvroField[] = [];
  const type: AvroRecord = { kind: "record", name, fields };
  // Known before its fields are read, so that a field may be of the record's own type.
  parse.names.set(name, type);
  for (const field of list as unknown[]) {
    if (!isObject(field)) return wrong(`a field of ${name} is no object`);
    const aliases = field["aliases"] === undefined ? [] : textsOf(field["aliases"], `aliases of a field of ${name}`);
    fields.push({ name: textOf(field, "name"), aliases, type: parseType(inside, field["type"]), hasDefault: field["default"] !== undefined });
  }
  return type;
}

function parseNamed(parse: Parse, declaration: Declaration, kind: "fixed" | "enum"): AvroType {
  const { name } = named(parse, declaration);
  let type: AvroType;
  if (kind === "enum") {
    type = { kind, name, symbols: textsOf(declaration["symbols"], `symbols of ${name}`), default: typeof declaration["default"] === "string" ? declaration["default"] : undefined };
  } else {
    const size = declaration["size"];
    if (typeof size !== "number" || !Number.isInteger(size) || size < 0) return wrong(`size of ${name} must be a whole number`);
    type = { kind, name, size, logical: logicalOf(declaration), scale: scaleOf(declaration) };
  }
  parse.names.set(name, type);
  return type;
}

function parseName(parse: Parse, name: string): AvroType {
  if (PRIMITIVES.has(name)) return { kind: name as AvroPrimitive["kind"], logical: "", scale: 0 };
  return parse.names.get(fullName(name, parse.namespace)) ?? parse.names.get(name) ?? wrong(`there is no type ${name.slice(0, 200)}`);
}

function parseType(outer: Parse, schema: unknown): AvroType {
  const parse = { ...outer, depth: outer.depth + 1 };
  if (parse.depth > DEPTH_MAX) return wrong(`it is nested deeper than ${DEPTH_MAX}`);
  if (typeof schema === "string") return parseName(parse, schema);
  if (Array.isArray(schema)) return { kind: "union", branches: schema.map((branch: unknown) => parseType(parse, branch)) };
  if (!isObject(schema)) return wrong("a type is a text, a list or an object");
  const kind = schema["type"];
  switch (kind) {
    case "record":
    case "error":
      return parseRecord(parse, schema);
    case "enum":
    case "fixed":
      return parseNamed(parse, schema, kind);
    case "array":
      return { kind, items: parseType(parse, schema["items"]) };
    case "map":
      return { kind, values: parseType(parse, schema["values"]) };
    default: {
      const inner = parseType(parse, kind);
      if (!PRIMITIVES.has(inner.kind)) return inner;
      return { kind: inner.kind as AvroPrimitive["kind"], logical: logicalOf(schema), scale: scaleOf(schema) };
    }
  }
}

/** Parses an Avro schema's JSON text. Types of referenced schemas are given by name. Throws a SyntaxError that says what is wrong. */
export function parseAvroType(text: string, names: AvroNames = new Map()): AvroType {
  let schema: unknown;
  try {
    schema = JSON.parse(text);
  } catch {
    // A primitive's bare name is no JSON, and some registries hand it out so.
    schema = text.trim();
  }
  return parseType({ names, namespace: "", depth: 0 }, schema);
}
