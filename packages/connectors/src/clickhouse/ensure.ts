import { type Logger, TopologyError } from "@iot-topology/core";
import { alterTable, columnText, commentOf, createTable, createTrigger, createView, dropObject, type Placement, qualifier, tableSettings } from "./ddl.ts";
import { quoted } from "./identifier.ts";
import { plainSettings } from "./insert-settings.ts";
import type { DerivedObject, ObjectSet, TableObject, ViewObject } from "./object.ts";
import type { Server } from "./server.ts";

interface Found {
  readonly name: string;
  readonly engine: string;
  readonly engine_full: string;
  readonly sorting_key: string;
  readonly partition_key: string;
  readonly comment: string;
}

/** What {@link ensureObjects} works with. */
export interface EnsureContext {
  readonly server: Server;
  readonly placement: Placement;
  readonly migrate: boolean;
  readonly logger: Logger;
}

/**
 * Makes what is absent and compares what is there. Additive changes are applied with `migrate`: new columns, wider windows, changed views, and what
 * can be computed again from the history. Anything else is an error that carries its cure.
 *
 * @throws TopologyError CLICKHOUSE_SCHEMA, CLICKHOUSE_SETTINGS, CLICKHOUSE_REFUSED.
 */
export async function ensureObjects(context: EnsureContext, objects: ObjectSet): Promise<void> {
  const found = await findObjects(context, [
    objects.base.name,
    ...objects.derived.flatMap(({ table, trigger }) => [table.name, ...(trigger === null ? [] : [trigger.name])]),
    ...objects.views.map((view) => view.name),
  ]);
  await ensureBase(context, objects.base, found.get(objects.base.name));
  for (const derived of objects.derived) await ensureDerived(context, derived, found);
  for (const view of objects.views) await ensureView(context, view, found.get(view.name));
}

async function findObjects({ server, placement }: EnsureContext, names: readonly string[]): Promise<ReadonlyMap<string, Found>> {
  const rows = await server.rows<Found>(
    "SELECT name, engine, engine_full, sorting_key, partition_key, comment FROM system.tables WHERE database = {database:String} AND name IN {names:Array(String)}",
    { database: placement.database, names },
  );
  return new Map(rows.map((row) => [row.name, row]));
}

async function ensureBase(context: EnsureContext, table: TableObject, found: Found | undefined): Promise<void> {
  const { server, placement } = context;
  if (found === undefined) return server.command(createTable(table, placement), table.name);
  const engine = `${placement.replicated ? "Replicated" : ""}${table.engine}`;
  const place = `${placement.database}.${table.name}`;
  if (found.engine !== engine) {
    throw schemaError(place, `its engine is ${found.engine}, not ${engine}`, `RENAME TABLE ${qualifier(placement)(table.name)} TO ${qualifier(placement)(`${table.name}_old`)}, start again, and copy its rows`);
  }
  if (table.version !== null && !compact(found.engine_full).includes(table.version)) {
    throw schemaError(place, `its version column is not ${table.version} (${found.engine_full})`, `drop the table and let it be filled again: iot-topology reset`);
  }
  const sortingKey = compact(table.orderBy.join(","));
  if (compact(found.sorting_key) !== sortingKey) {
    throw schemaError(place, `it is ordered by (${found.sorting_key}), not by (${table.orderBy.join(", ")})`, `a sorting key cannot be altered: drop the table and let it be filled again (iot-topology reset), or declare orderBy as it is`);
  }
  if (compact(found.partition_key) !== compact(table.partitionBy ?? "")) {
    throw schemaError(place, `it is partitioned by (${found.partition_key}), not by (${table.partitionBy ?? ""})`, `a partition key cannot be altered: drop the table and let it be filled again (iot-topology reset), or declare partitionBy as it is`);
  }
  await ensureColumns(context, table);
  await ensureWindow(context, table, found);
}

async function ensureColumns(context: EnsureContext, table: TableObject): Promise<void> {
  const { server, placement, migrate, logger } = context;
  const rows = await server.rows<{ name: string; type: string }>("SELECT name, type FROM system.columns WHERE database = {database:String} AND table = {table:String} ORDER BY position", {
    database: placement.database,
    table: table.name,
  });
  const types = new Map(rows.map((row) => [row.name, row.type]));
  const place = `${placement.database}.${table.name}`;
  let previous = "";
  for (const column of table.columns) {
    const type = types.get(column.name);
    if (type === undefined) {
      const statement = alterTable(table.name, `ADD COLUMN ${columnText(column)}${previous === "" ? " FIRST" : ` AFTER ${quoted(previous)}`}`, placement);
      if (!migrate) throw schemaError(place, `it has no column ${column.name}`, `start with --migrate, or run: ${statement}`);
      logger.info({ statement }, "ClickHouse table migrated");
      await server.command(statement, place);
    } else if (compact(type) !== compact(column.type)) {
      const statement = alterTable(table.name, `MODIFY COLUMN ${columnText(column)}`, placement);
      throw schemaError(place, `its column ${column.name} is ${type}, not ${column.type}`, `check that every value fits, then run: ${statement}`);
    }
    previous = column.name;
  }
}

async function ensureWindow(context: EnsureContext, table: TableObject, found: Found): Promise<void> {
  const { server, placement, migrate, logger } = context;
  for (const [name, wanted] of Object.entries(tableSettings(table, placement))) {
    const match = new RegExp(`\\b${name} = (\\d+)`).exec(found.engine_full);
    // Absent, a replicated table has the server's own default; a plain one has none, which is 0.
    const actual = match === null ? 0 : Number(match[1]);
    if (actual >= wanted) continue;
    const statement = alterTable(table.name, `MODIFY SETTING ${name} = ${wanted}`, placement);
    if (!migrate) {
      throw new TopologyError("CLICKHOUSE_SETTINGS", `the table remembers too few blocks to drop repeats: ${name} is ${match === null ? "not set" : actual}, and must be ${wanted} or more`, {
        place: `${placement.database}.${table.name}`,
        cure: `start with --migrate, or run: ${statement}`,
      });
    }
    logger.info({ statement }, "ClickHouse table migrated");
    await server.command(statement, table.name);
  }
}

/** Filled from the history, so it can be made again from it: with `migrate` when its definition changed, and always when its trigger is missing. */
async function ensureDerived(context: EnsureContext, derived: DerivedObject, found: ReadonlyMap<string, Found>): Promise<void> {
  const { server, placement, logger, migrate } = context;
  const { table, trigger } = derived;
  const tableText = createTable(table, placement);
  const triggerText = trigger === null ? null : createTrigger(trigger, table, placement);
  const foundTable = found.get(table.name);
  const foundTrigger = trigger === null ? undefined : found.get(trigger.name);
  const changed = [
    ...(foundTable !== undefined && foundTable.comment !== commentOf(tableText) ? [table.name] : []),
    ...(trigger !== null && foundTrigger !== undefined && foundTrigger.comment !== commentOf(triggerText ?? "") ? [trigger.name] : []),
  ];
  if (changed.length === 0 && foundTable !== undefined && (trigger === null || foundTrigger !== undefined)) return ensureWindow(context, table, foundTable);
  if (changed.length > 0 && !migrate) {
    const drops = [...(trigger === null ? [] : [dropObject(trigger.name, "VIEW", placement)]), dropObject(table.name, "TABLE", placement)];
    throw schemaError(
      `${placement.database}.${changed[0] ?? table.name}`,
      "its definition differs from the declaration",
      `start with --migrate to make it again from ${derived.source}, or run ${drops.join("; ")} and start again`,
    );
  }
  if (!derived.isRebuildable && foundTable !== undefined) {
    throw schemaError(
      `${placement.database}.${changed[0] ?? trigger?.name ?? table.name}`,
      changed.length > 0 ? "its definition differs from the declaration" : "it is missing",
      `${derived.source} has a TTL, so what its views hold cannot be made again from it: declare the view under a new name`,
    );
  }
  // The trigger goes first and comes last: a crash anywhere between leaves it missing, and all of this is done again.
  if (trigger !== null && foundTrigger !== undefined) await server.command(dropObject(trigger.name, "VIEW", placement), trigger.name);
  if (foundTable !== undefined) await server.command(dropObject(table.name, "TABLE", placement), table.name);
  await server.command(tableText, table.name);
  if (trigger === null || triggerText === null) return;
  const q = qualifier(placement);
  const columns = table.columns.map((column) => quoted(column.name)).join(", ");
  const [row] = await server.rows<{ n: string }>(`SELECT count() AS n FROM (SELECT 1 FROM ${q(derived.source)} LIMIT 1)`);
  if (row !== undefined && row.n !== "0") {
    logger.info({ table: table.name, from: derived.source }, "filling a new view from its history");
    await server.command(`INSERT INTO ${q(table.name)} (${columns}) ${trigger.select}`, table.name, {}, plainSettings(placement.replicated));
  }
  await server.command(triggerText, trigger.name);
}

async function ensureView(context: EnsureContext, view: ViewObject, found: Found | undefined): Promise<void> {
  const { server, placement, migrate, logger } = context;
  const text = createView(view, placement);
  if (found === undefined) return server.command(text, view.name);
  if (found.engine === "View" && found.comment === commentOf(text)) return;
  const place = `${placement.database}.${view.name}`;
  if (found.engine !== "View") throw schemaError(place, `there is a ${found.engine} table of that name`, "rename it, or choose another name for the view");
  const statement = createView(view, placement, true);
  if (!migrate) throw schemaError(place, "the view's definition differs from the declaration", `start with --migrate, or run: ${statement}`);
  logger.info({ view: view.name }, "ClickHouse view replaced");
  await server.command(statement, view.name);
}

/** Type and key texts without the spaces and backquotes that ClickHouse puts in and out. */
function compact(text: string): string {
  return text.replaceAll(/[\s`]/g, "").replace(/^\((.*)\)$/, "$1");
}

function schemaError(place: string, message: string, cure: string): TopologyError {
  return new TopologyError("CLICKHOUSE_SCHEMA", `the ClickHouse table ${place} differs from its declaration: ${message}`, { place, cure });
}
