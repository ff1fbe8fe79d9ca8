import type { AnyColumn } from "./column.ts";
import { Issues } from "./cast-failure.ts";
import { compileColumnCast } from "./column-cast.ts";

function freezeDeep(value: unknown): unknown {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(freezeDeep);
  }
  return value;
}

/** A column's default as a cast gives it; frozen, for all records share it. */
export function castDefault(column: AnyColumn): { readonly value?: unknown; readonly problem?: string } {
  const issues = new Issues();
  const { type, settings } = column;
  if (settings.default === null && (type.kind === "nullable" || (type.kind === "lowCardinality" && type.inner.kind === "nullable"))) return { value: null };
  // Moments of more than 3 digits are bigints of ticks once cast, and so may a default be given.
  if (type.kind === "dateTime" && typeof settings.default === "bigint") return { value: settings.default };
  const value = compileColumnCast(column)(settings.default, issues);
  if (issues.count > 0) return { problem: issues.take("SCHEMA_INVALID").message };
  return { value: freezeDeep(value) };
}
