/** The functions that cases name, as their format defines them: on keys, and on values that are numbers, text, or `{ ref, v }`. */

export interface KeyValue {
  readonly key: string | null;
  readonly value: unknown;
}

interface SumCount {
  readonly n: number;
  readonly sum: number;
}

function parse(spec: string): { name: string; argument: string; number: number } {
  const colon = spec.indexOf(":");
  const argument = colon < 0 ? "" : spec.slice(colon + 1);
  return { name: colon < 0 ? spec : spec.slice(0, colon), argument, number: Number(argument) };
}

function unknown(what: string, spec: string): never {
  throw new Error(`the case names a ${what} "${spec}", which is not known`);
}

const isNumber = (value: unknown): value is number => typeof value === "number";
const floorMod = (value: number, by: number): number => ((value % by) + by) % by;
/** Text as Java joins it. */
const text = (value: unknown): string => (value === null || value === undefined ? "null" : typeof value === "string" ? value : JSON.stringify(value));

function number(value: unknown): number {
  if (!isNumber(value)) throw new TypeError(`a number was due, not ${text(value)}`);
  return value;
}
const orZero = (value: unknown): number => (value === null ? 0 : number(value));

export function predicate(spec: string): (key: string | null, value: unknown) => boolean {
  const { name, argument, number: n } = parse(spec);
  switch (name) {
    case "even":
      return (_key, value) => isNumber(value) && value % 2 === 0;
    case "gt":
      return (_key, value) => isNumber(value) && value > n;
    case "ge":
      return (_key, value) => isNumber(value) && value >= n;
    case "notNull":
      return (_key, value) => value !== null;
    case "keyIs":
      return (key) => key === argument;
    default:
      return unknown("predicate", spec);
  }
}

export function valueMapper(spec: string): (value: unknown) => unknown {
  const { name, number: n } = parse(spec);
  switch (name) {
    case "add":
      return (value) => (value === null ? null : number(value) + n);
    case "nullIfGt":
      return (value) => (value === null || number(value) > n ? null : value);
    case "str":
      return (value) => `s${text(value)}`;
    case "mod":
      return (value) => (value === null ? null : floorMod(number(value), n));
    default:
      return unknown("value mapper", spec);
  }
}

/** Of `map`, and of a table's `groupBy`. */
export function recordMapper(spec: string): (key: string | null, value: unknown) => KeyValue {
  const { name, number: n } = parse(spec);
  switch (name) {
    case "parityKey":
      return (key, value) => (value === null ? { key: null, value: null } : { key: `${text(key)}${number(value) % 2 === 0 ? "-e" : "-o"}`, value: number(value) + 100 });
    case "mod":
      return (_key, value) => ({ key: `m${floorMod(number(value), n)}`, value });
    case "modOrNull":
      return (_key, value) => ({ key: number(value) % n === 0 ? null : `m${floorMod(number(value), n)}`, value });
    default:
      return unknown("mapper", spec);
  }
}

/** Of `selectKey`, of a stream's `groupBy`, and of a join with a global table. */
export function keyMapper(spec: string): (key: string | null, value: unknown) => string | null {
  const { name, argument, number: n } = parse(spec);
  switch (name) {
    case "mod":
      return (_key, value) => (value === null ? null : `m${floorMod(number(value), n)}`);
    case "modOrNull":
      return (_key, value) => (value === null || number(value) % n === 0 ? null : `m${floorMod(number(value), n)}`);
    case "key":
      return (key) => key;
    case "keyPlus":
      return (key) => `${text(key)}${argument}`;
    case "fieldRef":
      return (_key, value) => (value === null ? null : fieldRef(value));
    default:
      return unknown("key mapper", spec);
  }
}

export function flatMapper(spec: string): (key: string | null, value: unknown) => KeyValue[] {
  if (spec !== "repeatMod4") return unknown("flat mapper", spec);
  return (key, value) => (value === null ? [] : Array.from({ length: Math.max(0, number(value) % 4) }, (_, i) => ({ key: `${text(key)}#${i}`, value: number(value) * 10 + i })));
}

export function flatValueMapper(spec: string): (value: unknown) => unknown[] {
  if (spec !== "upToMod3") return unknown("flat value mapper", spec);
  return (value) => (value === null ? [null] : Array.from({ length: Math.max(0, (number(value) % 3) + 1) }, (_, i) => number(value) * 10 + i));
}

export function reducer(spec: string): (total: unknown, value: unknown) => unknown {
  switch (spec) {
    case "sum":
      return (a, b) => orZero(a) + orZero(b);
    case "sub":
      return (a, b) => number(a) - number(b);
    case "max":
      return (a, b) => Math.max(number(a), number(b));
    case "concat":
      return (a, b) => `${text(a)},${text(b)}`;
    case "sumNullIfMod5":
      return (a, b) => ((number(a) + number(b)) % 5 === 0 ? null : number(a) + number(b));
    default:
      return unknown("reducer", spec);
  }
}

/** What an aggregate is made of; not every one has a subtractor or a merger. */
export interface Aggregation {
  readonly init: () => unknown;
  readonly add: (total: unknown, value: unknown) => unknown;
  readonly subtract: (total: unknown, value: unknown) => unknown;
  readonly merge: (left: unknown, right: unknown) => unknown;
}

function moved(total: unknown, n: number, sum: number): SumCount {
  const { n: count, sum: before } = total as SumCount;
  return { n: count + n, sum: before + sum };
}

export function aggregation(spec: string): Aggregation {
  const { name, argument } = parse(spec);
  const none = (part: string) => (): never => unknown(part, spec);
  switch (name) {
    case "sumCount":
      return {
        init: () => ({ n: 0, sum: 0 }),
        add: (total, value) => moved(total, 1, orZero(value)),
        subtract: (total, value) => moved(total, -1, -number(value)),
        merge: (left, right) => moved(left, (right as SumCount).n, (right as SumCount).sum),
      };
    case "list":
      return { init: () => "", add: (total, value) => `${text(total)},${argument}${text(value)}`, subtract: none("subtractor"), merge: (left, right) => `${text(left)}|${text(right)}` };
    case "tlist":
      return { init: () => "", add: (total, value) => `${text(total)}+${text(value)}`, subtract: (total, value) => `${text(total)}-${text(value)}`, merge: none("merger") };
    case "sumNullIfMod5":
      return { init: () => 0, add: (total, value) => ((number(total) + number(value)) % 5 === 0 ? null : number(total) + number(value)), subtract: none("subtractor"), merge: none("merger") };
    default:
      return unknown("aggregate", spec);
  }
}

/** The field `ref` of a value: the foreign key. */
export function fieldRef(value: unknown): string | null {
  return (value as { ref?: string | null }).ref ?? null;
}

/** The joiner of all joins: an object shows its field `v`. */
export function joined(left: unknown, right: unknown): string {
  const shown = (value: unknown): string => (typeof value === "object" && value !== null ? text((value as { v?: unknown }).v) : text(value));
  return `${shown(left)}|${shown(right)}`;
}
