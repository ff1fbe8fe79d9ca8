import type { RowFacts, SinkWarning } from "@iot-topology/core";
import type { HistoryDeclaration, UpsertDeclaration, WindowDeclaration } from "./declaration.ts";

/** Aggregates that a repeated row changes. */
const COUNTING: ReadonlySet<string> = new Set(["count", "sum", "avg"]);
/** Types of which a table has about as many values as rows. */
const MANY_VALUED = /^(DateTime|UUID|U?Int(32|64|128|256)|Float|Decimal|String|FixedString)/;

function list(fields: readonly string[]): string {
  return fields.join(", ");
}

function missing(fields: readonly string[], from: readonly string[]): readonly string[] {
  return fields.filter((field) => !from.includes(field));
}

function windowWarnings(window: WindowDeclaration, rows: RowFacts): SinkWarning[] {
  const counting = window.aggregates.filter(({ kind }) => COUNTING.has(kind)).map(({ name }) => name);
  const found: SinkWarning[] = [];
  if (rows.isUpdated) {
    const all = list(window.aggregates.map(({ name }) => name));
    found.push({ rule: "AGGREGATE_OF_UPDATES", message: `${window.view} aggregates every version of a row (${all}), not the newest`, cure: "aggregate the records before they are aggregated, in the view or in the engine" });
  }
  if (rows.mayRepeat && counting.length > 0) {
    found.push({
      rule: "VIEW_COUNTS_REPEATS",
      message: `${window.view} counts a record again that its producer sends twice (${list(counting)}): the table keeps one of equal rows, the view has counted both`,
      cure: "put a dedup before the sink, or say at the source that nothing is sent twice: { redelivery: 0 }",
    });
  }
  return found;
}

function groupWarnings(declaration: HistoryDeclaration): SinkWarning[] {
  const groups = [
    ...declaration.latest.map(({ name, by }) => ({ name, by })),
    ...declaration.asOfDaily.map(({ name, by }) => ({ name, by })),
    ...declaration.asOf.map(({ name, by }) => ({ name, by })),
    ...declaration.windows.map(({ view, by }) => ({ name: view, by: by.map((column) => column.name) })),
  ];
  return groups.flatMap(({ name, by }): SinkWarning[] => {
    const absent = missing(by, declaration.orderBy);
    if (absent.length === 0) return [];
    return [
      {
        rule: "ORDER_BY_AGAINST_GROUP_BY",
        message: `${name} is grouped by ${list(absent)}, which orderBy (${list(declaration.orderBy)}) does not hold: rows of two groups may have equal keys, and the table keeps one of them`,
        cure: `add ${list(absent)} to orderBy`,
      },
    ];
  });
}

function partitionWarnings({ partitionBy, columns }: HistoryDeclaration): SinkWarning[] {
  const type = columns.find(({ name }) => name === partitionBy?.trim())?.type;
  if (type === undefined || !MANY_VALUED.test(type)) return [];
  return [
    {
      rule: "PARTITION_TOO_FINE",
      message: `partitionBy is ${partitionBy} itself, a ${type}: a partition for each of its values, and ClickHouse refuses an insert that reaches into more than 100`,
      cure: "partition by months, as in toYYYYMM(event_time), or not at all",
    },
  ];
}

/** What should be looked at of a history, given the rows that come. */
export function historyWarnings(declaration: HistoryDeclaration, rows: RowFacts): readonly SinkWarning[] {
  const { orderBy } = declaration;
  const found: SinkWarning[] = [...declaration.windows.flatMap((window) => windowWarnings(window, rows)), ...groupWarnings(declaration), ...partitionWarnings(declaration)];
  if (rows.isUpdated && !orderBy.includes("updates")) {
    found.push({
      rule: "HISTORY_OF_UPDATES",
      message: `each row replaces an earlier one, and of rows with equal (${list(orderBy)}) the table keeps any one`,
      cure: "use clickhouse.upsert, which keeps the newest; or add `updates` to orderBy to keep them all",
    });
  }
  const absent = missing(rows.identity ?? [], orderBy);
  if (absent.length > 0) {
    found.push({
      rule: "ORDER_BY_COLLAPSES_ROWS",
      message: `the dedup tells records apart by ${list(rows.identity ?? [])}, and orderBy (${list(orderBy)}) does not hold ${list(absent)}: of different records with equal keys the table keeps one`,
      cure: `add ${list(absent)} to orderBy`,
    });
  }
  return found;
}

/** What should be looked at of an upsert, given the rows that come. */
export function upsertWarnings({ key }: UpsertDeclaration, rows: RowFacts): readonly SinkWarning[] {
  if (rows.group === undefined) return [];
  // A window is told by its start or by its end.
  const held = key.includes("window_end") ? [...key, "window_start"] : key;
  const absent = missing(rows.group, held);
  const extra = missing(key, [...rows.group, "window_end"]);
  const found: SinkWarning[] = [];
  if (absent.length > 0) {
    found.push({ rule: "ORDER_BY_AGAINST_GROUP_BY", message: `the rows are grouped by ${list(rows.group)}, and the key (${list(key)}) does not hold ${list(absent)}: groups replace one another`, cure: `add ${list(absent)} to the key` });
  }
  if (extra.length > 0) {
    found.push({ rule: "ORDER_BY_AGAINST_GROUP_BY", message: `the key holds ${list(extra)}, by which the rows are not grouped: where it changes, a group's earlier row stays`, cure: `leave ${list(extra)} out of the key` });
  }
  return found;
}
