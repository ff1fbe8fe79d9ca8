/** What a change of a declaration means for the tables that are there: what `--migrate` applies, and what ClickHouse cannot alter. */
import type { SinkChange, SinkShape } from "@iot-topology/core";
import type { ColumnDeclaration, Declaration, HistoryDeclaration, UpsertDeclaration } from "./declaration.ts";

const MIGRATES = "start with --migrate, which applies it";

function breaking(message: string, effect: string): SinkChange {
  return { isBreaking: true, message, effect };
}
function compatible(message: string, effect: string): SinkChange {
  return { isBreaking: false, message, effect };
}

function columnChanges(before: readonly ColumnDeclaration[], after: readonly ColumnDeclaration[]): SinkChange[] {
  const earlier = new Map(before.map(({ name, type }) => [name, type]));
  const later = new Set(after.map(({ name }) => name));
  return [
    ...after.flatMap(({ name, type }) => {
      const was = earlier.get(name);
      if (was === undefined) return [compatible(`column ${name} ${type} is new`, `${MIGRATES}; rows that are there have the type's default`)];
      return was === type ? [] : [breaking(`column ${name} was ${was} and is ${type}`, "the table is refused at the next start: check that every value fits, and alter the column by hand")];
    }),
    ...before.filter(({ name }) => !later.has(name)).map(({ name }) => compatible(`column ${name} is gone`, "the table keeps it; new rows have its default")),
  ];
}

function keyChange(what: string, before: string, after: string): SinkChange[] {
  return before === after ? [] : [breaking(`${what} was (${before}) and is (${after})`, "ClickHouse cannot alter it, and the table is refused at the next start: name another table, or reset")];
}

/** The views of a history by name, each as text. */
function viewsOf({ latest, windows, asOfDaily, asOf, views }: HistoryDeclaration): ReadonlyMap<string, string> {
  const named: [string, unknown][] = [
    ...[...latest, ...asOfDaily, ...asOf].map((view): [string, unknown] => [view.name, view]),
    ...windows.map((window): [string, unknown] => [window.view, window]),
    ...views.map((view): [string, unknown] => [view.view, view]),
  ];
  return new Map(named.map(([name, view]) => [name, JSON.stringify(view)]));
}

function viewChanges(before: HistoryDeclaration, after: HistoryDeclaration): SinkChange[] {
  const [earlier, later] = [viewsOf(before), viewsOf(after)];
  const isKept = before.ttl === null && after.ttl === null;
  return [
    ...[...later].flatMap(([name, text]) => {
      const was = earlier.get(name);
      if (was === undefined) return [compatible(`view ${name} is new`, "it is filled from the history at the next start")];
      if (was === text) return [];
      if (isKept) return [compatible(`view ${name} has changed`, `${MIGRATES}: it is made again from the history`)];
      return [breaking(`view ${name} has changed`, "the history has a TTL, so what the view holds cannot be made again: declare it under a new name")];
    }),
    ...[...earlier.keys()].filter((name) => !later.has(name)).map((name) => compatible(`view ${name} is gone`, "it stays in the database, and goes on being filled: drop it by hand")),
  ];
}

function historyChanges(before: HistoryDeclaration, after: HistoryDeclaration): SinkChange[] {
  const found = [...columnChanges(before.columns, after.columns), ...keyChange("orderBy", before.orderBy.join(", "), after.orderBy.join(", ")), ...keyChange("partitionBy", before.partitionBy ?? "", after.partitionBy ?? "")];
  if (before.ttl !== after.ttl) found.push(compatible(`ttl was ${before.ttl ?? "none"} and is ${after.ttl ?? "none"}`, "a table that exists keeps its own: ALTER TABLE ... MODIFY TTL by hand"));
  return [...found, ...viewChanges(before, after)];
}

function upsertChanges(before: UpsertDeclaration, after: UpsertDeclaration): SinkChange[] {
  return [...columnChanges(before.columns, after.columns), ...keyChange("key", before.key.join(", "), after.key.join(", ")), ...keyChange("version", before.version, after.version)];
}

/** What has changed since a declaration was as a lock file keeps it. */
export function declarationChanges(earlier: SinkShape, now: Declaration): readonly SinkChange[] {
  const before = earlier as unknown as Declaration;
  if (before.kind !== now.kind) return [breaking(`it was ${String(before.kind)} and is ${now.kind}`, "its table is another: name another target, or reset")];
  if (before.kind === "history" && now.kind === "history") return historyChanges(before, now);
  return upsertChanges(before as UpsertDeclaration, now as UpsertDeclaration);
}
