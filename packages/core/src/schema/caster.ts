import { describeValue, Issues, keySegment, type CastFailure } from "./cast-failure.ts";
import type { AnyColumn } from "./column.ts";
import { compileColumnCast, isMembers, isNullable, nullMessage } from "./column-cast.ts";
import { castDefault } from "./default-value.ts";
import { generate, literal, memoise } from "./generate.ts";
import { checkJson } from "./json-text.ts";
import { Members, NO_MEMBERS } from "./members.ts";
import { quickNumber, safeBounds } from "./number-cast.ts";
import type { RecordSchema, SchemaColumn } from "./record-schema.ts";
import { quickMs } from "./time-cast.ts";

/** Casts a parsed record; what it gives is not used when it added an issue. */
export type RecordCast = (value: unknown, issues: Issues) => unknown;

/** The whole cast of a field: absent, default, null, value, and the path of what is wrong. */
function fieldCast({ from, column }: SchemaColumn): RecordCast {
  const cast = compileColumnCast(column);
  const nullable = isNullable(column);
  const { hasDefault } = column.settings;
  const defaultValue = hasDefault ? castDefault(column).value : undefined;
  const segment = keySegment(from);
  return (value, issues) => {
    if (value === undefined && hasDefault) return defaultValue;
    if (nullable && (value === null || value === undefined)) return null;
    const before = issues.list.length;
    let out: unknown;
    if (value === undefined) issues.add("is missing");
    else if (value === null) issues.add(nullMessage(column));
    else out = cast(value, issues);
    if (issues.list.length > before) issues.prefix(before, segment);
    return out;
  };
}

/** Code for values that are right already: a condition on `x`, and what the column then holds. Anything else goes to {@link fieldCast}. */
interface QuickCode {
  readonly when: string;
  readonly then: string;
}

function bounds(x: string, minimum: number | bigint | undefined, maximum: number | bigint | undefined): string {
  return (minimum === undefined ? "" : ` && ${x} >= ${Number(minimum)}`) + (maximum === undefined ? "" : ` && ${x} <= ${Number(maximum)}`);
}

function quickCode(column: AnyColumn, x: string): QuickCode | undefined {
  const { type, settings } = column;
  switch (type.kind) {
    case "string":
      return { when: `typeof ${x} === "string" && ${settings.nonEmpty ? `${x} !== "" && ` : ""}${x}.isWellFormed()`, then: x };
    case "lowCardinality":
      return quickCode(type.inner, x);
    case "nullable": {
      const inner = quickCode(type.inner, x);
      return inner && { when: `${x} === null || ${inner.when}`, then: `(${x} === null ? null : ${inner.then})` };
    }
    case "integer": {
      const range = safeBounds(column);
      return range && { when: `Number.isSafeInteger(${x})${bounds(x, ...range)}`, then: type.bits > 32 ? `BigInt(${x})` : `${x} + 0` };
    }
    case "float": {
      if (type.bits === 32) return undefined;
      const range = bounds("n", settings.minimum, settings.maximum);
      return { when: `(n = typeof ${x} === "number" ? ${x} : typeof ${x} === "string" ? quickNumber(${x}) : NaN) - n === 0${range}`, then: "n" };
    }
    case "dateTime":
      return type.bits === 64 && type.precision === 3 ? { when: `(n = quickMs(${x})) === n`, then: "n" } : undefined;
    case "bool":
      return { when: `${x} === true || ${x} === false`, then: x };
    default:
      return undefined;
  }
}

/** Puts an unknown field among the rest. */
function keepMember(rest: Record<string, unknown>, name: string, value: unknown, issues: Issues): void {
  const before = issues.list.length;
  if (!name.isWellFormed()) issues.add("is named by a lone surrogate, which is not text");
  checkJson(value, issues.depthMax - 1, issues);
  if (issues.list.length > before) issues.prefix(before, keySegment(name));
  rest[name] = value;
}

function restCode(columns: readonly SchemaColumn[], rest: string): string {
  const known = columns.filter(({ column }) => column.kind !== "rest").map(({ from }) => `case ${literal(from)}:`);
  return `let ${rest} = NO_MEMBERS;
for (const k in o) switch (k) { ${known.join(" ")} ${known.length > 0 ? "break;" : ""}
default: if (!Object.hasOwn(o, k)) break;
if (${rest} === NO_MEMBERS) ${rest} = new Members();
const m = o[k];
if (typeof m === "string" && m.isWellFormed() && k.isWellFormed()) ${rest}[k] = m; else keepMember(${rest}, k, m, issues);
}`;
}

function fieldCode({ from, column }: SchemaColumn, index: number): string {
  const x = `x${index}`;
  // A name that every object inherits (`constructor`) is a field only if it is the record's own.
  const read = from in Object.prototype ? `(Object.hasOwn(o, ${literal(from)}) ? o[${literal(from)}] : undefined)` : `o[${literal(from)}]`;
  const quick = quickCode(column, x);
  const slow = `f${index}(${x}, issues)`;
  return `const ${x} = ${read};\nconst v${index} = ${quick === undefined ? slow : `(${quick.when}) ? ${quick.then} : ${slow}`};`;
}

/** The cast of a schema, errors left in the issues given. Stateless, so made once a schema. */
export const compileRecordCast: (schema: RecordSchema<unknown, unknown>) => RecordCast = memoise((schema) => {
  const { columns } = schema;
  const bindings: Record<string, unknown> = { Members, NO_MEMBERS, keepMember, quickMs, quickNumber };
  const code = columns.map((column, index) => {
    if (column.column.kind === "rest") return restCode(columns, `v${index}`);
    bindings[`f${index}`] = fieldCast(column);
    return fieldCode(column, index);
  });
  const members = columns.map(({ name }, index) => `${literal(name)}: v${index}`);
  const cast = generate<RecordCast>(bindings, `return function cast(o, issues) {\nlet n = 0;\n${code.join("\n")}\nreturn { ${members.join(", ")} };\n};`);
  return (value, issues) => (isMembers(value) ? cast(value, issues) : issues.add(`expected a JSON object, got ${describeValue(value)}`));
});

/**
 * Compiles the cast from a parsed JSON value to a record. All errors of a record are collected, each with its JSON path.
 *
 * Numbers beyond 2^53 are refused for 64-bit columns here, for `JSON.parse` has rounded them already: decode bytes with
 * {@link compileDecoder} to have them exact, or give them as text.
 *
 * @example
 * const cast = compileCaster(Reading);
 * const reading = cast(JSON.parse(text)); // Reading | CastFailure
 */
export function compileCaster<Out, In>(schema: RecordSchema<Out, In>): (value: unknown) => Out | CastFailure {
  const cast = compileRecordCast(schema);
  const issues = new Issues();
  return (value) => {
    const out = cast(value, issues);
    if (issues.count > 0) return issues.take(issues.tooDeep ? "PAYLOAD_TOO_DEEP" : "CAST_FAILED");
    issues.inexact = false;
    return out as Out;
  };
}
