/**
 * The one table of warnings: what a plan may be run with, and should be looked at. `docs/warnings.md` has a heading for each rule, and a test holds the two together.
 */
export const WARNING_RULES = {
  VIEW_COUNTS_REPEATS: "a view counts or adds up a stream in which a record may come twice",
  AGGREGATE_OF_UPDATES: "an aggregate is made of rows that replace earlier ones",
  HISTORY_OF_UPDATES: "a history is made of rows that replace earlier ones, and keeps one of those with equal keys",
  ORDER_BY_AGAINST_GROUP_BY: "a sorting key does not hold the fields by which rows are grouped",
  ORDER_BY_COLLAPSES_ROWS: "a sorting key does not hold all fields that tell records apart",
  PARTITION_TOO_FINE: "a table is partitioned by values of which there are very many",
  DEDUP_WINDOW_SMALL: "a dedup forgets records before their producer may send them again",
  DEDUP_WINDOW_BELOW_GRACE: "a dedup refuses records as late that a window behind it would still take",
  STATE_UNBOUNDED: "a store grows for ever",
} as const;

/** A stable name of a warning. */
export type WarningRule = keyof typeof WARNING_RULES;

/** Something that a plan may be run with, and that should be looked at: at which step, what may go wrong, and what to do about it. */
export interface PlanWarning {
  readonly rule: WarningRule;
  readonly step: string;
  readonly message: string;
  readonly cure: string;
}
