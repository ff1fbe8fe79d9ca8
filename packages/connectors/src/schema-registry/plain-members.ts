/** An object for data whose names come from outside: it inherits nothing, so `__proto__` and `constructor` are names like any other. */
export type PlainMembers = Record<string, unknown>;

const NOTHING = Object.freeze(Object.create(null) as object);

/** Makes one. An empty frozen prototype rather than none: objects without a prototype are hash tables, three times slower. */
export function plainMembers(): PlainMembers {
  return Object.create(NOTHING) as PlainMembers;
}
