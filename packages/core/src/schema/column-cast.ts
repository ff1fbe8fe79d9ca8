import type { AnyColumn, ColumnSettings } from "./column.ts";
import { describeValue, keySegment, type Issues } from "./cast-failure.ts";
import { checkJson } from "./json-text.ts";
import { Members } from "./members.ts";
import { decimalCast, floatCast, integerCast, type Cast } from "./number-cast.ts";
import { dateCast, momentCast } from "./time-cast.ts";
import { isRawJson } from "./raw-json.ts";

function stringCast(settings: ColumnSettings): Cast {
  return (value, issues) => {
    if (typeof value !== "string") return issues.add(`expected text, got ${describeValue(value)}`);
    if (settings.nonEmpty && value.length === 0) return issues.add("is empty");
    if (!value.isWellFormed()) return issues.add("holds a lone surrogate, which is not text");
    return value;
  };
}

function fixedStringCast(bytes: number): Cast {
  return (value, issues) => {
    if (typeof value !== "string") return issues.add(`expected text of ${bytes} bytes, got ${describeValue(value)}`);
    if (!value.isWellFormed()) return issues.add("holds a lone surrogate, which is not text");
    const size = Buffer.byteLength(value);
    return size === bytes ? value : issues.add(`expected text of ${bytes} bytes, got ${size} bytes`);
  };
}

function enumCast(values: ReadonlyMap<string, number>): Cast {
  const names = new Map([...values].map(([name, value]) => [value, name] as const));
  const all = [...values.keys()].slice(0, 20).map((name) => JSON.stringify(name)).join(", ");
  return (value, issues) => {
    if (typeof value === "string" && values.has(value)) return value;
    const name = typeof value === "number" ? names.get(value) : undefined;
    return name ?? issues.add(`expected one of ${all}${values.size > 20 ? ", ..." : ""}, got ${describeValue(value)}`);
  };
}

const boolCast: Cast = (value, issues) => {
  if (typeof value === "boolean") return value;
  if (value === 1 || value === "true") return true;
  if (value === 0 || value === "false") return false;
  return issues.add(`expected true or false, got ${describeValue(value)}`);
};

/** A UUID as ClickHouse prints it. */
export const UUID_SHAPE: RegExp = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

const uuidCast: Cast = (value, issues) => {
  if (typeof value === "string" && UUID_SHAPE.test(value)) return value.toLowerCase();
  return issues.add(`expected a UUID, got ${describeValue(value)}`);
};

/** An element inside another value: null or absent only where its column is nullable. */
function elementCast(column: AnyColumn): Cast {
  const cast = compileColumnCast(column);
  if (isNullable(column)) return cast;
  return (value, issues) => (value === null ? issues.add(nullMessage(column)) : cast(value, issues));
}

function arrayCast(inner: AnyColumn): Cast {
  const cast = elementCast(inner);
  return (value, issues) => {
    if (!Array.isArray(value)) return issues.add(`expected an array, got ${describeValue(value)}`);
    const out: unknown[] = new Array(value.length);
    for (let index = 0; index < value.length; index++) {
      const before = issues.list.length;
      out[index] = cast(value[index], issues);
      if (issues.list.length > before) issues.prefix(before, `[${index}]`);
    }
    return out;
  };
}

/** Whether a value is an object with members, and not null, an array or a number kept as source text. */
export function isMembers(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  // The builtin costs 30 ns, so only what looks like one is asked.
  return (value as { rawJSON?: unknown }).rawJSON === undefined || !isRawJson(value);
}

function mapCast(key: AnyColumn, inner: AnyColumn): Cast {
  const castKey = compileColumnCast(key);
  const cast = elementCast(inner);
  const keyIsText = key.kind === "string" || key.kind === "lowCardinality";
  return (value, issues) => {
    if (!isMembers(value)) return issues.add(`expected an object, got ${describeValue(value)}`);
    const out = new Members();
    const keys = Object.keys(value);
    for (let index = 0; index < keys.length; index++) {
      const name = keys[index] as string;
      const before = issues.list.length;
      const castName = castKey(name, issues);
      const outName = typeof castName === "string" ? castName : String(castName);
      if (!keyIsText && issues.list.length === before && outName in out) issues.add(`is the same key as another, ${describeValue(outName)}`);
      out[outName] = cast(value[name], issues);
      if (issues.list.length > before) issues.prefix(before, keySegment(name));
    }
    return out;
  };
}

const jsonCast: Cast = (value, issues) => {
  if (!isMembers(value)) return issues.add(`expected an object, got ${describeValue(value)}`);
  checkJson(value, issues.depthMax - 1, issues);
  return value;
};

/** Whether null is a value of the column. */
export function isNullable({ type }: AnyColumn): boolean {
  return type.kind === "nullable" || (type.kind === "lowCardinality" && type.inner.kind === "nullable");
}

/** What is said of a null in a column that has none. */
export function nullMessage(column: AnyColumn): string {
  return `is null, and the column is ${column.clickhouse}, not Nullable`;
}

/** The cast of one column. Compiled once; all errors go to the issues given. */
export function compileColumnCast(column: AnyColumn): Cast {
  const { type, settings } = column;
  switch (type.kind) {
    case "integer":
      return integerCast(type.bits, type.signed, settings);
    case "float":
      return floatCast(type.bits, settings);
    case "decimal":
      return decimalCast(type.precision, type.scale);
    case "string":
      return stringCast(settings);
    case "fixedString":
      return fixedStringCast(type.bytes);
    case "enum":
      return enumCast(type.values);
    case "bool":
      return boolCast;
    case "uuid":
      return uuidCast;
    case "date":
      return dateCast(type.bits);
    case "dateTime":
      return momentCast(type.bits, type.precision);
    case "nullable": {
      const cast = compileColumnCast(type.inner);
      return (value: unknown, issues: Issues) => (value === null || value === undefined ? null : cast(value, issues));
    }
    case "lowCardinality":
      return compileColumnCast(type.inner);
    case "array":
      return arrayCast(type.inner);
    case "map":
      return mapCast(type.key, type.value);
    case "json":
    case "rest":
      return jsonCast;
  }
}
