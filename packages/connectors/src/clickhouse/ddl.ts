import { hash } from "node:crypto";
import { literal, quoted, quotedList } from "./identifier.ts";
import type { Qualify, TableObject, ViewObject } from "./object.ts";

/** Where and how tables are made. */
export interface Placement {
  readonly database: string;
  readonly cluster: string | null;
  readonly replicated: boolean;
}

/** Marks what this connector made; behind it stands a hash of the definition. */
export const COMMENT_PREFIX = "iot-topology:";

/** Names with their database. */
export function qualifier(placement: Placement): Qualify {
  return (name) => `${quoted(placement.database)}.${quoted(name)}`;
}

function onCluster(placement: Placement): string {
  return placement.cluster === null ? "" : ` ON CLUSTER ${quoted(placement.cluster)}`;
}

/** `CREATE DATABASE`; Atomic, because the embedded server's default engine is not. */
export function createDatabase(placement: Placement): string {
  return `CREATE DATABASE IF NOT EXISTS ${quoted(placement.database)}${onCluster(placement)} ENGINE = Atomic`;
}

/** The engine with its arguments. */
export function engineText(table: TableObject, placement: Placement): string {
  const version = table.version === null ? [] : [quoted(table.version)];
  if (!placement.replicated) return `${table.engine}(${version.join(", ")})`;
  return `Replicated${table.engine}(${["'/clickhouse/tables/{uuid}/{shard}'", "'{replica}'", ...version].join(", ")})`;
}

/** The settings that the guarantees rest on. A replicated table's window is also bounded by time, by default a week or an hour. */
export function tableSettings(table: TableObject, placement: Placement): Readonly<Record<string, number>> {
  if (table.isSynced === true) return { fsync_after_insert: 1, fsync_part_directory: 1 };
  if (table.deduplicationWindow === 0) return {};
  if (!placement.replicated) return { non_replicated_deduplication_window: table.deduplicationWindow };
  return { replicated_deduplication_window: table.deduplicationWindow, replicated_deduplication_window_seconds: 2_592_000 };
}

/** `CREATE TABLE`. */
export function createTable(table: TableObject, placement: Placement): string {
  const settings = Object.entries(tableSettings(table, placement)).map(([name, value]) => `${name} = ${value}`);
  const lines = [
    `CREATE TABLE IF NOT EXISTS ${qualifier(placement)(table.name)}${onCluster(placement)}`,
    `(`,
    [...table.columns.map(columnText), ...table.indexes].map((line) => `  ${line}`).join(",\n"),
    `)`,
    `ENGINE = ${engineText(table, placement)}`,
    ...(table.partitionBy === null ? [] : [`PARTITION BY ${table.partitionBy}`]),
    `ORDER BY (${quotedList(table.orderBy)})`,
    ...(table.ttl === null ? [] : [`TTL ${table.ttl}`]),
    ...(settings.length === 0 ? [] : [`SETTINGS ${settings.join(", ")}`]),
  ];
  const text = lines.join("\n");
  return `${text}\nCOMMENT ${literal(definitionComment(text))}`;
}

/** A column as `CREATE TABLE` wants it. Text of any length compresses well and is read seldom. */
export function columnText(column: { readonly name: string; readonly type: string }): string {
  const codec = column.type === "Nullable(String)" ? " CODEC(ZSTD(1))" : "";
  return `${quoted(column.name)} ${column.type}${codec}`;
}

/** `CREATE VIEW`, or `CREATE OR REPLACE VIEW`. */
export function createView(view: ViewObject, placement: Placement, replace = false): string {
  const text = `${qualifier(placement)(view.name)}${onCluster(placement)} AS ${view.select}`;
  return `CREATE ${replace ? "OR REPLACE VIEW" : "VIEW IF NOT EXISTS"} ${text} COMMENT ${literal(definitionComment(text))}`;
}

/** `CREATE MATERIALIZED VIEW ... TO`. */
export function createTrigger(trigger: ViewObject, table: TableObject, placement: Placement): string {
  const q = qualifier(placement);
  const text = `CREATE MATERIALIZED VIEW IF NOT EXISTS ${q(trigger.name)}${onCluster(placement)} TO ${q(table.name)} AS ${trigger.select}`;
  return `${text} COMMENT ${literal(definitionComment(text))}`;
}

/** `DROP`, waiting for the data to be gone, so that the name is free. */
export function dropObject(name: string, kind: "TABLE" | "VIEW", placement: Placement): string {
  return `DROP ${kind} IF EXISTS ${qualifier(placement)(name)}${onCluster(placement)} SYNC`;
}

/** `ALTER TABLE`. */
export function alterTable(name: string, change: string, placement: Placement): string {
  return `ALTER TABLE ${qualifier(placement)(name)}${onCluster(placement)} ${change}`;
}

function definitionComment(text: string): string {
  return `${COMMENT_PREFIX}${hash("sha256", text, "hex").slice(0, 24)}`;
}

/** The comment at the end of a statement that one of the functions above made. */
export function commentOf(statement: string): string {
  return /COMMENT '([^']*)'$/.exec(statement)?.[1] ?? "";
}
