/**
 * Protobuf messages as plain objects, both ways and exactly: what the library would round, wrap or leave out without a word is refused.
 */
import type { Field, MapField, Type } from "protobufjs";
import protobuf from "protobufjs";
import { plainMembers } from "../plain-members.ts";
import { isPresent, longOf } from "./proto-reader.ts";

/** What 64-bit integers are. */
export type Longs = "number" | "bigint";
type Convert = (value: unknown, path: string) => unknown;

const DEPTH_MAX = 64;
const FLOAT_MAX = 3.4028234663852886e38;
const INTEGERS: Readonly<Record<string, readonly [bits: 32 | 64, signed: boolean]>> = {
  int32: [32, true], sint32: [32, true], sfixed32: [32, true], uint32: [32, false], fixed32: [32, false],
  int64: [64, true], sint64: [64, true], sfixed64: [64, true], uint64: [64, false], fixed64: [64, false],
};
const Long = protobuf.util.Long as unknown as { fromString(text: string, unsigned?: boolean): unknown };

function misfit(path: string, wanted: string): never {
  throw new RangeError(`${path === "" ? "the value" : path} is no ${wanted}`);
}

function inside(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

function integerTo(type: string, bits: 32 | 64, signed: boolean): Convert {
  return (value, path) => {
    if (!(typeof value === "bigint" || Number.isSafeInteger(value))) misfit(path, type);
    const integer = BigInt(value as number | bigint);
    if ((signed ? BigInt.asIntN(bits, integer) : BigInt.asUintN(bits, integer)) !== integer) misfit(path, type);
    return bits === 32 ? Number(integer) : Long.fromString(String(integer), !signed);
  };
}

function scalarTo(type: string): Convert {
  const integer = INTEGERS[type];
  if (integer !== undefined) return integerTo(type, ...integer);
  switch (type) {
    case "bool":
      return (value, path) => (typeof value === "boolean" ? value : misfit(path, type));
    case "string":
      return (value, path) => (typeof value === "string" && value.isWellFormed() ? value : misfit(path, "well-formed text"));
    case "bytes":
      return (value, path) => (value instanceof Uint8Array ? value : misfit(path, "bytes"));
    case "float":
      return (value, path) => (typeof value === "number" && !(Number.isFinite(value) && Math.abs(value) > FLOAT_MAX) ? value : misfit(path, type));
    default:
      return (value, path) => (typeof value === "number" ? value : misfit(path, type));
  }
}

function valueTo(field: Field): Convert {
  const { resolvedType } = field;
  if (resolvedType instanceof protobuf.Enum) {
    const { values, name } = resolvedType;
    return (value, path) => (typeof value === "string" && Object.hasOwn(values, value) ? values[value] : typeof value === "number" && value === (value | 0) ? value : misfit(path, name));
  }
  return resolvedType instanceof protobuf.Type ? messageTo(resolvedType) : scalarTo(field.type);
}

function mapTo(field: MapField): Convert {
  const convert = valueTo(field as unknown as Field);
  const key = INTEGERS[field.keyType];
  const checkKey: Convert = key === undefined ? (name, path) => (field.keyType !== "bool" || name === "true" || name === "false" ? name : misfit(path, "bool")) : (name, path) => (/^-?\d{1,20}$/.test(String(name)) ? integerTo(field.keyType, ...key)(BigInt(String(name)), path) : misfit(path, field.keyType));
  return (value, path) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) misfit(path, "map");
    const out = plainMembers();
    for (const [name, member] of Object.entries(value)) {
      checkKey(name, inside(path, name));
      // The library takes any text for true.
      out[field.keyType === "bool" && name === "false" ? "" : name] = convert(member, inside(path, name));
    }
    return out;
  };
}

function fieldTo(field: Field): Convert {
  if (field instanceof protobuf.MapField) return mapTo(field);
  const convert = valueTo(field);
  if (!field.repeated) return convert;
  return (value, path) => (Array.isArray(value) ? value.map((item, index) => convert(item, `${path}[${index}]`)) : misfit(path, "list"));
}

/** A plain object to what the library encodes. Throws a RangeError that names the field. A message may hold itself, so its fields are compiled at the first use. */
export function messageTo(type: Type): Convert {
  let fields: ReadonlyMap<string, { readonly field: Field; readonly convert: Convert }> | undefined;
  return (value, path) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) misfit(path, type.name);
    if (path.split(".").length > DEPTH_MAX) throw new RangeError(`${path} is nested deeper than ${DEPTH_MAX}`);
    fields ??= new Map(type.fieldsArray.map((field) => [field.name, { field, convert: fieldTo(field) }]));
    const out = plainMembers();
    for (const [name, member] of Object.entries(value)) {
      const known = fields.get(name) ?? misfit(inside(path, name), `field of ${type.name}`);
      if (member !== undefined && member !== null) out[name] = known.convert(member, inside(path, name));
    }
    for (const field of type.fieldsArray) if (field.required && !(field.name in out)) throw new RangeError(`${inside(path, field.name)} is missing`);
    for (const { name, oneof } of type.oneofsArray) if (oneof.filter((member) => member in out).length > 1) throw new RangeError(`${inside(path, name)} is given twice, as ${oneof.filter((member) => member in out).join(" and ")}`);
    return out;
  };
}

type Read = (value: unknown, depth: number) => unknown;

function longFrom(longs: Longs): Read {
  return (value) => {
    const long = longOf(value);
    if (longs === "bigint") return BigInt(long);
    return typeof long === "number" ? long : misfit(String(long), "safe number: read it with longs: \"bigint\"");
  };
}

function valueFrom(field: Field, longs: Longs): Read {
  const { resolvedType } = field;
  // An enum is open: a number that has no name here stays a number.
  if (resolvedType instanceof protobuf.Enum) return (value) => resolvedType.valuesById[value as number] ?? value;
  if (resolvedType instanceof protobuf.Type) return messageFrom(resolvedType, longs);
  if (INTEGERS[field.type]?.[0] === 64) return longFrom(longs);
  // A copy: the bytes are a view of what is read.
  return field.type === "bytes" ? (value) => Buffer.from(value as Uint8Array) : (value) => value;
}

function fieldFrom(field: Field, longs: Longs): Read {
  const read = valueFrom(field, longs);
  if (field.repeated) return (value, depth) => (value as readonly unknown[]).map((item) => read(item, depth));
  if (!(field instanceof protobuf.MapField)) return read;
  const { keyType } = field as MapField;
  const isUnsigned = keyType.startsWith("u") || keyType === "fixed64";
  // Keys of 64 bits come as eight characters that hold their bytes.
  const keyOf = INTEGERS[keyType]?.[0] === 64 ? (key: string) => String(longOf(protobuf.util.longFromHash(key, isUnsigned))) : (key: string) => key;
  return (value, depth) => Object.fromEntries(Object.entries(value as object).map(([key, member]) => [keyOf(key), read(member, depth)]));
}

/** A decoded message to a plain object. Lists and maps are always there, and so are fields without presence; absent others are left out. */
export function messageFrom(type: Type, longs: Longs): Read {
  let fields: { readonly field: Field; readonly read: Read }[] | undefined;
  return (message, depth) => {
    if (depth > DEPTH_MAX) throw new RangeError(`nested deeper than ${DEPTH_MAX}`);
    fields ??= type.fieldsArray.map((field) => ({ field, read: fieldFrom(field, longs) }));
    const out: Record<string, unknown> = {};
    for (const { field, read } of fields) if (isPresent(message as object, field)) out[field.name] = read((message as Record<string, unknown>)[field.name], depth + 1);
    return out;
  };
}
