import { type Logger, TopologyError } from "@iot-topology/core";
import { alterTable, columnText, commentOf, createTable, createTrigger, createView, dropObject, type Placement, qualifier, tableSettings } from "./ddl.ts";
import { quoted } from "./identifier.ts";
import { plainSettings } from "./insert-settings.ts";
import { type Claims, tableScope } from "./claim.ts";
import type { Lock, Locks } from "./lock.ts";
import type { DerivedObject, ObjectSet, TableObject, ViewObject } from "./object.ts";
import { permitted } from "./permit.ts";
import type { Server } from "./server.ts";

/** How long other processes' inserts and fills may hold up the making of a view. */
const FILL_WAIT_MS = 600_000;

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
  readonly locks: Locks;
  readonly claims: Claims;
  /** Held: one process makes tables at a time. */
  readonly lock: Lock;
}

/**
 * Makes what is absent and compares what is there. Additive changes are applied with `migrate`: new columns, wider windows, changed views, and what
 * can be computed again from the history. Anything else is an error that carries its cure.
 *
 * A history's rows come only when all that hangs on it is there: in this process because it waits, in others because they wait for the lock, and for a history
 * that others fill already, because they are kept out of it while a new view is made and filled.
 *
 * @throws TopologyError CLICKHOUSE_SCHEMA, CLICKHOUSE_SETTINGS, CLICKHOUSE_REFUSED, SINK_BUSY.
 */
export async function ensureObjects(context: EnsureContext, objects: ObjectSet): Promise<void> {
  await context.lock.touch();
  const found = await findObjects(context, [
    objects.base.name,
    ...objects.derived.flatMap(namesOf),
    ...objects.views.map((view) => view.name),
  ]);
  await ensureBase(context, objects.base, found.get(objects.base.name));
  const toMake: { derived: DerivedObject; drops: readonly string[] }[] = [];
  for (const derived of objects.derived) {
    const drops = await checkDerived(context, derived, found);
    if (drops !== undefined) toMake.push({ derived, drops });
  }
  if (toMake.length > 0) await makeDerived(context, objects.base.name, toMake);
  for (const view of objects.views) await ensureView(context, view, found.get(view.name));
}

/** A statement that shows, while it runs, that the lock's holder lives. */
async function command({ server, lock }: EnsureContext, statement: string, place: string): Promise<void> {
  await server.command(statement, place, {}, {}, lock.permit.queryIdPrefix);
}

async function findObjects({ server, placement }: EnsureContext, names: readonly string[]): Promise<ReadonlyMap<string, Found>> {
  const rows = await server.rows<Found>(
    "SELECT name, engine, engine_full, sorting_key, partition_key, comment FROM system.tables WHERE database = {database:String} AND name IN {names:Array(String)}",
    { database: placement.database, names },
  );
  return new Map(rows.map((row) => [row.name, row]));
}

async function ensureBase(context: EnsureContext, table: TableObject, found: Found | undefined): Promise<void> {
  const { placement } = context;
  if (found === undefined) return command(context, createTable(table, placement), table.name);
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
      await command(context, statement, place);
    } else if (compact(type) !== compact(column.type)) {
      const statement = alterTable(table.name, `MODIFY COLUMN ${columnText(column)}`, placement);
      throw schemaError(place, `its column ${column.name} is ${type}, not ${column.type}`, `check that every value fits, then run: ${statement}`);
    }
    previous = column.name;
  }
}

async function ensureWindow(context: EnsureContext, table: TableObject, found: Found): Promise<void> {
  const { placement, migrate, logger } = context;
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
    await command(context, statement, table.name);
  }
}

function namesOf({ table, trigger, notes }: DerivedObject): readonly string[] {
  return [table, trigger, notes].flatMap((object) => (object === null ? [] : [object.name]));
}

/**
 * What must be dropped before it is made anew; undefined where all of it is there and right. It is filled from the history, so it can be made again from it: with
 * `migrate` when its definition changed, and always when a part of it is missing.
 */
async function checkDerived(context: EnsureContext, derived: DerivedObject, found: ReadonlyMap<string, Found>): Promise<readonly string[] | undefined> {
  const { placement, migrate } = context;
  const { table, trigger, notes } = derived;
  const texts = new Map([[table.name, createTable(table, placement)]]);
  if (trigger !== null) texts.set(trigger.name, createTrigger(trigger, table, placement));
  if (notes !== null) texts.set(notes.name, createTable(notes, placement));
  const present = namesOf(derived).filter((name) => found.has(name));
  const changed = present.filter((name) => found.get(name)?.comment !== commentOf(texts.get(name) ?? ""));
  const foundTable = found.get(table.name);
  if (changed.length === 0 && present.length === texts.size && foundTable !== undefined) return void (await ensureWindow(context, table, foundTable));
  // The trigger goes first and comes last: a crash anywhere between leaves it missing, and all of this is done again.
  const drops = [trigger?.name, notes?.name, table.name]
    .filter((name) => name !== undefined && found.has(name))
    .map((name) => dropObject(name as string, name === trigger?.name ? "VIEW" : "TABLE", placement));
  const place = `${placement.database}.${changed[0] ?? [...texts.keys()].find((name) => !found.has(name)) ?? table.name}`;
  if (changed.length > 0 && !migrate) {
    throw schemaError(place, "its definition differs from the declaration", `start with --migrate to make it again from ${derived.source}, or run ${drops.join("; ")} and start again`);
  }
  if (!derived.isRebuildable && foundTable !== undefined) {
    throw schemaError(
      place,
      changed.length > 0 ? "its definition differs from the declaration" : "it is missing",
      `${derived.source} has a TTL, so what its views hold cannot be made again from it: declare the view under a new name`,
    );
  }
  return drops;
}

/** Makes views of a history and fills them from it, while nobody writes to it. */
async function makeDerived(context: EnsureContext, source: string, toMake: readonly { readonly derived: DerivedObject; readonly drops: readonly string[] }[]): Promise<void> {
  const { server, placement, logger, locks, claims, lock } = context;
  const q = qualifier(placement);
  const fill = await locks.acquire(tableScope(source), { waitMs: FILL_WAIT_MS, statements: claims.prefix(source), onWait: () => lock.touch() });
  const run = async (statement: string, name: string): Promise<void> => {
    await lock.touch();
    await fill.touch();
    await server.command(statement, name, {}, {}, fill.permit.queryIdPrefix);
  };
  try {
    const [row] = await server.rows<{ n: string }>(`SELECT count() AS n FROM (SELECT 1 FROM ${q(source)} LIMIT 1)`);
    for (const { derived, drops } of toMake) {
      const { table, trigger, notes } = derived;
      for (const drop of drops) {
        // It can carry no permit, so the locks are looked at shortly before. What is made needs none: it is made only where it is absent.
        await lock.check();
        await fill.check();
        await run(drop, table.name);
      }
      await run(createTable(table, placement), table.name);
      if (notes !== null) await run(createTable(notes, placement), notes.name);
      if (trigger === null) continue;
      if (row !== undefined && row.n !== "0") {
        logger.info({ table: table.name, from: source }, "filling a new view from its history");
        const columns = table.columns.map((column) => quoted(column.name)).join(", ");
        const statement = `INSERT INTO ${q(table.name)} (${columns}) ${permitted(trigger.select, fill.permit)}`;
        await withTouches(lock, server.fill(statement, table.name, fill.permit.parameters, plainSettings(placement.replicated), fill.permit.queryIdPrefix));
      }
      await run(createTrigger(trigger, table, placement), trigger.name);
    }
  } finally {
    await fill.release();
  }
}

/** Keeps a lock while a long statement runs under another. */
async function withTouches(lock: Lock, work: Promise<void>): Promise<void> {
  const timer = setInterval(() => void lock.touch().catch(() => {}), 4_000);
  try {
    await work;
  } finally {
    clearInterval(timer);
  }
}

async function ensureView(context: EnsureContext, view: ViewObject, found: Found | undefined): Promise<void> {
  const { placement, migrate, logger } = context;
  const text = createView(view, placement);
  if (found === undefined) return command(context, text, view.name);
  if (found.engine === "View" && found.comment === commentOf(text)) return;
  const place = `${placement.database}.${view.name}`;
  if (found.engine !== "View") throw schemaError(place, `there is a ${found.engine} table of that name`, "rename it, or choose another name for the view");
  const statement = createView(view, placement, true);
  if (!migrate) throw schemaError(place, "the view's definition differs from the declaration", `start with --migrate, or run: ${statement}`);
  logger.info({ view: view.name }, "ClickHouse view replaced");
  await command(context, statement, view.name);
}

/** Type and key texts without the spaces and backquotes that ClickHouse puts in and out. */
function compact(text: string): string {
  return text.replaceAll(/[\s`]/g, "").replace(/^\((.*)\)$/, "$1");
}

function schemaError(place: string, message: string, cure: string): TopologyError {
  return new TopologyError("CLICKHOUSE_SCHEMA", `the ClickHouse table ${place} differs from its declaration: ${message}`, { place, cure });
}
