/** An object for data whose names come from outside: it inherits nothing, so `__proto__` and `constructor` are names like any other. */
type Members = Record<string, unknown>;

function MembersObject(): void {
  // Members come later.
}
// An empty frozen prototype rather than none: `Object.create(null)` makes a hash table, three times slower to make and to stringify.
MembersObject.prototype = Object.freeze(Object.create(null));

/** Makes an object that inherits nothing. */
export const Members: new () => Members = MembersObject as unknown as new () => Members;

/** No members, shared by all records that have none. */
export const NO_MEMBERS: Readonly<Members> = Object.freeze(new Members());
