import type { ColumnDeclaration, HistoryDeclaration, NewestDeclaration, UpsertDeclaration, WindowDeclaration } from "./declaration.ts";
import { isIdentifier } from "./identifier.ts";

const NUMERIC = /^(U?Int(8|16|32|64|128|256)|Float(32|64)|Decimal\(.*\))$/;
const TIME = /^DateTime(64)?(\(|$)/;
const EXPRESSION = /^[\w\s(),'+\-*/.]+$/;
/** Types whose values ClickHouse cannot sort by, or not in the same way as equal keys. */
const UNSORTABLE = /^(JSON|Map\(|Array\(|Nullable\()/;

/** Everything wrong with a history's declaration, as sentences. */
export function historyProblems(declaration: HistoryDeclaration): readonly string[] {
  const types = new Map(declaration.columns.map((column) => [column.name, column.type]));
  const problems: string[] = [];
  names(problems, "table", [declaration.table]);
  duplicates(problems, "column", declaration.columns.map((column) => column.name));
  if (declaration.orderBy.length === 0) problems.push("orderBy names no field: it must identify a row");
  sortable(problems, "orderBy", declaration.orderBy, types);
  expression(problems, "partitionBy", declaration.partitionBy, new Set(declaration.orderBy), types);
  expression(problems, "ttl", declaration.ttl, new Set(types.keys()), types);
  for (const latest of declaration.latest) newestProblems(problems, "latest", latest, types);
  for (const asOf of declaration.asOf) newestProblems(problems, "asOf", asOf, types);
  for (const daily of declaration.asOfDaily) newestProblems(problems, "asOfDaily", daily, types);
  for (const window of declaration.windows) windowProblems(problems, window, types);
  for (const view of declaration.views) {
    names(problems, "view", [view.view]);
    if (view.select.trim() === "") problems.push(`view ${view.view}: select is empty`);
  }
  const objects = [declaration.table, ...dependents(declaration)];
  duplicates(problems, "table or view", objects);
  return problems;
}

/** Everything wrong with an upsert's declaration, as sentences. */
export function upsertProblems(declaration: UpsertDeclaration): readonly string[] {
  const types = new Map(declaration.columns.map((column) => [column.name, column.type]));
  const problems: string[] = [];
  names(problems, "table", [declaration.view]);
  if (declaration.key.length === 0) problems.push("key names no field");
  sortable(problems, "key", declaration.key, types);
  const version = types.get(declaration.version);
  if (version === undefined) problems.push(`version: no field ${declaration.version}`);
  else if (!/^(UInt\d+|Int\d+|Date|Date32|DateTime.*)$/.test(version)) problems.push(`version: ${declaration.version} is ${version}, and must be an integer or a time`);
  return problems;
}

/** Names of the views and tables that hang on a history, as a reader knows them. */
export function dependents(declaration: HistoryDeclaration): readonly string[] {
  return [
    ...declaration.latest.map((latest) => latest.name),
    ...declaration.windows.map((window) => window.view),
    ...declaration.asOfDaily.map((daily) => daily.name),
    ...declaration.asOf.map((asOf) => asOf.name),
    ...declaration.views.map((view) => view.view),
  ];
}

function names(problems: string[], what: string, values: readonly string[]): void {
  for (const value of values) {
    if (!isIdentifier(value)) problems.push(`${what} ${JSON.stringify(value)}: a name is made of letters, digits and _, starts with no digit, and has at most 100`);
  }
}

function duplicates(problems: string[], what: string, values: readonly string[]): void {
  const seen = new Set<string>();
  for (const value of values) {
    if (seen.has(value)) problems.push(`the ${what} ${value} is declared twice`);
    seen.add(value);
  }
}

function sortable(problems: string[], where: string, fields: readonly string[], types: ReadonlyMap<string, string>): void {
  duplicates(problems, `field of ${where}`, fields);
  for (const field of fields) {
    const type = types.get(field);
    if (type === undefined) problems.push(`${where}: no field ${field}`);
    else if (UNSORTABLE.test(type)) problems.push(`${where}: ${field} is ${type}, which cannot be part of a key`);
  }
}

function newestProblems(problems: string[], what: string, declaration: NewestDeclaration, types: ReadonlyMap<string, string>): void {
  names(problems, what, [declaration.name]);
  if (declaration.by.length === 0) problems.push(`${what} ${declaration.name}: by names no field`);
  if (declaration.newest.length === 0) problems.push(`${what} ${declaration.name}: newest names no field`);
  sortable(problems, `${what} ${declaration.name}: by`, declaration.by, types);
  sortable(problems, `${what} ${declaration.name}: newest`, declaration.newest, types);
}

function windowProblems(problems: string[], window: WindowDeclaration, types: ReadonlyMap<string, string>): void {
  const where = `window ${window.view}`;
  names(problems, "window", [window.view]);
  names(problems, `${where}: aggregate`, window.aggregates.map((aggregate) => aggregate.name));
  if (!Number.isSafeInteger(window.everyMs) || window.everyMs <= 0) problems.push(`${where}: every is ${window.everyMs}, and must be a positive whole number of milliseconds`);
  const time = types.get(window.time.name);
  if (time === undefined) problems.push(`${where}: no field ${window.time.name}`);
  else if (!TIME.test(time)) problems.push(`${where}: time ${window.time.name} is ${time}, and must be a DateTime or DateTime64`);
  const by: readonly ColumnDeclaration[] = window.by;
  sortable(problems, `${where}: by`, by.map((column) => column.name), types);
  if (window.aggregates.length === 0) problems.push(`${where}: has no aggregates`);
  duplicates(problems, `column of ${where}`, ["window_start", ...by.map((column) => column.name), ...window.aggregates.map((aggregate) => aggregate.name)]);
  for (const { name, kind, field } of window.aggregates) {
    if (kind === "count") continue;
    const type = field === null ? undefined : types.get(field);
    if (type === undefined) problems.push(`${where}: ${name} aggregates no field ${field ?? ""}`);
    else if (!NUMERIC.test(type)) problems.push(`${where}: ${name} aggregates ${field}, which is ${type} and no number (Nullable ones have no place in a window)`);
  }
}

function expression(problems: string[], what: string, text: string | null, allowed: ReadonlySet<string>, types: ReadonlyMap<string, string>): void {
  if (text === null) return;
  if (!EXPRESSION.test(text)) return void problems.push(`${what}: ${JSON.stringify(text)} is no plain expression`);
  for (const match of text.matchAll(/[A-Za-z_]\w*/g)) {
    if (types.has(match[0]) && !allowed.has(match[0])) problems.push(`${what}: ${match[0]} is not part of orderBy, so rows with equal keys could stay apart for ever: add it to orderBy, or partition by what orderBy holds`);
  }
}
