/**
 * Where this project's semantics differ from Kafka Streams' on purpose. A case in which ours differs passes only if an independent model
 *
 *   1. with none of these rules makes exactly what Kafka Streams was recorded to make, and
 *   2. with all of them makes exactly what ours made.
 *
 * The rules named for a case are those without which the model would make something else. `docs/operators.md` lists them for users; a test holds the two together.
 */
import type { CaseResult, OracleCase } from "./case.ts";
import { differences } from "./compare.ts";
import { isModelled, modelResult } from "./model/interpreter.ts";
import { KAFKA_RULES, type ModelRules, type RuleName } from "./model/rules.ts";

export interface DeliberateDifference {
  readonly rule: RuleName;
  /** What Kafka Streams does. */
  readonly theirs: string;
  /** What we do. */
  readonly ours: string;
  /** Why ours is the better one for users. */
  readonly reason: string;
}

export const DELIBERATE_DIFFERENCES: readonly DeliberateDifference[] = Object.freeze([
  {
    rule: "closesKeepAll",
    theirs: "With emit on close, a jump of stream time beyond the retention removes windows before they are emitted; in-memory stores lose more of them.",
    ours: "Every window that closes is emitted, however far stream time jumps.",
    reason: "A quiet night must not lose the last window of the evening.",
  },
  {
    rule: "sessionsAreFound",
    theirs: "Which sessions a record is merged into depends on the retention: with the default one, a session at the edge of its grace is not found and overwritten; with a longer one, a session that was closed and emitted is found, and emitted again.",
    ours: "A record is merged into the sessions that are not closed, whatever the retention.",
    reason: "An overwritten session's records are lost, and those of a session that is emitted twice count double.",
  },
  {
    rule: "suppressOnce",
    theirs: "suppress(untilWindowCloses) behind sliding and session windows sends at the moment from which on the window may still change, and then again for each change.",
    ours: "It sends one result a window, when nothing can change it any more: what emit on close sends.",
    reason: "A final result that comes several times is none; its receivers would count double.",
  },
  {
    rule: "unmatchedOnce",
    theirs: "A left or outer join sends an unmatched record at once when its window has passed but its grace has not, and may still join it afterwards.",
    ours: "An unmatched record is sent when nothing can match it any more, and then never joined.",
    reason: "`L|null` followed by `L|R` doubles a row that was announced as final.",
  },
  {
    rule: "epochIsNoBound",
    theirs: "A join whose window lies wholly before or behind a record takes bounds before the epoch for 0, and matches records at 0 that are outside of the window.",
    ours: "Records match where the window says so.",
    reason: "A match outside of the window is wrong.",
  },
  {
    rule: "closesByEitherSide",
    theirs: "An outer join whose windows differ by side delays unmatched records until the side with the shorter window brings the time.",
    ours: "Unmatched records leave as soon as either side's time has closed their window.",
    reason: "The delay has no bound and follows from nothing that users can see.",
  },
  {
    rule: "slidingSeesLastRecord",
    theirs: "A sliding window that is made new may begin with the total of an older window, and so hold a record from before its start.",
    ours: "A window holds the records between its bounds.",
    reason: "A count that holds a record twice is wrong.",
  },
  {
    rule: "lateOnce",
    theirs: "A late record counts as dropped once for each window that is closed, though others may have taken it.",
    ours: "A record counts as late once, and only where no window took it.",
    reason: "The count is that of the records that are missing from the results.",
  },
  {
    rule: "slidingWindowsAreFound",
    theirs: "Sliding windows are looked up within the retention, by the greatest window start of any key: after a jump of stream time a record that is not late no longer finds its neighbours.",
    ours: "A record that is not late finds all windows that it belongs to.",
    reason: "Windows begun anew overwrite totals, or miss records.",
  },
  {
    rule: "joinsCountLate",
    theirs: "A record that is too old to be kept for the other side of a join of streams is counted only by in-memory stores.",
    ours: "It is joined with what is there, and counted as late.",
    reason: "Nothing is lost without a count.",
  },
  {
    rule: "storesShowByTime",
    theirs: "A windowed store shows what lies within the retention of the greatest window start (session end) that was put into it.",
    ours: "It shows what lies within the retention of the stream time, and every session that is not closed.",
    reason: "What a query sees follows from the stream time alone, as lateness does.",
  },
  {
    rule: "countsNullKeys",
    theirs: "A record whose key becomes null before a grouping or a table vanishes at the repartition step and is counted nowhere.",
    ours: "It is dropped and counted as `null-key`.",
    reason: "Nothing is lost without a count.",
  },
  {
    rule: "filtersKnowBefore",
    theirs: "A filter of a table whose source has no store of its own name sends a deletion for each row that does not fit, though it never did.",
    ours: "A filter sends a deletion only for a row that was in its result. All tables have stores, so it always knows.",
    reason: "Deletions of nothing are rows that every receiver has to write and read.",
  },
  {
    rule: "cogroupSharesTime",
    theirs: "A windowed cogroup keeps a stream time for each input, over one store: a window that one input has closed can be begun anew by another.",
    ours: "All inputs of a cogroup share one stream time.",
    reason: "The new total overwrites the former one, which is lost.",
  },
  {
    rule: "deletionsAreKept",
    theirs: "A deletion in a versioned table that has the time of its key's newest row takes the row away and is forgotten, where that row followed a deletion or nothing: an older row that comes late then stands for ever.",
    ours: "The deletion is kept for the length of the history, and closes rows that come late.",
    reason: "What was deleted comes back, and a join or a total of it is wrong.",
  },
  {
    rule: "unthrottled",
    theirs: "Closed windows and unmatched records leave at most once a second of wall clock, and only when a record comes after that second.",
    ours: "They leave on the record whose time closed them.",
    reason: "Results that depend on the wall clock cannot be replayed.",
  },
]);

const OUR_RULES: ModelRules = Object.freeze(Object.fromEntries(Object.keys(KAFKA_RULES).map((name) => [name, true])) as unknown as ModelRules);

/** The rules that explain what ours made otherwise, or why none does. */
export type Explanation = { readonly rules: readonly RuleName[] } | { readonly unexplained: string };

/** Asks the model whether the rules, and nothing else, explain the difference between what was recorded and what ours made. */
export function explain(test: OracleCase, ours: CaseResult): Explanation {
  if (!isModelled(test)) return { unexplained: "no rule replaces any of its steps" };
  const [theirs] = differences(test, test, modelResult(test, KAFKA_RULES));
  if (theirs !== undefined) return { unexplained: `the model without rules differs from the record at ${theirs.where}: ${theirs.got}` };
  const expected = modelResult(test, OUR_RULES);
  const [wrong] = differences(test, expected, ours);
  if (wrong !== undefined) return { unexplained: `the rules ask at ${wrong.where} for ${wrong.expected}, and ours made ${wrong.got}` };
  const rules = DELIBERATE_DIFFERENCES.map(({ rule }) => rule).filter((rule) => differences(test, expected, modelResult(test, { ...OUR_RULES, [rule]: false })).length > 0);
  return rules.length === 0 ? { unexplained: "no rule changes anything" } : { rules };
}
