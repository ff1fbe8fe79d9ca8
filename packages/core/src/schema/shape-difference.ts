/** What a change of columns means to who reads what was written before, and to who reads what is written from now on. */
import type { ColumnShape } from "./value-shape.ts";

/** A difference and what comes of it. */
export interface Difference {
  readonly isBreaking: boolean;
  readonly message: string;
  readonly effect: string;
}

function plain(type: string): string {
  const inner = /^(?:LowCardinality|Nullable)\((.*)\)$/.exec(type)?.[1];
  return inner === undefined ? type : plain(inner);
}

function isWiderNumber(before: string, after: string): boolean {
  const number = /^(U?)(Int|Float)(\d+)$/;
  const [, unsignedBefore = "", kindBefore = "", bitsBefore = 0] = number.exec(before) ?? [];
  const [, unsignedAfter = "", kindAfter = "", bitsAfter = 0] = number.exec(after) ?? [];
  if (kindBefore === "" || kindBefore !== kindAfter || unsignedAfter > unsignedBefore) return false;
  return Number(bitsAfter) > Number(bitsBefore);
}

function isWiderDecimal(before: string, after: string): boolean {
  const decimal = /^Decimal\((\d+), ?(\d+)\)$/;
  const [, precisionBefore = 0, scaleBefore = 0] = decimal.exec(before) ?? [];
  const [, precisionAfter = 0, scaleAfter = 0] = decimal.exec(after) ?? [];
  const [integerBefore, integerAfter] = [Number(precisionBefore) - Number(scaleBefore), Number(precisionAfter) - Number(scaleAfter)];
  return Number(precisionBefore) > 0 && integerAfter >= integerBefore && Number(scaleAfter) >= Number(scaleBefore);
}

function isWiderEnum(before: string, after: string): boolean {
  const [names, among] = [before, after].map((type) => [...type.matchAll(/'((?:[^'\\]|\\.)*)' = -?\d+/g)].map(([entry]) => entry)) as [string[], string[]];
  return /^Enum/.test(before) && /^Enum/.test(after) && names.every((entry) => among.includes(entry));
}

/** Whether every value of one type is one of another, as JSON reads it. */
export function isWider(before: string, after: string): boolean {
  const [a, b] = [plain(before), plain(after)];
  return a === b || isWiderNumber(a, b) || isWiderDecimal(a, b) || isWiderEnum(a, b);
}

function fieldOf({ name, from }: ColumnShape): string {
  return from ?? name;
}

/** What becomes of values that were written by one list of columns, as JSON, and are read by another. */
export function readingDifferences(before: readonly ColumnShape[], after: readonly ColumnShape[], what: string): readonly Difference[] {
  const earlier = new Map(before.map((column) => [fieldOf(column), column]));
  const later = new Set(after.map(fieldOf));
  const found: Difference[] = [];
  for (const column of after) {
    const field = fieldOf(column);
    const old = earlier.get(field);
    if (old === undefined) {
      found.push(
        column.optional === true
          ? { isBreaking: false, message: `${field} is new`, effect: `${what} without it get its default, or null` }
          : { isBreaking: true, message: `${field} is new and must be there`, effect: `${what} without it are refused` },
      );
      continue;
    }
    if (!isWider(old.type, column.type)) found.push({ isBreaking: true, message: `${field} was ${old.type} and is ${column.type}`, effect: `${what} whose ${field} does not fit are refused` });
    else if (plain(old.type) !== plain(column.type)) found.push({ isBreaking: false, message: `${field} was ${old.type} and is ${column.type}`, effect: "every value fits" });
    if (old.optional === true && column.optional !== true) found.push({ isBreaking: true, message: `${field} must be there now`, effect: `${what} without it are refused` });
    if (old.optional !== true && column.optional === true) found.push({ isBreaking: false, message: `${field} may be absent now`, effect: "nothing else is refused than before" });
  }
  for (const field of earlier.keys()) if (!later.has(field)) found.push({ isBreaking: false, message: `${field} is gone`, effect: "it is no longer read" });
  return found;
}

/** What a change of columns means to others who read what is written with them. */
export function writingDifferences(before: readonly ColumnShape[], after: readonly ColumnShape[], who: string): readonly Difference[] {
  const later = new Map(after.map((column) => [fieldOf(column), column]));
  const earlier = new Set(before.map(fieldOf));
  const found: Difference[] = [];
  for (const column of before) {
    const field = fieldOf(column);
    const now = later.get(field);
    if (now === undefined) found.push({ isBreaking: true, message: `${field} is gone`, effect: `${who} that need it fail` });
    else if (now.type !== column.type) found.push({ isBreaking: true, message: `${field} was ${column.type} and is ${now.type}`, effect: `${who} may not take its values` });
  }
  for (const field of later.keys()) if (!earlier.has(field)) found.push({ isBreaking: false, message: `${field} is new`, effect: `${who} see a field more` });
  return found;
}
